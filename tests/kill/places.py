"""Where killed runs leave their traces: one journal, both stores, and in them a ticket and a customer for each case."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Self

from pydantic import SecretStr

from agent.journal import open_journal, upgrade_journal
from agent.settings import Settings
from servers.customers.store import insert_demo as insert_customers
from servers.customers.tables import SCHEMA as CUSTOMERS
from servers.database import upgrade_database
from servers.ticketing.arrivals import insert_demo as insert_tickets
from servers.ticketing.tables import SCHEMA as TICKETING
from tests.fakes.helpdesk import ARTICLES, ticket
from tests.fakes.runs import default_settings
from tests.kill.points import Fault

FIRST = 700_000
"""The number of a ticket is that of its case and this: in no text does it stand for anything else."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """One run: what happens in it, and who is killed where, in each of its lives."""

    number: int
    story: str
    seed: str  # of all chance in it
    faults: Sequence[Fault] = ()

    @property
    def ticket_id(self) -> str:
        return str(self.number)

    def moved(self, by: int) -> "Case":
        """Return the same case with another number."""
        return replace(self, number=self.number + by)

    @classmethod
    def of(cls, document: dict[str, Any]) -> Self:
        faults = [Fault.of(fault) for fault in document.pop("faults")]
        return cls(**document, faults=faults)

    def as_json(self) -> dict[str, Any]:
        return {**vars(self), "faults": [asdict(fault) for fault in self.faults]}


@dataclass(frozen=True, kw_only=True)
class Place:
    """One journal and both stores: files of a folder, or all of them in one PostgreSQL database."""

    folder: Path
    url: str | None = None  # of the PostgreSQL database

    @property
    def home(self) -> Path:
        return self.folder / "home"

    @property
    def courier_log(self) -> Path:
        return self.folder / "courier"

    def of(self, case: Case) -> Path:
        """The folder of what is known about one case, beside the databases."""
        return self.folder / str(case.number)

    def database(self, component: str) -> str:
        return self.url or f"sqlite:///{self.home / component}.sqlite"

    def settings(self) -> Settings:
        base = default_settings(self.home)
        return base if self.url is None else base.model_copy(update={"journal": SecretStr(self.url)})

    def make(self, cases: Sequence[Case]) -> None:
        """Make the databases with what the cases need; for a process that ends then: it leaves connections behind."""
        knowledge = self.home / "knowledge"
        knowledge.mkdir(parents=True)
        for slug, text in ARTICLES.items():
            (knowledge / f"{slug}.md").write_text(text, encoding="utf-8")
        numbers = [case.number for case in cases]
        for case in cases:
            self.of(case).mkdir()
        tickets = [ticket(number, _address(number), tags=["login"]) for number in numbers]
        upgrade_database(self.database("ticketing"), TICKETING, lambda c: insert_tickets(c, tickets))
        upgrade_database(self.database("customers"), CUSTOMERS, lambda c: insert_customers(c, map(_customer, numbers)))
        upgrade_journal(self.settings())
        open_journal(self.settings())


def _address(number: int) -> str:
    return f"c{number}@example.com"


def _customer(number: int) -> dict[str, Any]:
    amounts = enumerate((12_000, 900, 1200), start=1)
    return {
        "id": f"cus_{number}",
        "email": _address(number),
        "name": "Alice Hartwell",
        "account_tier": "pro",
        "verified": True,
        "plan": "pro-yearly",
        "contact_email": _address(number),
        "marketing_opt_in": True,
        "invoices": [
            {
                "id": f"inv_{number}_{place}",
                "amount_cents": amount,
                "currency": "USD",
                "status": "paid",
                "issued_at": f"2026-0{place}-02T06:00:00Z",
                "description": "Pro",
            }
            for place, amount in amounts
        ],
        "sessions": [
            {
                "id": f"ses_{number}_{place}",
                "device": "Firefox",
                "location": "Leeds",
                "last_seen_at": "2026-11-16T07:30:41Z",
            }
            for place in (1, 2)
        ],
    }
