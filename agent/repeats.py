"""The same call again and again: counted by what the model itself chose, and stopped."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, cast

from agent.catalog import Catalog
from agent.documents import digest
from agent.records import JsonObject, Reason, ToolCall


@dataclass(frozen=True, kw_only=True)
class Repeats:
    """Which calls of a run are the same: one tool, and the same arguments but for those that the host sets."""

    catalog: Catalog
    most: int
    _asked: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list), repr=False)  # digest → calls

    def recall(self, calls: Iterable[ToolCall]) -> None:
        """Count calls of this run that were asked for before."""
        for call in calls:
            self._place(call)

    def refusal(self, call: ToolCall) -> Reason | None:
        """Return why this call is one too many of its kind, or None; asked again about it, say the same."""
        if self._place(call) < self.most:
            return None
        because = f"This run has made exactly this call {self.most} times ([limits] same_calls): what it says is known."
        return Reason(rule="limits.same_calls", because=because)

    def own_arguments(self, call: ToolCall) -> JsonObject:
        """Return what the model chose of the call's arguments; none where it sent no object."""
        tool = self.catalog.offered(call.name)
        sent: Any = call.arguments  # a model's word
        if not isinstance(sent, dict):
            return {}
        own = cast("JsonObject", sent)
        return own if tool is None else {name: own[name] for name in own if name not in tool.settings.bind}

    def _place(self, call: ToolCall) -> int:
        """Return how many calls like this one came before it."""
        same = self._asked[digest([call.name, self.own_arguments(call)])]
        if call.id not in same:
            same.append(call.id)
        return same.index(call.id)
