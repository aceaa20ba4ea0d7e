"""The demo helpdesk's content: its shapes, and that its parts fit together."""

import json
import re
from collections import Counter
from datetime import datetime, timedelta

import pytest

from servers import demo

TICKETS = demo.tickets()
CUSTOMERS = demo.customers()
ARTICLES = demo.articles()

TICKET_KEYS = {
    "id", "subject", "requester", "channel", "status", "priority", "type", "language", "assignee", "group", "tags",
    "created_at", "messages",
}  # fmt: skip
CUSTOMER_KEYS = {
    "id", "email", "name", "account_tier", "verified", "plan", "contact_email", "marketing_opt_in", "invoices",
    "sessions",
}  # fmt: skip


def by_id(ticket_id: str):
    return next(ticket for ticket in TICKETS if ticket["id"] == ticket_id)


def moment(text: str) -> datetime:
    assert text.endswith("Z"), text
    return datetime.fromisoformat(text)


@pytest.mark.parametrize("ticket", TICKETS, ids=lambda ticket: ticket["id"])
def test_a_ticket_has_the_helpdesk_s_words(ticket):
    assert set(ticket) == TICKET_KEYS
    assert ticket["channel"] in {"email", "web", "chat", "phone"}
    assert ticket["status"] in {"new", "open", "pending", "hold", "solved", "closed"}
    assert ticket["priority"] in {"low", "normal", "high", "urgent"}
    assert ticket["type"] in {"question", "incident", "problem", "task", None}
    assert ticket["language"] is None or re.fullmatch(r"[a-z]{2,3}(-[A-Za-z0-9]+)*", ticket["language"])
    assert ticket["group"] == "support"
    assert ticket["id"].isdecimal()


@pytest.mark.parametrize("ticket", TICKETS, ids=lambda ticket: ticket["id"])
def test_a_ticket_begins_with_its_customer_and_goes_on_in_time(ticket):
    messages = ticket["messages"]
    assert messages[0]["kind"] == "customer"
    assert messages[0]["at"] == ticket["created_at"]
    times = [moment(message["at"]) for message in messages]
    assert times == sorted(times)
    for message in messages:
        assert set(message) == {"author", "kind", "body", "at"}
        assert message["kind"] in {"customer", "public_reply", "internal_note"}
        assert message["body"].strip()


@pytest.mark.parametrize("customer", CUSTOMERS, ids=lambda customer: customer["id"])
def test_a_customer_has_a_tier_invoices_and_sessions(customer):
    assert set(customer) == CUSTOMER_KEYS
    assert re.fullmatch(r"cus_\d+", customer["id"])
    assert customer["account_tier"] in {"free", "pro", "enterprise"}
    assert customer["plan"].startswith(customer["account_tier"])
    for flag in ("verified", "marketing_opt_in"):
        assert isinstance(customer[flag], bool)
    for invoice in customer["invoices"]:
        assert set(invoice) == {"id", "amount_cents", "currency", "status", "issued_at", "description"}
        assert re.fullmatch(r"inv_\d+", invoice["id"])
        assert type(invoice["amount_cents"]) is int
        assert invoice["amount_cents"] > 0
        assert invoice["currency"] in {"USD", "EUR", "JPY"}
        assert invoice["status"] in {"paid", "open", "refunded"}
        moment(invoice["issued_at"])
    for session in customer["sessions"]:
        assert set(session) == {"id", "device", "location", "last_seen_at"}
        moment(session["last_seen_at"])


def test_nothing_has_the_same_id_twice():
    invoices = [invoice["id"] for customer in CUSTOMERS for invoice in customer["invoices"]]
    sessions = [session["id"] for customer in CUSTOMERS for session in customer["sessions"]]
    for ids in (
        [ticket["id"] for ticket in TICKETS],
        [customer["id"] for customer in CUSTOMERS],
        [customer["email"] for customer in CUSTOMERS],
        invoices,
        sessions,
    ):
        assert max(Counter(ids).values()) == 1


def test_the_first_two_tickets_are_the_ones_that_the_documentation_shows():
    tiers = {customer["email"]: customer["account_tier"] for customer in CUSTOMERS}
    first, second = by_id("42"), by_id("43")
    assert (first["subject"], first["requester"]) == ("Cannot log in after password change", "alice@example.com")
    assert (second["subject"], second["requester"]) == ("Invoice PDF not loading", "bob@example.com")
    assert (tiers["alice@example.com"], tiers["bob@example.com"]) == ("pro", "free")


def test_the_queue_holds_what_a_real_one_does():
    known = {customer["email"] for customer in CUSTOMERS}
    assert len(TICKETS) >= 22
    assert [ticket["id"] for ticket in TICKETS if ticket["assignee"] == "Maria"] == ["58"]
    assert [ticket["id"] for ticket in TICKETS if ticket["status"] == "pending"] == ["59"]
    assert [ticket["id"] for ticket in TICKETS if ticket["status"] in {"solved", "closed"}] == ["60"]
    assert {ticket["id"] for ticket in TICKETS if ticket["requester"] not in known} == {"55", "57", "61"}
    assert by_id("50")["requester"] == by_id("51")["requester"]
    assert by_id("50")["subject"] == by_id("51")["subject"]


@pytest.mark.parametrize(("ticket_id", "is_small"), [("44", True), ("45", False)])
def test_refunds_below_and_above_a_hundred_dollars_are_recent_and_paid(ticket_id: str, is_small: bool):
    ticket = by_id(ticket_id)
    (named,) = re.findall(r"inv_\d+", ticket["messages"][0]["body"])
    customer = next(customer for customer in CUSTOMERS if customer["email"] == ticket["requester"])
    invoice = next(invoice for invoice in customer["invoices"] if invoice["id"] == named)
    assert (invoice["amount_cents"] <= 10_000) is is_small
    assert invoice["status"] == "paid"
    assert timedelta(0) < moment(ticket["created_at"]) - moment(invoice["issued_at"]) < timedelta(days=30)


def test_nothing_points_outside_the_domains_reserved_for_examples():
    everything = json.dumps([TICKETS, CUSTOMERS, ARTICLES], ensure_ascii=False)
    domains = re.findall(r"(?:@|https?://)([\w.-]+\.\w+)", everything)
    assert domains
    assert [domain for domain in domains if not re.search(r"(^|\.)example\.(com|org|net)$", domain)] == []


@pytest.mark.parametrize("slug", sorted(ARTICLES))
def test_an_article_has_a_title_tags_and_an_answer_before_its_first_heading(slug: str):
    lines = ARTICLES[slug].splitlines()
    assert re.fullmatch(r"# \S.*", lines[0])
    assert re.fullmatch(r"Tags: \S.*", lines[1])
    assert lines[2] == ""
    lead = lines[3]
    assert re.match(r"\w", lead)
    assert 1 <= len(re.findall(r"[.!?](?=\s|$)", lead)) <= 2, "an answer fits into a reply of two sentences"
    assert ARTICLES[slug].endswith("\n")


def test_articles_refer_to_articles_that_exist():
    titles = {text.splitlines()[0].removeprefix("# ") for text in ARTICLES.values()}
    referred = re.findall(r"[Ss]ee \*\*(.+?)\*\*", "\n".join(ARTICLES.values()))
    assert referred
    assert set(referred) <= titles
