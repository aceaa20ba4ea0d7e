"""How a ticket is worked, as one straight line: look, read, act, end. A `yield` is a reply and returns its results.

Nothing is kept between replies. For each reply the line is walked again from its start with the results that the
messages already hold, so a run that was interrupted goes on where it stopped.
"""

import re
from collections.abc import Generator

from agent.models.offline.conversation import Status
from agent.models.offline.desk import Answers, Call, Step
from agent.models.offline.endings import ask, close, escalate, refused
from agent.models.offline.job import Job, Work
from agent.models.offline.lookup import Article, Chosen, Item, choose, has_values, items, label
from agent.models.offline.retrieval import best_article, search_query
from agent.models.offline.rules import Act, Choice, Texts, finds
from agent.models.offline.writing import Writer, quoted_sentence
from agent.sentences import sentences


def whole_run(job: Job) -> Generator[Step, Answers, None]:
    """Yield every reply of a run; asked again after its last one, the model hands the ticket over."""
    yield Step((yield from _work(job)))
    yield Step((yield from escalate(job, job.rules.reasons.nudged)))
    while True:
        yield Step("I have nothing to add: the ticket needs people.")


def _work(job: Job) -> Work:
    intent, writer, texts = job.intent, job.writer, job.texts
    if intent and intent.then == "escalate":
        return (yield from escalate(job, intent.because, *job.classification()))
    if writer is None or texts is None:
        because = job.rules.reasons.language.format(language=job.seen.language)
        return (yield from escalate(job, because, *job.classification()))
    if intent and intent.then == "dismiss":
        return (yield from close(job, writer.write([texts.dismissed]), *job.classification()))
    if question := _missing(job, texts):
        if job.ticket.spoke_last and question in " ".join(job.ticket.everything.split()):
            return (yield from escalate(job, job.rules.reasons.same_question, *job.classification()))
        return (yield from ask(job, writer.write([question], is_trouble=job.is_trouble), *job.classification()))
    return (yield from _solve(job, writer, texts))


def _solve(job: Job, writer: Writer, texts: Texts) -> Work:
    found = yield from _look(job)
    if earlier := _earlier_ticket(job, found):
        letter = writer.write([texts.duplicate.format(ticket=earlier)])
        return (yield from close(job, letter, *job.classification()))
    article = yield from best_article(job, found)
    if job.intent and job.intent.act:
        return (yield from _act(job, writer, job.intent.act, article, found))
    return (yield from _answer(job, writer, article))


def _missing(job: Job, texts: Texts) -> str | None:
    """Return what to ask the customer before anything can be done, or None."""
    intent = job.intent
    if intent and intent.needs and not finds(intent.needs.pattern, job.ticket.said):
        return intent.needs.question.get(job.seen.language)
    return texts.unknown_sender if intent and intent.act and not job.ticket.is_known else None


def _look(job: Job) -> Generator[Step, Answers, Answers]:
    """Make the reads that depend on nothing, all at once."""
    intent = job.intent
    choice = _choice(job, intent.act) if intent and intent.act else None
    roles = dict.fromkeys([*(intent.look if intent else ()), *([choice.look] if choice else ())])
    query, limit = search_query(job), job.rules.retrieval.limit
    calls = [
        job.desk.call("search", query=query, limit=limit),
        job.desk.call("related", query=job.ticket.subject),
        *(job.desk.call(role) for role in roles),
    ]
    topic = f"This is about: {intent.name}." if intent else "No rule knows this topic."
    return (yield from _calling(f"{topic} I look for what is known about it.", *calls))


def _calling(text: str, *calls: Call | None) -> Generator[Step, Answers, Answers]:
    made = tuple(call for call in calls if call)
    return (yield Step(text, made)) if made else Answers()


def _earlier_ticket(job: Job, found: Answers) -> str | None:
    """Return an earlier ticket of the requester that is still open and has the same subject."""
    reading, related = job.rules.reading, job.rules.reading.related
    for other in items(found.text("related"), related.id):
        number, status, subject = (str(other.get(field, "")) for field in (related.id, related.status, related.subject))
        is_earlier = number.isdecimal() and job.ticket.id.isdecimal() and int(number) < int(job.ticket.id)
        if is_earlier and _bare(subject) == _bare(job.ticket.subject) and not finds(reading.over, status):
            return number
    return None


