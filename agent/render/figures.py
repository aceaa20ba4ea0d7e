"""Amounts as people read them: dollars, tokens, seconds, counts, ages."""

from datetime import UTC, datetime

from agent.records import Usage

_AGES = ((60, 60, "min"), (3600, 24, "h"), (86_400, 14, "d"), (604_800, 9, "wk"))  # seconds, most of it, unit


def dollars(cost: float | None) -> str:
    """Return `$0.0123`; an unknown price is said to be unknown, never shown as nothing."""
    if cost is None:
        return "cost unknown"
    if cost == 0:
        return "$0"
    if cost < 0.0001:
        return "<$0.0001"
    return f"${cost:,.4f}" if cost < 1 else f"${cost:,.2f}"


def tokens(usage: Usage) -> str:
    """Return `12,345 tokens in (10,000 cached), 543 out`; what was read from or written to a cache was read too."""
    read = usage.input_tokens + usage.cache_read_tokens + usage.cache_write_tokens
    if read == 0 and usage.output_tokens == 0:
        return "no tokens"
    cached = f" ({usage.cache_read_tokens:,} cached)" if usage.cache_read_tokens else ""
    return f"{read:,} tokens in{cached}, {usage.output_tokens:,} out"


def seconds(duration_s: float) -> str:
    """Return `0.2 s`, `42 s`, `3 min 05 s` or `2 h 04 min`."""
    if duration_s < 9.95:
        return f"{max(duration_s, 0):.1f} s"
    whole = round(duration_s)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02} min"


def count(number: int, noun: str) -> str:
    """Return `1 turn` or `3 turns`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def age(moment: str, now: datetime) -> str:
    """Return how long ago an ISO 8601 moment was, as `5 min` or `3 d`; old ones by date, others as they are."""
    try:
        then = datetime.fromisoformat(moment)
    except ValueError:
        return moment
    then = then if then.tzinfo else then.replace(tzinfo=UTC)
    passed = (now - then).total_seconds()
    if -60 < passed < 60:
        return "now"
    for size, most, unit in _AGES:
        if 0 < passed < size * most:
            return f"{int(passed // size)} {unit}"
    return then.date().isoformat()
