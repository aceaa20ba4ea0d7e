"""How typed lines become the values of a server's form."""

from typing import Any

import pytest

from agent.render.forms import UnusableForm, expectation, fields_of, read_answer


def field(**schema: Any):
    return fields_of({"type": "object", "properties": {"it": schema}})[0]


@pytest.mark.parametrize(
    ("schema", "typed", "value"),
    [
        ({"type": "string"}, "any text", "any text"),
        ({"type": "string", "format": "email"}, "a@b.co", "a@b.co"),
        ({"type": "string", "format": "uri"}, "https://example.com/x", "https://example.com/x"),
        ({"type": "string", "format": "date"}, "2026-02-28", "2026-02-28"),
        ({"type": "string", "format": "date-time"}, "2026-02-28T10:00:00Z", "2026-02-28T10:00:00Z"),
        ({"type": "integer"}, "-3", -3),
        ({"type": "number"}, "2.5", 2.5),
        ({"type": "number"}, "2", 2),
        ({"type": "boolean"}, "Yes", True),
        ({"type": "boolean"}, "n", False),
        ({"type": "string", "enum": ["low", "high"]}, "HIGH", "high"),
        ({"type": "string", "enum": ["low", "high"]}, "1", "low"),
        ({"type": "string", "enum": ["2", "1"]}, "1", "1"),
        ({"type": "string", "enum": ["l", "h"], "enumNames": ["Low", "High"]}, "high", "h"),
        ({"type": "string", "oneOf": [{"const": "l", "title": "Low"}, {"const": "h", "title": "High"}]}, "low", "l"),
        ({"type": "array", "items": {"type": "string", "enum": ["a", "b", "c"]}}, "c, 1,c", ["c", "a"]),
        ({"type": "array", "items": {"anyOf": [{"const": "a", "title": "Aha"}]}}, "aha", ["a"]),
        ({"type": "array", "items": {"enum": ["a"]}}, "none", []),
        ({"anyOf": [{"type": "integer", "maximum": 5}, {"type": "null"}]}, "5", 5),
        ({"type": ["string", "null"]}, "x", "x"),
    ],
)
def test_an_answer_is_read_as_its_property_describes_it(schema: dict[str, Any], typed: str, value: Any):
    read = read_answer(field(**schema), typed)
    assert read == value
    assert type(read) is type(value)


@pytest.mark.parametrize(
    ("schema", "typed", "expected"),
    [
        ({"type": "string", "minLength": 3}, "ab", "at least 3 characters"),
        ({"type": "string", "maxLength": 1}, "ab", "at most 1 characters"),
        ({"type": "string", "format": "email"}, "a@b", "an e-mail address"),
        ({"type": "string", "format": "uri"}, "example.com", "an address with its scheme"),
        ({"type": "string", "format": "date"}, "2026-02-30", "a date"),
        ({"type": "string", "format": "date-time"}, "2026-02-28T10:00:00", "a moment with its offset"),
        ({"type": "integer"}, "2.5", "a whole number"),
        ({"type": "number"}, "much", "a number"),
        ({"type": "number"}, "nan", "a finite number"),
        ({"type": "integer", "minimum": 1}, "0", "at least 1"),
        ({"type": "integer", "maximum": 5}, "6", "at most 5"),
        ({"type": "boolean"}, "perhaps", "yes or no"),
        ({"type": "string", "enum": ["low", "high"]}, "3", "a number from 1 to 2"),
        ({"type": "array", "items": {"enum": ["a", "b"]}, "minItems": 1}, "none", "at least 1 of the choices"),
        ({"type": "array", "items": {"enum": ["a", "b"]}, "maxItems": 1}, "a,b", "at most 1 of the choices"),
        ({"type": "string", "pattern": "^x"}, "y", "does not match"),
        ({"type": "string", "$ref": "https://example.com/schema"}, "y", "cannot be checked"),
    ],
)
def test_a_wrong_answer_is_refused_with_what_is_expected(schema: dict[str, Any], typed: str, expected: str):
    with pytest.raises(ValueError, match=expected):
        read_answer(field(**schema), typed)


@pytest.mark.parametrize(
    ("schema", "why"),
    [
        ({"properties": {"a": {"type": "object"}}}, "a is neither text"),
        ({"properties": {"a": {"type": "array", "items": {"type": "string"}}}}, "a is neither text"),
        ({"properties": {"a": {"type": "string"}}, "required": ["b"]}, "requires b without saying what that is"),
        ({"properties": {"a": {"type": "strange"}}}, "its schema is invalid"),
        ({"properties": {"a": True}}, "a is not described"),
        ({"properties": {"a": {"type": "string", "pattern": "("}}}, "its schema is invalid"),
    ],
)
def test_a_form_that_no_person_can_fill_in_says_why(schema: dict[str, Any], why: str):
    with pytest.raises(UnusableForm, match=why):
        fields_of({"type": "object", **schema})


def test_the_bounds_of_an_answer_are_said_before_it_is_given():
    assert expectation(field(type="integer", minimum=1, maximum=5)) == "a whole number, 1 to 5"
    assert expectation(field(type="string", maxLength=80)) == "text, at most 80 characters"
    assert expectation(field(type="boolean")) == "yes or no"
