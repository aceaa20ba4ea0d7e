"""What a replay looks like: that it came to the same, or where it did not, and why."""

import io
from typing import Any

import pytest
from rich.console import Console

from agent.records import EntryKind
from agent.render.replay import show_replayed
from agent.replay import Cause, Difference, Found, Replayed
from tests.fakes.recorded import EVIL, SHOWN_EVIL

RUN_ID = "20261122-171501-9f3a2c"


def shown(width: int = 100, **values: Any) -> str:
    """What `runs replay` prints of a run of 31 entries in 5 turns."""
    file = io.StringIO()
    console = Console(file=file, width=width, force_terminal=True, color_system=None)
    replayed = Replayed(**{"run_id": RUN_ID, "entries": 31, "compared": 31, "turns": 5} | values)
    show_replayed(console, replayed)
    return file.getvalue()


def difference(**values: Any) -> Difference:
    found = {"seq": 12, "kind": EntryKind.DECISION, "path": "/verdict", "recorded": "allow", "replayed": "deny"}
    because = "limits.writes was 10, and is 0 now."
    return Difference(found=Found(**found | values), cause=Cause.CONFIGURATION, because=because)


def test_a_run_that_replays_is_one_line():
    assert shown() == f"✓ Run {RUN_ID} replays to the byte: 31 entries, 5 turns.\n"


def test_entries_that_were_not_compared_are_counted_and_explained():
    head, *explained = shown(compared=1_028, entries=1_031, turns=1).splitlines()
    assert head == f"✓ Run {RUN_ID} replays to the byte: 1,028 of 1,031 entries, 1 turn."
    assert "what servers asked back" in " ".join(explained)


def test_what_has_changed_without_a_difference_is_named():
    assert "! Changed since, without a difference to this run: limits.writes, policy." in shown(
        changed=("limits.writes", "policy")
    )
    many = " ".join(shown(changed=tuple(f"limits.number_{number}" for number in range(14))).split())
    assert "limits.number_9 and 4 more." in many


def test_a_difference_is_shown_with_its_place_both_values_and_its_cause():
    assert shown(compared=11, difference=difference()).splitlines() == [
        f"✗ Run {RUN_ID} is another one now, from entry 12 of 31 on.",
        "  where     decision 12 · /verdict",
        "  recorded  allow",
        "  now       deny",
        "  cause     configuration  limits.writes was 10, and is 0 now.",
    ]


def test_an_entry_that_differs_as_a_whole_has_no_path():
    assert "  where     decision 12\n" in shown(difference=difference(path=""))


@pytest.mark.parametrize("width", [40, 80, 200])
def test_what_customers_and_models_wrote_steers_no_terminal(width: int):
    text = shown(width, difference=difference(recorded=EVIL, replayed=f"{EVIL}\nsecond line", path=f"/{EVIL}"))
    assert "\x1b" not in text
    assert "\u202e" not in text
    if width == 200:
        assert f"recorded  {SHOWN_EVIL}\n" in text
        assert f"now       {SHOWN_EVIL}\\nsecond line\n" in text
    assert max(len(line) for line in text.splitlines()) <= width
