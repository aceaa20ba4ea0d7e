"""Why a replay leaves the record: found by playing it again with the configuration, or all but one key, as it was."""

import copy
import re
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from typing import Any, cast

from pydantic import ValidationError

from agent.records import JsonObject
from agent.replay.differing import canonical, told_apart
from agent.replay.playing import CATALOG, PROMPT, play
from agent.replay.recorded import Recorded
from agent.replay.values import Cause, Difference, Found
from agent.settings import Settings

_Key = tuple[str, ...]  # the names on the way to a setting

_ABSENT = object()
_BARE = re.compile(r"[A-Za-z0-9_-]+")
_MOST_NAMED = 5


async def difference_of(found: Found, record: Recorded, settings: Settings) -> Difference:
    """Return the difference with its cause."""
    if found.path == PROMPT:
        return Difference(found=found, cause=Cause.PROMPT, because="The system prompt is another one now.")
    if found.path == CATALOG:
        because = f"The configuration of now does not fit the tools of then: {found.replayed}"
        return Difference(found=found, cause=Cause.CATALOG, because=because)
    keys = await _responsible(found, record, settings)
    if keys:
        return Difference(found=found, cause=Cause.CONFIGURATION, because=_configured(keys, record, settings))
    return Difference(found=found, cause=Cause.CODE, because=_coded(found, record))


def changed_settings(record: Recorded, settings: Settings) -> tuple[str, ...]:
    """Return the settings that decide about calls and are others than they were, such as `limits.writes`."""
    return tuple(_name(key) for key in _changed(record.case["settings"], _now(record, settings)))


async def _responsible(found: Found, record: Recorded, settings: Settings) -> list[_Key]:
    """Return the changed settings without which the difference is not there; each alone makes it, if any does."""
    then, now = record.case["settings"], _now(record, settings)
    keys = list(_changed(then, now))
    try:
        if not keys or (await play(record, _put_back(settings, then))).found == found:
            return []
        one_by_one = [(key, await play(record, _put_back(settings, _with(then, key, now)))) for key in keys]
    except ValidationError:
        return keys  # settings had another shape then: they cannot be tried
    return [key for key, played in one_by_one if played.found == found] or keys


def _now(record: Recorded, settings: Settings) -> JsonObject:
    return settings.model_dump(mode="json", include=set(record.case["settings"]))


def _put_back(settings: Settings, recorded: JsonObject) -> Settings:
    values = {name: getattr(settings, name) for name in Settings.model_fields}
    return Settings.model_validate(values | recorded, by_name=True)


def _changed(then: Any, now: Any, way: _Key = ()) -> Iterator[_Key]:
    if isinstance(then, dict) and isinstance(now, dict):
        left, right = cast("JsonObject", then), cast("JsonObject", now)
        for name in left | right:
            if name in left and name in right:
                yield from _changed(left[name], right[name], (*way, name))
            else:
                yield (*way, name)
    elif canonical(then) != canonical(now):
        yield way


def _with(then: JsonObject, key: _Key, now: JsonObject) -> JsonObject:
    """Return the settings of then with one of now among them."""
    mixed = copy.deepcopy(then)
    *way, name = key
    table, new = _value(mixed, way), _value(now, key)
    if new is _ABSENT:
        del table[name]
    else:
        table[name] = new
    return mixed


def _value(document: Any, key: Sequence[str]) -> Any:
    for name in key:
        document = cast("JsonObject", document).get(name, _ABSENT) if isinstance(document, dict) else _ABSENT
    return document


def _configured(keys: Sequence[_Key], record: Recorded, settings: Settings) -> str:
    if len(keys) == 1:
        then, now = (_value(of, keys[0]) for of in (record.case["settings"], _now(record, settings)))
        if then is _ABSENT or now is _ABSENT:
            return f"{_name(keys[0])} {'was not set, and is now' if then is _ABSENT else 'was set, and is not now'}."
        was, now_is = told_apart(then, now)
        return f"{_name(keys[0])} was {was}, and is {now_is} now."
    names = [_name(key) for key in keys]
    others = f" and {len(names) - _MOST_NAMED} others" if len(names) > _MOST_NAMED else ""
    return f"These settings have changed: {', '.join(names[:_MOST_NAMED])}{others}."


def _coded(found: Found, record: Recorded) -> str:
    then, now = record.case["version"], version("support-agent")
    versions = f"it was version {then}, and is {now} now" if then != now else f"both are version {now}"
    sentence = (
        f"Neither the system prompt nor the configuration makes the difference, so the code has changed ({versions})."
    )
    if record.was_claimed_before(found.seq):
        sentence += (
            " Or the run, which was resumed before this, went on under another configuration or with other tools."
        )
    return sentence


def _name(key: _Key) -> str:
    """Return the key as `support-agent.toml` would have it."""
    return ".".join(name if _BARE.fullmatch(name) else f'"{name}"' for name in (part.rstrip("_") for part in key))
