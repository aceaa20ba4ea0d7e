"""The three ends of a ticket, and what follows when one of them is not reached."""

from collections.abc import Generator, Sequence

from agent.models.offline.conversation import Result, Status
from agent.models.offline.desk import Answers, Call, Step
from agent.models.offline.job import Job, Work
from agent.models.offline.rules import finds

LONGEST_QUOTE = 300
"""Characters of a tool's refusal that a hand-over repeats."""


def close(job: Job, resolution: str, *before: Call, sources: Sequence[str] = ()) -> Work:
    """Close the ticket with this letter, which rests on these articles; hand it over when that is refused."""
    call = job.desk.call("close", resolution=resolution, sources=list(sources) or None)
    if call is None:
        return f"No tool here closes a ticket. I would have closed it with:\n\n{resolution}"
    answers = yield Step("That settles it, so I close the ticket.", (*before, call))
    return (yield from _settled(job, answers, "The ticket is closed.", job.rules.reading.ended))


def ask(job: Job, question: str, *before: Call) -> Work:
    """Send the question and leave the ticket waiting for the customer; hand it over when that is refused."""
    call = job.desk.call("reply", body=question)
    if call is None:
        return f"No tool here replies to a customer. I would have asked:\n\n{question}"
    answers = yield Step("Only the customer can tell what is missing, so I ask.", (*before, call))
    return (yield from _settled(job, answers, "The question is sent; the ticket waits.", job.rules.reading.waiting))


def escalate(job: Job, because: str, *before: Call) -> Work:
    """Give the ticket to people, with a reason that they can act on."""
    reason = f"{because}\n\n{job.about}"
    priority = job.intent.priority if job.intent else None
    call = job.desk.call("escalate", reason=reason, priority=priority)
    if call is None:
        return f"No tool here hands a ticket over. People should take it: {because}"
    answers = yield Step(f"I hand the ticket over: {because}", (*before, call))
    result = _ending(answers)
    if result.status is Status.DONE:
        return "The ticket is with people now."
    if result.status is not Status.DENIED and (yield from _has_happened(job, job.rules.reading.handed_over)):
        return "The ticket is with people now: the helpdesk shows it, although the call did not say so."
    return f"The ticket could not be handed over ({quoted(result)}). What people need to know: {because}"


def refused(job: Job, result: Result) -> str:
    """Return the reason of a hand-over after a call that was not made, or was not answered."""
    reasons = job.rules.reasons
    sentence = {Status.DENIED: reasons.denied, Status.UNKNOWN: reasons.unknown}.get(result.status, reasons.failed)
    arguments = ", ".join(f"{name}={str(value)[:80]!r}" for name, value in result.arguments.items())
    tool = result.name.replace("__", ".", 1)
    return sentence.format(call=f"{tool}({arguments})", answer=quoted(result))


def quoted(result: Result) -> str:
    """Return what a tool answered, on one line and not too long."""
    line = " ".join(result.text.split())
    return line if len(line) <= LONGEST_QUOTE else f"{line[:LONGEST_QUOTE]}…"


def _settled(job: Job, answers: Answers, said: str, shown_by: str) -> Work:
    result = _ending(answers)
    if result.status is Status.DONE:
        return said
    if result.status is not Status.DENIED and (yield from _has_happened(job, shown_by)):
        return f"{said} The helpdesk shows it, although the call did not say so."
    return (yield from escalate(job, refused(job, result)))


def _ending(answers: Answers) -> Result:
    # The call that ends a ticket is the last of its reply: whatever failed before it does not keep the ticket open.
    return answers.pairs[-1][1]


def _has_happened(job: Job, shown_by: str) -> Generator[Step, Answers, bool]:
    """Look at the ticket itself: a call that failed or was lost may still have taken effect."""
    call = job.desk.call("read", uri=job.rules.reading.ticket_uri.format(ticket=job.ticket.id))
    if call is None:
        return False
    answers = yield Step("I look at the ticket before I do anything else.", (call,))
    return finds(shown_by, answers.text("read")) is not None
