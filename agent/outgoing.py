"""What the texts of one run's calls may hold and must be: checked by the host before they leave.

Of others nothing, of the host no secret; to the customer as the prompt demands it, and resting only on articles that
were read in this run.
"""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast
from urllib.parse import quote

from agent.catalog import READ_RESOURCE, SOURCES, Catalog, OfferedTool, ReadableTemplate
from agent.contract import breaches
from agent.egress import Egress, Violation, addresses_in, secrets_in
from agent.language import language_of
from agent.records import Case, Effect, JsonObject, Reason, ToolResult
from agent.settings import Settings
from agent.unseen import without_unseen

WITHHELD = "[withheld]"
"""What stands in place of a text that was not to leave, wherever the call is told of."""

_LONGEST_URI = 200
_REQUESTER = frozenset({"customer.id", "ticket.requester"})
_URI_END = re.compile(r"[\s<>\"'`)\]}|\\^]")
_NAMES = re.compile(r"\{(\w+)\}")
_DASH = re.compile("(?:-{2,3}|[\u2013\u2014\u2015])")
_AFTER_A_URI = ".,;:!?*_"


@dataclass(frozen=True, kw_only=True, slots=True)
class Written:
    """The arguments that a model chose for a call, and the articles that it says they rest on."""

    arguments: Any  # a model's word
    sources: tuple[str, ...]
    is_sound: bool = True  # False: what stands for the articles is no list of texts


