"""Looking into JSON documents, and filling templates with what the host knows."""

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any, cast

_INDEX = re.compile("0|[1-9][0-9]{0,8}")


def at(document: Any, pointer: str) -> Any:
    """Return what a JSON Pointer (RFC 6901) points at, or None where it points at nothing."""
    for token in pointer.split("/")[1:]:
        key = token.replace("~1", "/").replace("~0", "~")
        if isinstance(document, dict):
            document = cast("dict[str, Any]", document).get(key)
        elif isinstance(document, list) and _INDEX.fullmatch(key) and int(key) < len(cast("list[Any]", document)):
            document = cast("list[Any]", document)[int(key)]
        else:
            return None
    return document


def fill(template: Any, values: Mapping[str, Any]) -> Any:
    """Return the template with every string `"$name"` replaced by that value, whatever its type.

    Only whole strings are placeholders, so no value can change the shape of what it is put into.

    Raises:
        KeyError: a placeholder has no value.
    """
    if isinstance(template, str) and template.startswith("$"):
        return values[template[1:]]
    if isinstance(template, Mapping):
        return {key: fill(value, values) for key, value in cast("Mapping[str, Any]", template).items()}
    if isinstance(template, list | tuple):
        return [fill(value, values) for value in cast("list[Any]", template)]
    return template


def digest(document: Any) -> str:
    """Return a fingerprint of a JSON document, equal for equal JSON: SHA-256 in hexadecimal."""
    canonical = json.dumps(document, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def without_surrogates(value: Any) -> Any:
    """Return the document with lone surrogates replaced: they are valid JSON and cannot be encoded as UTF-8."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode("utf-8")
    if isinstance(value, Mapping):
        return {
            without_surrogates(key): without_surrogates(item) for key, item in cast("Mapping[Any, Any]", value).items()
        }
    if isinstance(value, list | tuple):
        return [without_surrogates(item) for item in cast("list[Any]", value)]
    return value
