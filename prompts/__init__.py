"""Markdown templates, read once and filled by name."""

from functools import cache
from importlib.resources import files
from string import Template


@cache
def _template(name: str) -> Template:
    return Template(files(__name__).joinpath(f"{name}.md").read_text(encoding="utf-8"))


def render(name: str, **values: str) -> str:
    """Return the template `name`.md with its `$placeholders` filled; a missing value is a KeyError.

    Values are inserted as they are: a `$` inside one is not read as a placeholder.
    """
    return _template(name).substitute(values).strip()
