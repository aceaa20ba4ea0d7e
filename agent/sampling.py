"""A server's request for a reply of the model, in the shapes of the Messages API and back.

Nothing is lost silently: what the model cannot be given is named in its place.
"""

import json
from collections.abc import Iterable

import mcp_types
from mcp_types import CallToolResult, SamplingMessage, SamplingMessageContentBlock, ToolResultContent, ToolUseContent

from agent.content import result_content
from agent.documents import without_surrogates
from agent.records import JsonObject, ModelRequest, Reply
from agent.unseen import without_unseen

LONGEST_TEXT = 400_000
"""Characters of one content block that the model is given; what is cut is named."""

_CHOICES = {"auto": "auto", "required": "any", "none": "none"}
_STOP_REASONS = {
    "end_turn": "endTurn",
    "max_tokens": "maxTokens",
    "stop_sequence": "stopSequence",
    "tool_use": "toolUse",
}


def model_request(params: mcp_types.CreateMessageRequestParams, *, most_tokens: int, timeout_s: float) -> ModelRequest:
    """Return the request that the model is asked; temperature and model preferences are the host's, and dropped."""
    return ModelRequest(
        system=_legible(params.system_prompt or ""),
        messages=[_message(message) for message in params.messages],
        tools=sorted((_tool(tool) for tool in params.tools or ()), key=lambda tool: tool["name"]),
        max_tokens=max(1, min(params.max_tokens, most_tokens)),
        tool_choice=_tool_choice(params),
        stop_sequences=tuple(without_surrogates(params.stop_sequences or ())),
        timeout_s=timeout_s,
    )


def sampled(reply: Reply, *, has_tools: bool) -> mcp_types.CreateMessageResult | mcp_types.CreateMessageResultWithTools:
    """Return the model's reply as the server gets it; without tools it is one text."""
    stop_reason = _STOP_REASONS.get(reply.stop_reason, reply.stop_reason)
    if not has_tools:
        return mcp_types.CreateMessageResult(
            role="assistant",
            content=mcp_types.TextContent(type="text", text=without_surrogates(reply.text)),
            model=reply.model,
            stop_reason=stop_reason,
        )
    return mcp_types.CreateMessageResultWithTools(
        role="assistant", content=list(_reply_blocks(reply)), model=reply.model, stop_reason=stop_reason
    )


def request_json(request: ModelRequest) -> JsonObject:
    """Return the request as a run records it."""
    return {
        "system": request.system,
        "messages": list(request.messages),
        "tools": list(request.tools),
        "max_tokens": request.max_tokens,
        "tool_choice": request.tool_choice,
        "stop_sequences": list(request.stop_sequences),
    }


def _message(message: SamplingMessage) -> JsonObject:
    blocks = [_block(content, message.role) for content in message.content_as_list]
    # The Messages API wants the answers to its tool calls before anything else.
    blocks.sort(key=lambda block: block["type"] != "tool_result")
    return {"role": message.role, "content": blocks or [_text("(an empty message)")]}


def _block(content: SamplingMessageContentBlock, role: mcp_types.Role) -> JsonObject:
    match content:
        case ToolUseContent() if role == "assistant":
            return {
                "type": "tool_use",
                "id": content.id,
                "name": content.name,
                "input": without_surrogates(content.input),
            }
        case ToolResultContent() if role == "user":
            return {
                "type": "tool_result",
                "tool_use_id": content.tool_use_id,
                "content": _result_blocks(content),
                "is_error": bool(content.is_error),
            }
        case ToolUseContent() | ToolResultContent():
            said = json.dumps(
                without_surrogates(content.model_dump(mode="json", exclude_none=True)), ensure_ascii=False
            )
            return _text(f"[{content.type} in a message of the {role}: {said}]")
        case mcp_types.TextContent():
            text = _legible(content.text)
            return _text(text if text.strip() else "(an empty text)")
        case _:
            [block] = result_content(CallToolResult(content=[content]), LONGEST_TEXT)
            is_shown = block["type"] == "text" or role == "user"  # the model's own messages hold only text
            return block if is_shown else _text(f"[{content.type}: {content.mime_type}, which cannot be shown to you]")


def _result_blocks(content: ToolResultContent) -> list[JsonObject]:
    result = CallToolResult(content=content.content, structured_content=content.structured_content)
    return result_content(result, LONGEST_TEXT)


def _text(text: str) -> JsonObject:
    return {"type": "text", "text": text}


def _tool(tool: mcp_types.Tool) -> JsonObject:
    schema = without_surrogates(tool.input_schema)
    return {"name": tool.name, "description": _legible(tool.description or ""), "input_schema": schema}


def _legible(text: str) -> str:
    return without_unseen(without_surrogates(text))


def _tool_choice(params: mcp_types.CreateMessageRequestParams) -> JsonObject | None:
    mode = params.tool_choice.mode if params.tools and params.tool_choice else None
    return None if mode is None else {"type": _CHOICES[mode]}


def _reply_blocks(reply: Reply) -> Iterable[SamplingMessageContentBlock]:
    said = False
    for block in reply.content:
        if block["type"] == "text" and block["text"]:
            said = True
            yield mcp_types.TextContent(type="text", text=without_surrogates(block["text"]))
        elif block["type"] == "tool_use":
            said = True
            yield ToolUseContent(
                type="tool_use", id=block["id"], name=block["name"], input=without_surrogates(block["input"])
            )
    if not said:
        yield mcp_types.TextContent(type="text", text="")
