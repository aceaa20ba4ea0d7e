"""The demo helpdesk: tickets, customers and knowledge articles that a real queue has."""

import json
from importlib.resources import files
from typing import Any


def tickets() -> list[dict[str, Any]]:
    """Return the demo tickets, each with its conversation."""
    return json.loads(files(__name__).joinpath("tickets.json").read_text(encoding="utf-8"))


def customers() -> list[dict[str, Any]]:
    """Return the demo customers, each with invoices and sessions."""
    return json.loads(files(__name__).joinpath("customers.json").read_text(encoding="utf-8"))


def articles() -> dict[str, str]:
    """Return the demo knowledge articles, Markdown by slug."""
    folder = files(__name__).joinpath("knowledge")
    return {
        article.name.removesuffix(".md"): article.read_text(encoding="utf-8")
        for article in folder.iterdir()
        if article.name.endswith(".md")
    }
