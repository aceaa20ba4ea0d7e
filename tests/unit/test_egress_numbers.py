"""No phone, card or account number leaves but the requester's and the company's, however it is written."""

# ruff: noqa: RUF001 - characters that look like others are what is tested

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stdnum import luhn

from agent.settings import Company
from tests.fakes.egress import COMPANY, around, disguised, egress, found, hidden, rules

OWN = (
    "You can call me at (206) 555-0199 or 0170 1234567. I paid with 4242 4242 4242 4242, "
    "and my account is DE89 3704 0044 0532 0130 00."
)


@pytest.mark.parametrize(
    "text",
    [
        "Call +49 170 7654321",
        "Call +49 (0) 170 765 43 21.",
        "(+49) 170/7654321",
        "+491707654321",
        "+49-170-76-54-321",
        "+49 · 170 · 7654321",
        "0049 170 7654321",
        "0170 7654321",
        "0170/765 43 21",
        "01707654321",
        "030 901820",
        "(206) 555-0100",
        "206-555-0100",
        "206.555.0100",
        "206 – 555 – 0100",
        "1-206-555-0100",
        "Call 2065550100, please.",
        "tel:2065550100",
        "tel:+1-206-555-0100",
        "[call](tel:+12065550100)",
        "his mobile is 2065550100",
        "+1 206 555 0100",
        "+81 3-1234-5678",
        "電話:+81 3-1234-5678です",
        "+33 6 12 34 56 78",
        "２０６－５５５－０１００",
        "2\u200b06-5\u200b55-01\u200b00",
        "&#50;06-555-0100",
        "2 0 6 5 5 5 0 1 0 0",
        "206-555-\n0100",
        "2️⃣0️⃣6️⃣-555-0100",
        "٢٠٦-٥٥٥-٠١٠٠",
        "Ticket 42, (206) 555-0100",
        "(206) 555-0100 €9.00",
        "README.md 0170 7654321 €9.00 nous restart",
        "$206-555-0100 USD",
        "+49 170 1234567 0170 7654321",
        "https://thistle.example.com/?p=%2B1%20206%20555%200100",
    ],
)
def test_a_phone_number_of_somebody_else_is_found(text: str):
    made = egress(OWN)
    assert rules(made, text) == ["phone"]
    assert made.violations(made.withheld(text)) == ()


@pytest.mark.parametrize(
    "text",
    [
        "(206) 555-0199",
        "We called +1 206 555 0199.",
        "+12065550199",
        "206.555.0199",
        "01701234567",
        "+49 170 1234567",
        "0049 170 12 34 567",
        "Our number is +1 206 555 0123 or 206-555-0123.",
        "+49 170 1234567 €9.00",
    ],
)
def test_the_requesters_phone_number_and_the_companys_may_leave(text: str):
    assert found(egress(OWN), text) == []


def test_a_number_of_a_region_that_is_not_configured_is_found_with_its_country():
    made = egress(company=Company(regions=("DE",)))
    assert rules(made, "+33 6 12 34 56 78") == ["phone"]
    assert rules(made, "612 34 56 78") == []
    assert rules(egress(company=Company(regions=("FR",))), "06 12 34 56 78") == ["phone"]
    assert rules(egress("mon numéro : 06 12 34 56 78", company=Company(regions=("DE",))), "+33 6 12 34 56 78") == []


@pytest.mark.parametrize(
    "text",
    [
        "on 2026-11-16 at 14:30:22",
        "on 16.11.2026, 09:00 - 17:30",
        "11/16/2026 and 01/02/26",
        "2026-11-16T07:42:10Z",
        "version 2.1.10, build 10.15.7",
        "1 234 567 EUR, 1.234.567,89 € and $1,234,567.00",
        "EUR 0.99, 1.99 and 2.99",
        "order 302-4551234-889",
        "invoice INV-2026-0011-2233",
        "invoice no. 2026001234",
        "Ticket #2065550100",
        "between 100 and 200, 300 and 400",
        "steps 1, 2, 3, 4, 5, 6 and 7",
        "550e8400-e29b-41d4-a716-446655440000",
        "10.0.19045.3570",
        "429, 503, 30, 120, 600",
        "2025 2026 2027",
        "7 days, 30 days, 90 days and 365 days",
        "0.5 to 1.5 seconds",
        "192.168.178.1 on port 443",
        "parcel JD01 4600 0043 2108 5012",
        "parcel 0034 0434 1610 9404 2557",
    ],
)
def test_dates_versions_amounts_and_the_numbers_of_things_are_no_phone_numbers(text: str):
    assert found(egress(OWN), text) == []


