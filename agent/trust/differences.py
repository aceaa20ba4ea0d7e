"""What of a server is not as it was approved, in one sentence and line by line."""

import difflib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from agent.records import JsonObject
from agent.trust.pins import Pinned, readable

_PARTS = {
    "title": "title",
    "description": "description",
    "inputSchema": "arguments",
    "outputSchema": "result",
    "annotations": "annotations",
}

BETWEEN = "..."
"""Stands for lines of a difference that are as they were."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """A server as it was approved, and as it is; names are of tools, sorted."""

    before: Pinned
    now: Pinned
    are_instructions_trusted: bool = False  # whether what it says of itself stands in the system prompt

    @property
    def has_other_way(self) -> bool:
        """Whether it is reached in another way: another command, another address."""
        return self.before.way != self.now.way

    @property
    def has_other_instructions(self) -> bool:
        """Whether what it says in the system prompt is not what was approved."""
        return self.are_instructions_trusted and self.before.instructions != self.now.instructions

    @property
    def changed(self) -> tuple[str, ...]:
        """Tools that were approved as something else."""
        both = self.before.tools.keys() & self.now.tools.keys()
        return tuple(sorted(name for name in both if self.before.tools[name] != self.now.tools[name]))

    @property
    def new(self) -> tuple[str, ...]:
        """Tools that were not there when the server was approved."""
        return tuple(sorted(self.now.tools.keys() - self.before.tools.keys()))

    @property
    def gone(self) -> tuple[str, ...]:
        """Tools that are not there any more; that needs nobody's approval."""
        return tuple(sorted(self.before.tools.keys() - self.now.tools.keys()))

    @property
    def unapproved(self) -> dict[str, str]:
        """The tools that must not be used before a person has approved them, and why."""
        if self.has_other_way:
            return dict.fromkeys(sorted(self.now.tools), "its server is not reached in the way that was approved")
        reasons = {
            name: f"it is not as it was approved (other: {', '.join(self._parts(name))})" for name in self.changed
        }
        return reasons | dict.fromkeys(self.new, "it is new, and was not approved")

    @property
    def needs_approval(self) -> bool:
        """Whether anything is there that a person has not approved."""
        return self.has_other_instructions or bool(self.unapproved) or self.has_other_way

    def told(self) -> str:
        """Return what needs approval, as the end of a sentence."""
        parts = ["it is reached in another way"] if self.has_other_way else []
        parts += ["it instructs the model otherwise"] if self.has_other_instructions else []
        parts += [f"changed: {', '.join(self.changed)}"] if self.changed else []
        parts += [f"new: {', '.join(self.new)}"] if self.new else []
        return "; ".join(parts)

    def lines(self, tool: str) -> Iterator[str]:
        """Yield what is not as it was of a tool as a unified diff without its head: all of it where it is new."""
        before, now = (pinned.tools.get(tool) for pinned in (self.before, self.now))
        for line in islice(difflib.unified_diff(_lines(before), _lines(now), lineterm="", n=2), 3, None):
            yield BETWEEN if line.startswith("@@") else line

    def _parts(self, tool: str) -> Iterator[str]:
        before, now = self.before.tools[tool], self.now.tools[tool]
        yield from (told for key, told in _PARTS.items() if before.get(key) != now.get(key))


def _lines(tool: JsonObject | None) -> list[str]:
    # Every line of indented JSON begins with a space or a brace: none can pass for a line of the diff's own.
    return [] if tool is None else json.dumps(readable(tool), indent=2, sort_keys=True, ensure_ascii=False).split("\n")
