"""The offline model: rules and retrieval, not an LLM. It needs no key; the same input gives the same bytes."""

from collections.abc import Callable, Sequence

from agent.models.offline.conversation import Status, Turn, last_text, played_turns, read_ticket
from agent.models.offline.desk import Step, answered, desk_of
from agent.models.offline.endings import escalate
from agent.models.offline.job import Job, first_step, job_for
from agent.models.offline.rules import Rules, default_rules
from agent.models.offline.summary import summarize
from agent.models.offline.work import whole_run
from agent.records import JsonObject, ModelRequest, Reply


class OfflineModel:
    """Works a ticket by the rules of `defaults/offline.toml`, through the same messages and tools as an LLM.

    It holds no state: each reply is computed from the request alone, so a run can be resumed by another process.
    Nothing that a ticket, a record or an article says is an instruction to it; texts can only match rules.
    A conversation about no ticket (a server's sampling request) is answered with an extractive summary.
    """

    def __init__(self, rules: Rules | None = None) -> None:
        self._rules = rules

    @property
    def name(self) -> str:
        """What the report and the screen call this model."""
        return "offline"

    async def reply(self, request: ModelRequest, on_text: Callable[[str], None]) -> Reply:
        """Return the next reply; `on_text` receives its text in one piece."""
        step = self._next_step(request)
        if step.text:
            on_text(step.text)
        replies = sum(message["role"] == "assistant" for message in request.messages)
        return Reply(
            content=_content(step, replies + 1),
            stop_reason="tool_use" if step.calls else "end_turn",
            model=self.name,
            cost_usd=0.0,
        )

    async def aclose(self) -> None:
        """Release nothing: nothing is held."""

    def _next_step(self, request: ModelRequest) -> Step:
        rules = self._rules or default_rules()
        ticket = read_ticket(request, rules.reading)
        if ticket is None:
            return Step(summarize(last_text(request.messages), max_tokens=request.max_tokens, rules=rules))
        job = job_for(ticket, rules, desk_of(request, rules))
        turns = played_turns(request.messages, rules.results)
        return _walk(job, turns) or _mend(job, turns)


def _walk(job: Job, turns: Sequence[Turn]) -> Step | None:
    """Return the reply that follows these turns; None when the rules would not have played them."""
    run = whole_run(job)
    step = next(run)
    for turn in turns:
        if tuple(call.name for call in step.calls) != turn.names:
            return None
        step = run.send(answered(step.calls, turn.results))
    return step


def _mend(job: Job, turns: Sequence[Turn]) -> Step:
    """Return a reply to turns of other rules or another model: nothing more is tried, and the ticket is handed over."""
    names = job.desk.names
    ends = {names.get(role) for role in ("close", "reply", "escalate")}
    done = {result.name for turn in turns for result in turn.results if result.status is Status.DONE}
    has_asked = any(names.get("escalate") in turn.names for turn in turns)
    if done & ends:
        return Step("The ticket has been brought to its end.")
    if has_asked:
        return Step("The ticket could not be handed over; it needs people.")
    return first_step(escalate(job, job.rules.reasons.nudged))


def _content(step: Step, turn: int) -> list[JsonObject]:
    text: list[JsonObject] = [{"type": "text", "text": step.text}] if step.text else []
    calls: list[JsonObject] = [
        {"type": "tool_use", "id": f"toolu_offline_{turn}_{number}", "name": call.name, "input": call.arguments}
        for number, call in enumerate(step.calls, start=1)
    ]
    return text + calls


__all__ = ["OfflineModel", "Rules", "default_rules"]