@given(text=st.sampled_from(["+49 170 7654321", "(206) 555-0100", "+1-206-555-0100", "0170 7654321"]).flatmap(hidden))
def test_a_disguised_phone_number_is_found_in_any_surroundings(text: str):
    made = egress(OWN)
    assert "phone" in rules(made, text)
    assert made.violations(made.withheld(text)) == ()


SEPARATORS = st.sampled_from(["", " ", "-", ".", " - ", "–", "/", "\u00a0", "\n", "_", "·", "\u200b", "  "])


@st.composite
def card_numbers(draw: st.DrawFn) -> str:
    start = draw(st.sampled_from(["4", "51", "55", "2221", "37", "6011"]))
    length = 15 if start == "37" else 16
    body = start + "".join(draw(st.lists(st.sampled_from("0123456789"), min_size=length, max_size=length)))
    return body[: length - 1] + luhn.calc_check_digit(body[: length - 1])


@st.composite
def grouped(draw: st.DrawFn, digits: str) -> str:
    between = draw(SEPARATORS)
    ends = draw(st.sampled_from([(4, 8, 12), tuple(range(1, len(digits))), (), (4, 10)]))
    parts = [digits[start:end] for start, end in zip((0, *ends), (*ends, len(digits)), strict=True)]
    return between.join(parts)


@given(data=st.data(), digits=card_numbers())
def test_any_card_number_is_found_and_none_once_it_is_own(data: st.DataObject, digits: str):
    text = data.draw(around(grouped(digits).flatmap(disguised)))
    made = egress(OWN)
    assert "card" in rules(made, text)
    assert made.violations(made.withheld(text)) == ()
    assert "card" not in rules(egress(f"My card is {digits}."), text)


@pytest.mark.parametrize(
    "text",
    [
        "4111 1111 1111 1111",
        "4111-1111-1111-1111",
        "4111111111111111",
        "card 2026: 4111 1111 1111 1111 (12/29)",
        "3782 822463 10005",
        "3782-8224-6310-005",
        "4111, 1111, 1111, 1111",
        "4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1",
        "4111 1111\n1111 1111",
    ],
)
def test_a_card_number_of_somebody_else_is_found_and_is_not_taken_for_a_phone_number(text: str):
    assert rules(egress(OWN), text) == ["card"]


@pytest.mark.parametrize(
    "text",
    [
        "4242 4242 4242 4242",
        "4242424242424242",
        "the card that ends with 4242",
        "**** **** **** 1111",
        "4111 1111 1111 1112",
        "1234 5678 9012 3456",
        "0000 0000 0000 0000",
        "20261116143022",
    ],
)
def test_the_requesters_card_and_what_is_no_card_number_may_leave(text: str):
    assert found(egress(OWN), text) == []


@pytest.mark.parametrize(
    "text",
    [
        "GB82 WEST 1234 5698 7654 32",
        "gb82west12345698765432",
        "GB82-WEST-1234-5698-7654-32 is the account",
        "DE89370400440532013000 and GB82 WEST 1234 5698 7654 32 thanks",
        "FR14 2004 1010 0505 0001 3M02 606",
        "IBAN:ＧＢ８２ WEST 1234 5698 7654 32",
        "GB82 WEST 1234\n5698 7654 32",
        "GB 82 WEST 1234 5698 7654 32",
    ],
)
def test_an_account_number_of_somebody_else_is_found(text: str):
    made = egress(OWN)
    assert rules(made, text) == ["account"]
    assert made.violations(made.withheld(text)) == ()


@pytest.mark.parametrize(
    "text", ["DE89370400440532013000", "de89 3704 0044 0532 0130 00", "DE89 3704 0044 0532 0130 01"]
)
def test_the_requesters_account_and_what_has_a_wrong_checksum_may_leave(text: str):
    assert found(egress(OWN), text) == []


@given(text=hidden("GB82 WEST 1234 5698 7654 32"))
def test_a_disguised_account_number_is_found_in_any_surroundings(text: str):
    made = egress(OWN)
    assert "account" in rules(made, text)
    assert made.violations(made.withheld(text)) == ()


OWN_NUMBERS = [
    "(206) 555-0199",
    "+49 170 1234567",
    "4242 4242 4242 4242",
    "DE89 3704 0044 0532 0130 00",
    COMPANY.phones[0],
]


@given(text=st.sampled_from(OWN_NUMBERS).flatmap(hidden))
def test_disguised_numbers_of_the_requester_and_the_company_are_never_reported(text: str):
    assert rules(egress(OWN), text) == []
