"""What happens in the runs that are killed: scripted ones that must always come to the same, and one by chance."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from agent.records import Effect, FormAnswer, JsonObject
from agent.settings import ServerSettings, Settings, ToolSettings
from tests.kill.people import Says, Scene, Words

HELPDESK = ("ticketing", "customers")
COURIER = "courier"


@dataclass(frozen=True, kw_only=True)
class Story:
    """One kind of run."""

    says: Says
    servers: tuple[str, ...] = HELPDESK
    tools: Mapping[str, ToolSettings] = field(default_factory=dict[str, ToolSettings])
    grants: Callable[[Words], bool] = lambda _: True
    form: Callable[[Words], FormAnswer] = lambda _: FormAnswer(action="accept", content={"priority": "urgent"})
    endings: frozenset[str]  # the outcomes that a run of it may come to
    is_scripted: bool = True  # every run of it leaves the same behind
    is_applied: bool = False  # what it says is planned before anybody is killed, and then carried out
    waits: bool = False  # for the servers' ends, before the host is started again

    def settings(self, base: Settings) -> Settings:
        return base.model_copy(
            update={
                "tools": {**base.tools, **self.tools},
                "servers": {name: server.model_copy(update={"restarts": 50}) for name, server in _servers(base)},
                # Hundreds of cases share one day.
                "limits": base.limits.model_copy(update={"refunds_per_day_cents": 10**12}),
            }
        )


def everything(scene: Scene) -> list[JsonObject]:
    """Reads together, a note, a priority that a person chooses, money, a reset, nonsense, a nudge, a reply, the end."""
    call, number = scene.words.call, scene.number
    turns: list[list[JsonObject]] = [
        [
            call("ticketing.search_knowledge_base", query="log in"),
            call("customers.list_invoices"),
            call("ticketing.summarize_ticket"),
        ],
        [call("ticketing.add_internal_note", body="Looked at it."), call("ticketing.set_priority")],
        [call("customers.issue_refund", invoice_id=f"inv_{number}_1", reason="Charged twice.")],
        [call("customers.send_password_reset"), call("ticketing.close_ticket", no="such argument")],
        [scene.words.say("I am thinking about it.")],
        [call("ticketing.reply_to_customer", body="Hi, is it better now? — Support Team")],
        [call("ticketing.close_ticket", resolution="Hi, forget the saved login. — Support Team")],
        [scene.words.say("Done.")],
    ]
    return turns[scene.turn]


def planned(scene: Scene) -> list[JsonObject]:
    """A note, money that a person must allow, and the end."""
    call, number = scene.words.call, scene.number
    turns: list[list[JsonObject]] = [
        [
            call("ticketing.add_internal_note", body="Looked at it."),
            call("customers.issue_refund", invoice_id=f"inv_{number}_1", reason="Charged twice."),
        ],
        [call("ticketing.close_ticket", resolution="Hi, it is paid back. — Support Team")],
        [scene.words.say("Done.")],
    ]
    return turns[scene.turn]


def nothing_but_talk(scene: Scene) -> list[JsonObject]:
    """A note, then talk, and talk again after the nudge: the host hands the ticket over by itself."""
    turns: list[list[JsonObject]] = [
        [scene.words.call("ticketing.add_internal_note", body="Looked at it.")],
        [scene.words.say("I wonder.")],
        [scene.words.say("I still wonder.")],
    ]
    return turns[scene.turn]


def parcels(scene: Scene) -> list[JsonObject]:
    """A parcel and a credit by way of a server that knows no keys; what is unknown is looked up first."""
    call, told = scene.words.call, scene.last_results
    last = scene.last_calls[-1] if scene.last_calls else ""
    look = [call("ticketing.search_knowledge_base", query="parcel"), call("courier.find_parcels")]
    if last == "courier__find_parcels" and "sent:" in told:
        return [call("courier.credit", reason="It was late.")]
    if last == "courier__find_parcels" and "nothing was sent" in told:
        return [call("courier.send_parcel", label="A new one.")]
    if last == "courier__send_parcel" and "sent" in told and "unknown" not in told:
        return [call("courier.credit", reason="It was late.")]
    if last == "courier__credit":
        is_made = "credited" in told
        return [call("ticketing.close_ticket", resolution="Hi, it is on its way. — Support Team")] if is_made else look
    if last == "ticketing__close_ticket":
        return [scene.words.say("Done.")]
    return look


def anything(scene: Scene) -> list[JsonObject]:
    """Whatever comes to mind, in any order, several at once, and at some time an end."""
    words, chance, number = scene.words, scene.words.chance, scene.number
    if scene.turn >= 3 and chance.random() < 0.15:
        return [{"stop": chance.choice(["refusal", "max_tokens", "pause_turn"])}]
    if chance.random() < 0.1:
        return [words.say("I wonder.")]
    if scene.turn >= 4 and chance.random() < 0.6:
        return [_ending(words)]
    menu: list[Callable[[], JsonObject]] = [
        lambda: words.call("ticketing.search_knowledge_base", query=chance.choice(["log in", "invoice", "x"])),
        lambda: words.call("customers.list_invoices"),
        lambda: words.call("customers.list_sessions"),
        lambda: words.call("ticketing.search_tickets", query="subject"),
        lambda: words.call("ticketing.add_internal_note", body="A thought."),
        lambda: words.call("ticketing.set_priority", **chance.choice([{}, {"priority": "low"}, {"priority": "no"}])),
        lambda: words.call("customers.issue_refund", invoice_id=f"inv_{number}_{chance.randrange(1, 4)}", reason="So."),
        lambda: words.call("customers.send_password_reset"),
        lambda: words.call("customers.resend_invoice", invoice_id=f"inv_{number}_1"),
        lambda: words.call("customers.revoke_sessions"),
        lambda: words.call("ticketing.no_such_tool"),
    ]
    if not any("summarize_ticket" in str(message) for message in scene.messages):
        menu.append(lambda: words.call("ticketing.summarize_ticket"))
    return [made() for made in chance.sample(menu, chance.randrange(1, 4))]


def _ending(words: Words) -> JsonObject:
    endings = [
        lambda: words.call("ticketing.close_ticket", resolution="Hi, done. — Support Team"),
        lambda: words.call("ticketing.escalate_ticket", reason="A person must look."),
        lambda: words.call("ticketing.reply_to_customer", body="Hi, which one? — Support Team"),
    ]
    return words.chance.choice(endings)()


def _any_form(words: Words) -> FormAnswer:
    priorities = ["low", "normal", "high", "urgent"]
    accepted = FormAnswer(action="accept", content={"priority": words.chance.choice(priorities)})
    return words.chance.choice([accepted, accepted, FormAnswer(action="decline")])


def _servers(settings: Settings) -> list[tuple[str, ServerSettings]]:
    return [(name, settings.server(name)) for name in (*HELPDESK, COURIER)]


_TICKET = {"ticket_id": "ticket.id"}

STORIES: Mapping[str, Story] = {
    "everything": Story(says=everything, endings=frozenset({"closed"})),
    # A call whose server dies twice under it is given up.
    "given-up": Story(says=everything, endings=frozenset({"closed", "escalated"}), is_scripted=False),
    "applied": Story(says=planned, endings=frozenset({"closed"}), is_applied=True),
    "handed-over": Story(says=nothing_but_talk, endings=frozenset({"escalated"})),
    "without-keys": Story(
        says=parcels,
        servers=(*HELPDESK, COURIER),
        tools={
            "courier.find_parcels": ToolSettings(effect=Effect.READ, bind=_TICKET),
            "courier.send_parcel": ToolSettings(effect=Effect.WRITE, bind=_TICKET),
            "courier.credit": ToolSettings(effect=Effect.MONEY, bind=_TICKET),
        },
        endings=frozenset({"closed", "escalated"}),
        is_scripted=False,
        # It keeps no keys: what its dead client has asked of it can still happen, behind everyone's back.
        waits=True,
    ),
    "by-chance": Story(
        says=anything,
        grants=lambda words: words.chance.random() < 0.7,
        form=_any_form,
        endings=frozenset({"closed", "escalated", "pending"}),
        is_scripted=False,
    ),
}
