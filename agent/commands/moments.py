"""Points in time as options say them: a date, a moment, or so long ago."""

import re
from datetime import UTC, datetime, timedelta

from agent.errors import UsageError

_AGO = re.compile(r"(\d{1,6})\s*([a-z]+)")
_UNITS = {"m": "minutes", "min": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def moment(text: str, *, now: datetime) -> datetime:
    """Return the point in time that is meant, in UTC: `2026-11-22`, `2026-11-22T17:15`, `30m`, `6h`, `2d`, `1w`.

    A date is its first moment; what names no time zone is in UTC, as run ids and everything shown are.

    Raises:
        UsageError: it is none of these.
    """
    ago = _AGO.fullmatch(text.strip().lower())
    try:
        if ago is not None and ago[2] in _UNITS:
            return now - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        named = datetime.fromisoformat(text.strip())
        return named.replace(tzinfo=UTC) if named.tzinfo is None else named.astimezone(UTC)
    except (ValueError, OverflowError):
        raise UsageError(f"{text!r} is no point in time: write 2026-11-22, 2026-11-22T17:15, 6h or 2d.") from None
