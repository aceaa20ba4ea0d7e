"""What people are told when a run hands its ticket over to them, or leaves it to them with a draft."""

from collections.abc import Callable, Sequence

import prompts
from agent.records import CallStatus, EffectReport, JsonObject, Reply
from agent.unseen import without_unseen

_LONGEST_LIST = 10  # calls in each part of the summary
_LONGEST_TOLD = 200  # characters of the arguments of a call that was made, and of why one was not
_LONGEST_OPEN = 3000  # characters of the arguments of all that were not made: a person may have to make them
_LONGEST_VALUE = 120
_LONGEST_TEXT = 4000  # characters of a text that is proposed
_LONGEST_WORDS = 1000  # characters of what the model said last; all together must fit into one note of a helpdesk


def handover_summary(because: str, effects: Sequence[EffectReport], messages: Sequence[JsonObject]) -> str:
    """Return why the run gave up, what it did, what it did not do and why, and the model's last words."""
    happened = {CallStatus.DONE, CallStatus.PLANNED}
    done = [_line(effect) for effect in effects if effect.status in happened]
    left = [effect for effect in effects if effect.status not in happened]
    room = max(_LONGEST_OPEN // (min(len(left), _LONGEST_LIST) or 1), _LONGEST_TOLD)
    others = [f"{_line(effect, most=room)} ({effect.status}: {_why(effect)})" for effect in left]
    return prompts.render(
        "handoff",
        reason=f"{_on_one_line(because)}.",
        done=_list(done),
        open=_list(others),
        last_words=_last_words(messages),
    )


def draft_note(
    because: str | None,
    effects: Sequence[EffectReport],
    messages: Sequence[JsonObject],
    *,
    sends: Callable[[str], Sequence[str]],
    read: Sequence[str],
) -> str:
    """Return what a run proposes, for people to use: texts word for word, other calls, what it rests on, and why.

    `because` is why the run could not come to an end of its own, `sends(tool)` names the arguments that the customer
    would read, and `read` are the articles that were read.
    """
    planned = [effect for effect in effects if effect.status is CallStatus.PLANNED]
    texts = [
        f"Proposed text ({effect.qualified}):\n\n{_quoted(_cut(str(effect.arguments[name])))}"
        for effect in planned
        for name in sends(effect.qualified)
        if name in effect.arguments
    ]
    others = [_line(effect) for effect in planned if not sends(effect.qualified)]
    refused = [effect for effect in effects if effect.status is not CallStatus.PLANNED]
    return prompts.render(
        "draft",
        because=f"\nIt could not finish this ticket: {_on_one_line(because)}.\n" if because else "",
        texts="\n\n".join(texts[-_LONGEST_LIST:]) or "No text to the customer is proposed.",
        actions=_list(others),
        refused=_list([f"{_line(effect)} ({_why(effect)})" for effect in refused]),
        sources=_list([f"- {uri}" for uri in read]),
        last_words=_last_words(messages),
    )


def _cut(text: str) -> str:
    return (
        text
        if len(text) <= _LONGEST_TEXT
        else f"{text[:_LONGEST_TEXT]}\n[… {len(text) - _LONGEST_TEXT} characters more]"
    )


def _last_words(messages: Sequence[JsonObject]) -> str:
    spoken = [message for message in messages if message["role"] == "assistant"]
    words = Reply(content=spoken[-1]["content"], stop_reason="", model="").text if spoken else ""
    return _quoted(words[:_LONGEST_WORDS]) or "(none)"


def _list(lines: Sequence[str]) -> str:
    earlier = [f"- {len(lines) - _LONGEST_LIST} others before these"] if len(lines) > _LONGEST_LIST else []
    return "\n".join([*earlier, *lines[-_LONGEST_LIST:]]) or "- nothing"


def _line(effect: EffectReport, *, most: int = _LONGEST_TOLD) -> str:
    longest = max(_LONGEST_VALUE, most // 4)  # so that no value hides the others
    arguments = ", ".join(f"{name}={str(value)[:longest]!r}" for name, value in effect.arguments.items())
    return _on_one_line(f"- {effect.qualified}({arguments[:most]})")


def _why(effect: EffectReport) -> str:
    return _on_one_line(" ".join(effect.reasons))[:_LONGEST_TOLD]


def _on_one_line(text: str) -> str:
    # Models choose names of arguments, and servers what they refuse with: neither may add a line to what was done.
    return without_unseen(text).replace("\n", " ")


def _quoted(words: str) -> str:
    return "\n".join(f"> {line}".rstrip() for line in without_unseen(words).splitlines())
