"""What people are told when a run hands its ticket over to them."""

import re
from collections.abc import Sequence

import prompts
from agent.records import CallStatus, EffectReport, JsonObject, Reply

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_LONGEST_LIST = 10  # calls in each part of the summary
_LONGEST_TOLD = 200  # characters of a call's arguments, and of why it was not done
_LONGEST_WORDS = 1500  # characters of what the model said last


def handover_summary(because: str, effects: Sequence[EffectReport], messages: Sequence[JsonObject]) -> str:
    """Return why the run gave up, what it did, what it did not do and why, and the model's last words."""
    happened = {CallStatus.DONE, CallStatus.PLANNED}
    done = [_line(effect) for effect in effects if effect.status in happened]
    others = [
        f"{_line(effect)} ({effect.status}: {' '.join(effect.reasons)[:_LONGEST_TOLD]})"
        for effect in effects
        if effect.status not in happened
    ]
    spoken = [message for message in messages if message["role"] == "assistant"]
    words = Reply(content=spoken[-1]["content"], stop_reason="", model="").text if spoken else ""
    summary = prompts.render(
        "handoff",
        reason=f"{because}.",
        done=_list(done),
        open=_list(others),
        last_words=words[:_LONGEST_WORDS] or "(none)",
    )
    return _CONTROL.sub("", summary)  # helpdesks refuse them, and then nobody would take over


def _list(lines: Sequence[str]) -> str:
    earlier = [f"- {len(lines) - _LONGEST_LIST} others before these"] if len(lines) > _LONGEST_LIST else []
    return "\n".join([*earlier, *lines[-_LONGEST_LIST:]]) or "- nothing"


def _line(effect: EffectReport) -> str:
    arguments = ", ".join(f"{name}={str(value)[:120]!r}" for name, value in effect.arguments.items())
    return f"- {effect.server}.{effect.tool}({arguments[:_LONGEST_TOLD]})"