@dataclass(kw_only=True)
class Outgoing:
    """Knows what was read in one run, and objects to texts by it."""

    case: Case
    catalog: Catalog
    settings: Settings
    egress: Egress
    language: str | None  # of what the requester has written, where it is plain
    read: set[str] = field(default_factory=set[str])  # articles, by URI
    told: dict[str, str] = field(default_factory=lambda: defaultdict(str))
    """What strange servers have told of others, by server."""

    @classmethod
    def of(cls, case: Case, catalog: Catalog, settings: Settings, *, system: str) -> "Outgoing":
        """Return what a run over this case begins with."""
        ticket, customer = case.ticket, case.customer
        egress = Egress(
            company=settings.company,
            secrets=secrets_in(settings),
            prompts=(system,),
            schemes={template.template.partition(":")[0] for template in catalog.readable},
        )
        egress.seen(ticket.context)
        egress.said(ticket.said)
        egress.said(str(ticket.fields.get("subject") or ""))
        own = [ticket.id, ticket.requester]
        if customer is not None:
            own += [customer.id, customer.context, *_texts(customer.fields)]
        for text in own:
            egress.own(text)
        return cls(
            case=case,
            catalog=catalog,
            settings=settings,
            egress=egress,
            language=language_of(ticket.said) or _tag(ticket.fields.get("language")),
        )

    def parted(self, tool: OfferedTool, arguments: Any) -> Written:
        """Return a call's arguments without the articles that its text is said to rest on, and these."""
        if not tool.takes_sources or not isinstance(arguments, dict) or SOURCES not in arguments:
            return Written(arguments=arguments, sources=())
        own = dict(cast("JsonObject", arguments))
        named = own.pop(SOURCES)
        listed: list[Any] = cast("list[Any]", named) if isinstance(named, list) else []
        sources = [source for source in listed if isinstance(source, str)]
        is_sound = isinstance(named, list) and len(sources) == len(listed)
        return Written(arguments=own, sources=tuple(dict.fromkeys(sources)), is_sound=is_sound)

    def objections(self, tool: OfferedTool, arguments: JsonObject, written: Written) -> tuple[Reason, ...]:
        """Return why a call may not leave as it is; `arguments` are those of the model's that would, in their types."""
        if tool.is_read:
            return () if self._is_at_home(tool.server) else tuple(self._leaks(tool.server, _texts(arguments)))
        links = self._links(written.sources)
        texts = {name: arguments[name] for name in tool.settings.sends if isinstance(arguments.get(name), str)}
        sent = {name: _without(text, links) for name, text in texts.items()}
        arguments = arguments | sent
        found = [*self._foreign(tool, arguments), *self._unread(_texts(arguments), written.sources)]
        if not written.is_sound:
            found.append(Reason(rule="sources.list", because=f"`{SOURCES}` must be a list of the articles' URIs."))
        for text in sent.values():
            found += breaches(text, self.settings.tickets.texts, language=self.language)
        return tuple(dict.fromkeys(found))

    def is_leak(self, tool: OfferedTool, arguments: JsonObject) -> bool:
        """Whether a call that is not made for another reason holds what may not leave either."""
        bound = tool.settings.bind
        try:
            return any(self._foreign(tool, {name: value for name, value in arguments.items() if name not in bound}))
        except RecursionError:
            return True  # nobody can say

    def fact_objections(self, tool: OfferedTool, arguments: Any) -> tuple[Reason, ...]:
        """Return why the facts of a call may not be read: the servers that have them are told its arguments."""
        servers = {fact.tool.partition(".")[0] for fact in tool.settings.facts.values()}
        strange = sorted(server for server in servers if not self._is_at_home(server))
        return tuple(reason for server in strange for reason in self._leaks(server, _texts(arguments)))

    def uri_objections(self, template: ReadableTemplate, uri: str) -> tuple[Reason, ...]:
        """Return why this resource may not be asked for: a URI tells its server something too."""
        return () if self._is_at_home(template.server) else tuple(self._leaks(template.server, [uri]))

    def withheld_from(self, server: str, reply: JsonObject) -> str | None:
        """Return why a server may not be given this reply of the model; None where it may."""
        found = () if self._is_at_home(server) else self._leaks(server, _texts(reply))
        return " ".join(reason.because for reason in found) or None

    def linked(self, tool: OfferedTool, arguments: JsonObject, sources: Sequence[str]) -> JsonObject:
        """Return the arguments with links to the articles at the end of each text to the customer, where configured."""
        links = self._links(sources)
        if not links:
            return arguments
        texts = {name: arguments[name] for name in tool.settings.sends if isinstance(arguments.get(name), str)}
        # A text that is sent as it was planned has them already.
        return arguments | {name: self._with(_without(text, links), links) for name, text in texts.items()}

    def heard(self, name: str, arguments: Any, result: ToolResult) -> None:
        """Take what a call has brought: articles that were read, and whose the ids in it are."""
        if result.is_error:
            if result.versions:  # the text of a ticket that has moved
                self.egress.seen(result.text)
            return
        if name == READ_RESOURCE:
            self._fetched(arguments, result.text)
        elif (tool := self.catalog.qualified(name)) is not None:
            self._looked_up(tool, arguments, result.text)

    def _fetched(self, arguments: Any, text: str) -> None:
        uri: Any = cast("JsonObject", arguments).get("uri") if isinstance(arguments, dict) else None
        located = self.catalog.locate(uri, self.case) if isinstance(uri, str) else None
        if located is None:
            return
        template, read = located
        if template.settings.public:
            self.read.add(read)
        else:
            self._take(template.server, text, template.settings.bind.values())

    def _looked_up(self, tool: OfferedTool, arguments: Any, text: str) -> None:
        if not tool.settings.public:
            self._take(tool.server, text, tool.settings.bind.values())
        # A search that finds nothing may repeat what it was asked for: that is no article.
        elif not any(True for asked in _texts(arguments) for _ in self._articles(asked)):
            self.read |= set(self._articles(text))

    def _take(self, server: str, text: str, bound: Iterable[str]) -> None:
        if not _REQUESTER & set(bound):
            self.egress.seen(text)  # a ticket holds what colleagues have written into it
            self.told[server] += text.casefold() if not self._is_at_home(server) else ""
        elif server == self.settings.tickets.server:
            self.egress.said(text)  # other tickets of the requester
        else:
            self.egress.own(text)

    def _is_at_home(self, server: str) -> bool:
        customers = self.settings.customers
        return server in {self.settings.tickets.server, customers.server if customers else None}

    def _foreign(self, tool: OfferedTool, arguments: JsonObject) -> Iterator[Reason]:
        # Only the requester can say what an account's address is to be; whoever judges such a call sees it.
        wanted = addresses_in(self.case.ticket.said) if tool.effect is Effect.ACCOUNT else frozenset[str]()
        for violation in self._violations(tool.server, _texts(arguments)):
            if violation.rule != "leaves.address" or violation.found.lower() not in wanted:
                yield Reason(rule=violation.rule, because=violation.because)

    def _leaks(self, server: str, texts: Iterable[str]) -> list[Reason]:
        return [Reason(rule=found.rule, because=found.because) for found in self._violations(server, texts)]

    def _violations(self, server: str, texts: Iterable[str]) -> Iterator[Violation]:
        for violation in (violation for text in texts for violation in self.egress.violations(text)):
            # An id that this very server has told is no news to it.
            is_known = violation.rule == "leaves.id" and violation.found.casefold() in self.told[server]
            if not is_known:
                yield violation

    def _unread(self, texts: Iterable[str], sources: Sequence[str]) -> Iterator[Reason]:
        mentioned = [uri for text in texts for uri in self._articles(text)]
        for uri in dict.fromkeys([*map(self._as_asked_for, sources), *mentioned]):
            if uri not in self.read:
                told = f"{uri[:_LONGEST_URI]} was not read in this run: read it first, or do not name it."
                yield Reason(rule="sources.unread", because=told)

    def _articles(self, text: str) -> Iterator[str]:
        """Yield the URIs of articles that stand in a text, however they are written, as they are asked for."""
        seen = unicodedata.normalize("NFKC", without_unseen(text))
        for template in self._public:
            scheme = template.template.partition("{")[0]
            for rest in re.split(re.escape(scheme), seen, flags=re.IGNORECASE)[1:] if scheme else ():
                uri = (scheme + _URI_END.split(rest, maxsplit=1)[0]).rstrip(_AFTER_A_URI)
                if (article := template.beginning(uri)) is not None:
                    yield article

    def _as_asked_for(self, source: str) -> str:
        asked = ((template, template.variables(source)) for template in self._public)
        return next((template.expand(variables) for template, variables in asked if variables is not None), source)

    @property
    def _public(self) -> Iterator[ReadableTemplate]:
        return (readable for readable in self.catalog.readable if readable.settings.public)

    def _links(self, sources: Sequence[str]) -> list[str]:
        return [link for link in map(self._link, sources) if link]

    def _link(self, source: str) -> str | None:
        """Return where the customer finds an article; None where that is not configured, or the article has none."""
        form = self.settings.company.article_link
        variables = next(
            (found for template in self._public if (found := template.variables(source)) is not None), None
        )
        if form is None or variables is None or not set(_NAMES.findall(form)) <= variables.keys():
            return None
        return _NAMES.sub(lambda name: quote(variables[name[1]], safe=""), form)

    def _with(self, text: str, links: Sequence[str]) -> str:
        body, ends_with = text.rstrip(), self.settings.tickets.texts.ends_with
        # Written with any dash, as the contract takes it.
        sign_off = re.search(_DASH.sub(_DASH.pattern, re.escape(ends_with)) + r"\Z", body) if ends_with else None
        if sign_off is None:
            return "\n\n".join([body, *links])
        return "\n\n".join([body[: sign_off.start()].rstrip(), *links, sign_off[0]])


def withheld(arguments: JsonObject, *, kept: Container[str]) -> JsonObject:
    """Return the arguments without what the model chose of them."""
    return {name: value if name in kept else WITHHELD for name, value in arguments.items()}


def _without(text: str, links: Sequence[str]) -> str:
    for link in links:
        text = text.replace(f"\n\n{link}", "")
    return text


def _tag(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _texts(value: Any) -> Iterator[str]:
    """Yield every text of a JSON document, names included: a server may take any."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for name, item in cast("Mapping[str, Any]", value).items():
            yield name
            yield from _texts(item)
    elif isinstance(value, list | tuple):
        for item in cast("Sequence[Any]", value):
            yield from _texts(item)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield str(int(value) if isinstance(value, float) and value.is_integer() else value)
