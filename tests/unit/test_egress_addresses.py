"""No e-mail address leaves but the requester's and the company's, however it is written."""

# ruff: noqa: RUF001 - characters that look like others are what is tested

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fakes.egress import around, disguised, egress, found, hidden, rules

OWN = "From: Alice Hartwell <alice@example.com>\nPlease write to alice.h+notes@mail.example.org instead."


@pytest.mark.parametrize(
    "text",
    [
        "Write to bob@example.com.",
        "Write to BOB@Example.Com!",
        "bob@example.com",
        "mailto:bob@example.com",
        "<mailto:bob@example.com?subject=Hi>",
        "[write](mailto:bob@example.com)",
        "https://thistle.example.com/?user=bob@example.com",
        "https://thistle.example.com/?user=bob%40example.com",
        "Bob <bob@example.com>, his colleague",
        "'bob@example.com'",
        "*bob@example.com*",
        "b\u200bob\u2060@exam\u00adple.com",
        "ｂｏｂ＠ｅｘａｍｐｌｅ．ｃｏｍ",
        "bob＠example․com",
        "bob@example。com",
        "bob@example·com",
        "bob&#64;example&#46;com",
        "bob&commat;example&period;com",
        "bob%40example%2Ecom",
        "b\u0336o\u0336b\u0336@\u0336example.com",
        "bob (at) example (dot) com",
        "bob [at] example.com",
        "bob{at}example{dot}com",
        "bob(at)example.com",
        "bob at example dot com",
        "bob AT example DOT co DOT uk",
        "bob (ät) example (punkt) com",
        "bob arroba example punto com",
        "bob arobase example point com",
        "bob @ example.com",
        "bob @ example . com",
        "bob@example dot com",
        "bob@\nexample.com",
        "bob@exam\nple.com",
        "bob@example.\n> com",
        "bob@example\n.com",
        "bob@192.0.2.7",
        "bob@[192.0.2.7]",
        "бob@example.com",
        "アドレスはbob@example.comです。",
        "boб@пример.рф",
        "名前@例え.jp",
        "bob.alice@example.com",
        "xalice@example.com",
        "alice@example.com.evil.net",
        "alice@example.co",
        "alice+x@example.com",
        "boss@thistle.example.com",
        "support@thistle.example.com.evil.net",
        "a@b.cc@example.com",
    ],
)
def test_an_address_of_somebody_else_is_found(text: str):
    made = egress(OWN)
    assert "address" in rules(made, text)
    assert made.violations(made.withheld(text)) == ()


@pytest.mark.parametrize(
    "text",
    [
        "alice@example.com",
        "We wrote to ALICE@EXAMPLE.COM.",
        "alice@example.com.Please look there.",
        "mailto:alice@example.com",
        "(alice@example.com)",
        "**alice@example.com**",
        "alice (at) example (dot) com",
        "al\u200bice@example.com",
        "アドレスはalice@example.comです。",
        "alice@example.com으로 보냈습니다",
        "alice@example.com point taken",
        "alice.h+notes@mail.example.org",
        "write to support@thistle.example.com, or wait for no-reply@thistle.example.com",
        "alice@\nexample.com",
        "Grüße an alice@example.com\nIhr Team",
    ],
)
def test_the_requesters_address_and_the_companys_may_leave(text: str):
    assert found(egress(OWN), text) == []


@pytest.mark.parametrize(
    "text",
    [
        "Sign in at app.thistle.example.com and look at this point in the list.",
        "We met at noon. In the app, everything is at its place.",
        "The file is called logo@2x.png.",
        "Install thistle@2.1.10, or thistle@latest.",
        "5 seats @ USD 14.00, from @thistle on",
        "@alice thanks!",
        "Look (at) this.",
        "We are @ work. It is late.",
    ],
)
def test_what_only_looks_a_little_like_an_address_may_leave(text: str):
    assert rules(egress(OWN), text) == []


def test_the_model_is_told_which_address_and_what_to_do():
    violations = egress(OWN).violations("Ask bob@example.com or BOB@example.com.")
    assert [violation.found for violation in violations] == ["bob@example.com"]
    assert violations[0].because == (
        "bob@example.com is neither the requester's address nor the company's: leave it out."
    )


def test_an_address_becomes_own_when_the_requester_has_named_it():
    made = egress()
    assert rules(made, "bob@example.com") == ["address"]
    made.own("Please write to Bob@Example.com from now on.")
    assert rules(made, "bob@example.com") == []


def test_an_address_is_withheld_where_it_stands():
    assert egress(OWN).withheld("Ask b\u200bob＠example․com, please.") == "Ask [withheld: an e-mail address], please."


@given(text=hidden("bob@mail.example.com"))
def test_a_disguised_address_is_found_in_any_surroundings(text: str):
    made = egress(OWN)
    assert "address" in rules(made, text)
    assert made.violations(made.withheld(text)) == ()


LOCAL = st.from_regex(r"[a-z][a-z0-9]{0,8}([._+-][a-z0-9]{1,5})?", fullmatch=True)
DOMAIN = st.from_regex(r"[a-z][a-z0-9-]{0,8}[a-z0-9](\.[a-z]{2,5})?\.(com|net|org|de|co\.uk|io)", fullmatch=True)


@given(data=st.data(), local=LOCAL, domain=DOMAIN)
def test_any_address_is_found_and_none_once_it_is_own(data: st.DataObject, local: str, domain: str):
    text = data.draw(around(disguised(f"{local}@{domain}")))
    assert "address" in rules(egress(OWN), text)
    assert rules(egress(f"I am {local}@{domain}."), text) == []


@given(text=st.sampled_from(["alice@example.com", "support@thistle.example.com"]).flatmap(hidden))
def test_a_disguised_address_of_the_requester_or_the_company_is_never_reported(text: str):
    assert rules(egress(OWN), text) == []


def test_an_address_in_json_is_the_address():
    made = egress('{"said": "Thanks\\nalice@example.com"}')
    assert rules(made, "Thanks, alice@example.com") == []
    assert rules(made, '{"to": "bob\\u0040example.com"}') == ["address"]
