"""The way from a ticket to the one article that answers it, or to none."""

from collections.abc import Generator

from agent.models.offline.conversation import Status
from agent.models.offline.desk import Answers, Step
from agent.models.offline.job import Job
from agent.models.offline.lookup import Article, article_uris, read_article
from agent.models.offline.understanding import coverage, keywords, language_of, wanted_words


def search_query(job: Job) -> str:
    """Return what to search for: the intent's own words, else the ticket's."""
    return _known_query(job) or " ".join(wanted_words(job.ticket, job.rules.retrieval))


def best_article(job: Job, found: Answers) -> Generator[Step, Answers, Article | None]:
    """Read the articles that the search found best and return the one that answers, in the ticket's language."""
    retrieval, reading = job.rules.retrieval, job.rules.reading
    uris = article_uris(found.text("search"), reading.article)[: retrieval.articles]
    calls = tuple(call for uri in uris if (call := job.desk.call("read", uri=uri)))
    if not calls:
        return None
    answers = yield Step("I read what the search found.", calls)
    articles = [
        article
        for result in answers.all("read")
        if result.status is Status.DONE and (article := read_article(str(result.arguments["uri"]), result.text))
    ]
    wanted = keywords(_known_query(job), retrieval) or wanted_words(job.ticket, retrieval)
    scored = [
        (coverage(wanted, article.head), -position, article)
        for position, article in enumerate(articles)
        if language_of(article.text, job.rules) == job.seen.language
    ]
    share, _, article = max(scored, default=(0.0, 0, None), key=lambda entry: entry[:2])
    return article if share >= retrieval.share else None


def _known_query(job: Job) -> str:
    return job.intent.query.get(job.seen.language, "") if job.intent else ""
