"""What people are told when a run hands its ticket over to them."""

from collections.abc import Sequence

import prompts
from agent.records import CallStatus, EffectReport, JsonObject, Reply
from agent.unseen import without_unseen

_LONGEST_LIST = 10  # calls in each part of the summary
_LONGEST_TOLD = 200  # characters of the arguments of a call that was made, and of why one was not
_LONGEST_OPEN = 3000  # characters of the arguments of all that were not made: a person may have to make them
_LONGEST_VALUE = 120
_LONGEST_WORDS = 1000  # characters of what the model said last; all together must fit into one note of a helpdesk


def handover_summary(because: str, effects: Sequence[EffectReport], messages: Sequence[JsonObject]) -> str:
    """Return why the run gave up, what it did, what it did not do and why, and the model's last words."""
    happened = {CallStatus.DONE, CallStatus.PLANNED}
    done = [_line(effect) for effect in effects if effect.status in happened]
    left = [effect for effect in effects if effect.status not in happened]
    room = max(_LONGEST_OPEN // (min(len(left), _LONGEST_LIST) or 1), _LONGEST_TOLD)
    others = [
        f"{_line(effect, most=room)} ({effect.status}: {_on_one_line(' '.join(effect.reasons))[:_LONGEST_TOLD]})"
        for effect in left
    ]
    spoken = [message for message in messages if message["role"] == "assistant"]
    words = Reply(content=spoken[-1]["content"], stop_reason="", model="").text if spoken else ""
    return prompts.render(
        "handoff",
        reason=f"{_on_one_line(because)}.",
        done=_list(done),
        open=_list(others),
        last_words=_quoted(words[:_LONGEST_WORDS]) or "(none)",
    )


def _list(lines: Sequence[str]) -> str:
    earlier = [f"- {len(lines) - _LONGEST_LIST} others before these"] if len(lines) > _LONGEST_LIST else []
    return "\n".join([*earlier, *lines[-_LONGEST_LIST:]]) or "- nothing"


def _line(effect: EffectReport, *, most: int = _LONGEST_TOLD) -> str:
    longest = max(_LONGEST_VALUE, most // 4)  # so that no value hides the others
    arguments = ", ".join(f"{name}={str(value)[:longest]!r}" for name, value in effect.arguments.items())
    return _on_one_line(f"- {effect.qualified}({arguments[:most]})")


def _on_one_line(text: str) -> str:
    # Models choose names of arguments, and servers what they refuse with: neither may add a line to what was done.
    return without_unseen(text).replace("\n", " ")


def _quoted(words: str) -> str:
    return "\n".join(f"> {line}".rstrip() for line in without_unseen(words).splitlines())