def _bare(subject: str) -> str:
    return re.sub(r"^((re|aw|fwd?|wg):\s*)+", "", subject.strip().lower())


def _answer(job: Job, writer: Writer, article: Article | None) -> Work:
    """Close with what the article says, unless there is none or the customer has been told so before."""
    if article is None:
        return (yield from escalate(job, job.rules.reasons.no_answer, *job.classification()))
    first = sentences(article.lead)[0]
    if first in " ".join(job.ticket.everything.split()):
        because = job.rules.reasons.same_answer.format(article=article.uri)
        return (yield from escalate(job, because, *job.classification(article)))
    letter = writer.answer(article, is_trouble=job.is_trouble)
    return (yield from close(job, letter, *job.classification(article), *job.note(article), sources=[article.uri]))


def _act(job: Job, writer: Writer, act: Act, article: Article | None, found: Answers) -> Work:
    """Do what is asked for, once it is clear what that is, and close with a report of it."""
    choice = _choice(job, act)
    item: Item = {}
    if choice:
        chosen = choose(items(found.text(choice.look), choice.key), choice, job.ticket)
        if chosen.candidates and job.texts:
            labels = ", ".join(label(item, choice, job.rules.money) for item in chosen.candidates)
            letter = writer.write([job.texts.which_one.format(choices=labels)])
            return (yield from ask(job, letter, *job.classification()))
        if because := _not_choosable(job, chosen, choice):
            return (yield from escalate(job, because, *job.classification()))
        item = chosen.item or {}
    call = job.desk.call(act.role, **_arguments(act, choice, item))
    if call is None:
        return (yield from _otherwise(job, writer, act, article, job.rules.reasons.not_offered.format(role=act.role)))
    answers = yield Step("It is clear what is asked for, so I do it.", (*job.classification(article), call))
    result = answers.pairs[-1][1]
    if result.status is Status.FAILED:
        return (yield from _otherwise(job, writer, act, article, refused(job, result)))
    is_done = result.status is Status.DONE or (
        result.status is Status.UNKNOWN and choice is not None and (yield from _is_settled(job, choice, item))
    )
    if not is_done:
        return (yield from escalate(job, refused(job, result)))
    done = act.done[job.seen.language].format(item=label(item, choice, job.rules.money) if choice else "")
    quoted = quoted_sentence(article, act.quote.get(job.seen.language))
    letter = writer.report(done, quoted, is_trouble=job.is_trouble)
    sources = [article.uri] if article and quoted else []
    return (yield from close(job, letter, *job.note(article), sources=sources))


def _otherwise(job: Job, writer: Writer, act: Act, article: Article | None, because: str) -> Work:
    """Take the way that is left when the act cannot be done."""
    if act.otherwise == "answer" and article:
        return (yield from _answer(job, writer, article))
    return (yield from escalate(job, because, *job.classification(article)))


def _choice(job: Job, act: Act) -> Choice | None:
    return job.rules.choices[act.choose] if act.choose else None


def _arguments(act: Act, choice: Choice | None, item: Item) -> dict[str, object]:
    values: dict[str, object] = {"$because": act.because}
    if choice and item:
        values |= {"$key": item[choice.key], "$keys": [item[choice.key]]}
    return {
        name: values.get(value, value) if isinstance(value, str) else value for name, value in act.arguments.items()
    }


def _not_choosable(job: Job, chosen: Chosen, choice: Choice) -> str | None:
    """Return why nothing can be done with what the ticket means, or None."""
    reasons, item = job.rules.reasons, chosen.item
    name = label(item, choice, job.rules.money) if item else ""
    if chosen.is_foreign:
        return reasons.foreign_item
    if chosen.is_ineligible:
        return reasons.ineligible.format(item=name or "nothing on record")
    if chosen.is_too_old and choice.within:
        return reasons.too_old.format(item=name, days=choice.within.days)
    return None


def _is_settled(job: Job, choice: Choice, item: Item) -> Generator[Step, Answers, bool]:
    """Look whether a call whose fate is unknown has taken effect."""
    if not choice.settled:
        return False
    found = yield from _calling("Its fate is unknown, so I look.", job.desk.call(choice.look))
    now = [listed for listed in items(found.text(choice.look), choice.key) if listed[choice.key] == item[choice.key]]
    return any(has_values(listed, choice.settled) for listed in now)
