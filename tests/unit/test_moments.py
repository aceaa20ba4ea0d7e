"""Points in time as options say them."""

from datetime import UTC, datetime, timedelta

import pytest

from agent.commands.moments import moment
from agent.errors import UsageError

NOW = datetime(2026, 11, 22, 18, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "ago"),
    [("30m", timedelta(minutes=30)), ("6h", timedelta(hours=6)), ("2d", timedelta(days=2)), ("1W", timedelta(days=7))],
)
def test_so_long_ago_counts_from_now(text: str, ago: timedelta):
    assert moment(text, now=NOW) == NOW - ago


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("2026-11-20", datetime(2026, 11, 20, tzinfo=UTC)),
        ("2026-11-20T17:15", datetime(2026, 11, 20, 17, 15, tzinfo=UTC)),
        (" 2026-11-20T17:15:00+02:00 ", datetime(2026, 11, 20, 15, 15, tzinfo=UTC)),
        ("2026-11-20T17:15Z", datetime(2026, 11, 20, 17, 15, tzinfo=UTC)),
    ],
)
def test_a_date_is_its_first_moment_and_what_names_no_zone_is_utc(text: str, meant: datetime):
    assert moment(text, now=NOW) == meant


@pytest.mark.parametrize("text", ["", "soon", "5", "2y", "-2d", "999999w", "2026-13-01", "0001-01-01T00:00+14:00"])
def test_anything_else_is_a_sentence_with_examples(text: str):
    with pytest.raises(UsageError, match=r"is no point in time: write 2026-11-22, 2026-11-22T17:15, 6h or 2d\."):
        moment(text, now=NOW)
