"""An id that was read in a run is somebody's, unless the requester has it too."""

# ruff: noqa: RUF001 - characters that look like others are what is tested

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fakes.egress import around, disguised, egress, found, hidden, rules

UUID = "550e8400-e29b-41d4-a716-446655440000"
SEEN = f"inv_2043 of cus_8f3k, see INV-2026-001; {{'issue': 'JIRA-77', 'number': 10023, 'session': '{UUID}'}}"


@pytest.mark.parametrize(
    "text",
    [
        "inv_2043",
        "INV_2043",
        "invoice inv-2043.",
        "inv 2043",
        "i n v 2043",
        "inv2043",
        "inv\u200b_\u200b2043",
        "ｉｎｖ＿２０４３",
        "inv&#95;2043",
        "cus_8f3k",
        "CUS 8F3K",
        "INV-2026-001",
        "inv 2026 001",
        "JIRA-77",
        "jira#77",
        "Jira 77",
        "10023",
        "100-23",
        "customer 10023.",
        UUID,
        UUID.upper(),
        UUID.replace("-", ""),
        UUID.replace("-", " "),
        "請求書inv_2043です",
        "https://thistle.example.com/inv_2043",
    ],
)
def test_an_id_of_somebody_else_is_found(text: str):
    made = egress("I am Alice, invoice inv_1001.", seen=(SEEN,))
    assert rules(made, text) == ["id"]
    assert made.violations(made.withheld(text)) == ()


@pytest.mark.parametrize(
    "text", ["inv_1001", "inv_20431", "xinv_2043", "10024", "1002", "JIRA-7", "JIRA-78", "2043", "cus_"]
)
def test_an_id_that_was_not_read_of_others_may_leave(text: str):
    assert rules(egress("inv_1001", seen=(SEEN, "inv_1001")), text) == []


def test_an_id_that_the_requester_has_too_is_their_own():
    made = egress(seen=(SEEN,))
    assert found(made, "Invoice inv_2043 is paid.") == [("id", "inv_2043")]
    made.own("Where is INV-2043?")
    assert found(made, "Invoice inv_2043 is paid.") == []


def test_the_requesters_longer_id_does_not_make_a_shorter_one_their_own():
    assert rules(egress("inv_20431 and xinv_2043", seen=(SEEN,)), "inv_2043") == ["id"]


def test_an_id_is_known_from_the_moment_it_is_read():
    made = egress()
    assert rules(made, "inv_2043") == []
    made.seen(SEEN)
    assert rules(made, "inv_2043") == ["id"]


@pytest.mark.parametrize(
    "words",
    [
        "UTF-8, SHA-256, ISO-8601, RFC 7231, AES-256, TLS-1.3, HTTP-429, IPv6, OAuth2, WPA2, MP3, USB-3",
        "2FA, 24h, 90-day, 25MB, 250 MB, 1GB, 3rd, 2x, 15-minute, 30-tägig",
        "2026-11-16, 2026-11-16T07:42:10Z, 20261116, 14:30, 16.11.2026",
        "v2, v2.1.10, 10.15.7, Pixel 8, windows-11, iPhone-15, COVID-19, page-12, step_2",
        "429, 503, 443, 5,000, 5.000, 1 000, 98.5",
        "app.thistle.example.com, notes:read, updated_after, /v1/notes",
    ],
)
def test_measures_dates_versions_and_standards_that_were_read_are_nobodys(words: str):
    assert found(egress(seen=(words,)), words) == []


def test_an_amount_is_not_the_number_that_its_digits_make():
    assert rules(egress(seen=('{"amount_cents": 16800}',)), "We refunded USD 168.00.") == []


def test_the_model_is_told_which_id():
    violation = egress(seen=(SEEN,)).violations("It is inv_2043.")[0]
    assert violation.because == "inv_2043 was read in this run and is nothing of the requester's: leave it out."


IDS = st.one_of(
    st.from_regex(r"(inv|cus|ses|ord)_[a-z0-9]{3}[0-9]{2,5}", fullmatch=True),
    st.from_regex(r"[A-Z]{3,5}-[1-9][0-9]{2,5}", fullmatch=True),
    st.from_regex(r"[1-9][0-9]{5,6}", fullmatch=True),
    st.uuids().map(str),
)


@given(data=st.data(), one=IDS)
def test_any_id_that_was_read_is_found_and_none_once_it_is_own(data: st.DataObject, one: str):
    text = data.draw(around(disguised(one)))
    made = egress(seen=(f"id: {one}",))
    assert rules(made, text)
    assert made.violations(made.withheld(text)) == ()
    assert "id" not in rules(egress(f"my {one}", seen=(f"id: {one}",)), text)


@given(text=hidden("inv_1001"))
def test_a_disguised_id_of_the_requester_is_never_reported(text: str):
    assert rules(egress("inv_1001", seen=(SEEN, "inv_1001")), text) == []
