"""What recorded runs look like: one turn by turn, many in a list, and whether they are as they were written."""

import io
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from agent.journal import Forgotten, RunSummary, Soundness, Verified
from agent.journal.kept import kept
from agent.records import Entry, EntryKind, OutcomeKind, RunMode
from agent.render.chapters import chapters
from agent.render.record import show_run
from agent.render.runs import forgotten_sentence, show_runs, show_verified
from tests.fakes.recorded import BEGAN, EVIL, RUN_ID, SHOWN_EVIL, entries, summary

WIDTHS = [80, 100, 200]


def paper(width: int = 100, *, is_terminal: bool = True) -> Console:
    return Console(file=io.StringIO(), width=width, force_terminal=is_terminal, color_system=None)


def shown(console: Console) -> str:
    file = console.file
    assert isinstance(file, io.StringIO)
    return file.getvalue()


def record(*, width: int = 100, is_terminal: bool = True, run: RunSummary | None = None, **options: Any) -> str:
    """What `runs show` prints of the recorded run."""
    console = paper(width, is_terminal=is_terminal)
    show_run(console, run or summary(), options.pop("entries", entries()), **options)
    return shown(console)


def squeezed(text: str) -> str:
    return " ".join(text.split())


def row(text: str, seq: int) -> str:
    """The row that has this entry's number in its margin."""
    return next(line for line in text.splitlines() if line.startswith(f"{seq:>3}  ")).strip()


def test_a_record_begins_with_whom_it_is_about_and_what_the_model_saw():
    text = record()
    assert f"#42 Twice {SHOWN_EVIL}" in text
    assert "alice@example.com · pro" in text
    assert f"run {RUN_ID} · began 2026-11-22 17:15:01 UTC" in squeezed(text)
    assert row(text, 1) == "1  What the model saw  system prompt, 30 characters · 2 tools"
    assert "I was charged twice." in text
    assert "the end" not in text
    assert "…(+" in text


def test_a_turn_is_told_with_its_time_tokens_and_dollars():
    text = record(width=200)
    assert row(text, 2) == "2  Turn 1  17:15:03 · 2.0 s · 3,400 tokens in (3,000 cached), 200 out · $0.0123"
    assert row(text, 14) == "14  Turn 2  2026-11-23 18:15:05 · 0.5 s · 300 tokens in, 2 out · cost unknown"
    assert "! the model stopped: max_tokens" in text


def test_a_call_is_told_with_arguments_decision_approval_key_and_result():
    text = record(width=200)
    assert 'helpdesk.search  query="x"' in text
    assert row(text, 3) == "3    allowed: It only reads. [reads]"
    assert 'billing.refund  invoice_id="INV-7"' in text
    assert 'customer_id="c-1"' in text
    assert "c-9" not in text
    assert row(text, 4) == "4    needs a person: Money waits for a person. [money]"
    assert "read for it: amount_cents=1200" in text
    assert "set by the host, the model's own ignored: customer_id" in text
    assert row(text, 8) == "8    yes, said dana: I looked at the invoice  after 6.0 s"
    assert row(text, 9) == f"9    attempted at 17:15:10, key {RUN_ID}/2/toolu_2"
    assert row(text, 13) == "13    failed  0.3 s"
    assert "The amount has changed." in text


def test_a_call_keeps_its_entries_together_whatever_lies_between_them():
    [first] = [chapter for chapter in chapters(entries()) if "toolu_1" in chapter.calls]
    told = {name: [entry.seq for entry in call.entries] for name, call in first.calls.items()}
    assert told == {"toolu_1": [3, 5, 6, 7], "toolu_2": [4, 8, 9, 11, 12, 13]}


def test_what_a_server_asked_back_is_told_with_its_answer():
    text = record(width=200)
    assert row(text, 6) == "6    ↳ helpdesk asked for folders: file:///srv/articles"
    assert row(text, 11) == "11    ↳ billing asked the model  100 tokens in, 10 out · $0.0002"
    assert "She paid twice." in text
    assert row(text, 12) == "12    ↳ billing asked the operator → accepted  after 3.0 s"
    assert '→ account="main"' in text


def test_who_went_on_with_a_run_and_how_it_ended_is_told():
    text = record(width=200)
    assert row(text, 10) == "10  ! taken over by erin, process 812 on desk-4  2026-11-23 18:15:01"
    assert row(text, 15).startswith("15  → the host asked for an outcome")
    assert row(text, 16).startswith("16  ✗ stopped: The model is down.")
    assert row(text, 17).startswith("17  ! resumed by dana, process 4711 on desk-3")
    assert row(text, 18).startswith("18  ↑ given up: the model gave up")
    assert "helpdesk.escalate by the host" in text
    assert "no result is recorded" in text
    assert row(text, 21).startswith("21  ✗ cancelled by dana: she called")
    assert f"will never act: {RUN_ID}/19/host-1" in text
    assert f"may have acted: {RUN_ID}/2/toolu_2" in text
    assert row(text, 22).startswith("22  ↑ escalated  Handed over to people.")


def test_the_time_in_which_no_process_was_at_work_does_not_count():
    # 9 seconds until the first process stopped, then 6 and 2 of those that went on.
    assert "2 turns · 17 s · " in record()


def test_every_entry_of_a_record_is_shown_once_by_its_number():
    text = record()
    numbers = [line.split()[0] for line in text.splitlines() if line[:3].strip().isdigit()]
    assert sorted(map(int, numbers)) == list(range(1, 23))


def test_texts_are_shortened_unless_all_is_asked_for():
    text, full = record(), record(is_full=True)
    for hidden in ("the end", "You work for the support team.", "Pay back.", "article 10", "Be brief."):
        assert hidden not in text
        assert hidden in full
    assert "…(+" not in full


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("is_full", [False, True])
def test_a_record_fits_the_page_and_steers_no_terminal(width: int, is_full: bool):
    text = record(width=width, is_full=is_full)
    assert max(cell_len(line) for line in text.splitlines()) <= width
    assert EVIL not in text
    assert not {char for char in text if not char.isprintable()} - {"\n"}
    assert SHOWN_EVIL in squeezed(text)


def test_in_a_pipe_nothing_is_wrapped():
    text = record(width=80, is_terminal=False)
    assert f"{SHOWN_EVIL}  2026-11-23 18:15:10" in row(text, 22)


def test_a_forgotten_run_shows_its_structure_and_says_that_its_texts_were_deleted():
    left = [
        Entry(run_id=entry.run_id, seq=entry.seq, kind=entry.kind, body=kept(entry.kind, entry.body), at=entry.at)
        for entry in entries()
    ]
    text = record(width=200, run=summary(is_forgotten=True, reason=None), entries=left)
    assert "Its texts were deleted." in text
    assert row(text, 1) == "1  What the model saw  deleted"
    assert row(text, 3) == "3    allowed: [reads]"
    assert row(text, 4) == "4    needs a person: [money]"
    assert row(text, 13) == "13    failed  0.3 s"
    assert "read for it: amount_cents=1200" in text
    for gone in ("alice", "INV-7", "charged", "She paid", "Which account", "gave up", "article"):
        assert gone not in text


def test_an_unfinished_run_says_how_to_go_on():
    unfinished = summary(outcome=None, reason=None, finished_at=None)
    text = squeezed(record(run=unfinished, entries=entries()[:5]))
    assert "! unfinished it is being worked now, or was left behind" in text
    assert f"this goes on with it: support-agent runs resume {RUN_ID}" in text


def test_a_run_without_entries_is_shown_as_far_as_it_is_known():
    assert f"run {RUN_ID}" in record(entries=[])


_NAMES = sorted({name for entry in entries() for name in entry.body} | {"rules", "error", "x"})
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.sampled_from(["host-1", "t"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from([*_NAMES, "type", "text"]), inner),
    max_leaves=6,
)
_BODIES = st.dictionaries(st.sampled_from(_NAMES), _VALUES, max_size=5)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(list(EntryKind)), _BODIES), max_size=6), st.booleans())
def test_whatever_somebody_has_put_into_a_record_it_can_be_shown(made: list[tuple[EntryKind, Any]], is_full: bool):
    found = [Entry(run_id=RUN_ID, seq=n, kind=kind, body=body, at=BEGAN) for n, (kind, body) in enumerate(made, 1)]
    text = record(entries=found, is_full=is_full)
    assert not {char for char in text if not char.isprintable()} - {"\n"}


# Lists.


def listed(*runs: RunSummary, width: int = 200) -> str:
    console = paper(width)
    show_runs(console, runs, now=BEGAN + timedelta(hours=2))
    return shown(console)


def test_a_list_tells_each_run_in_a_row():
    text = listed(summary(), summary(mode=RunMode.DRY_RUN, outcome=OutcomeKind.PLANNED, cost_usd=None))
    first, second = text.splitlines()[1:3]
    assert first.split() == [
        *(RUN_ID, "42", "escalated", "claude-sonnet-5-5", "2", "$0.0125", "1", "min", "15", "s", "2", "h"),
        *("Handed", "over", "to", "people."),
    ]
    assert "dry run" in second
    assert "unknown" in second
    assert "2 runs · 1 escalated · 1 planned" in text
    assert "resume" not in text


def test_unfinished_runs_are_marked_with_what_to_do_about_them():
    text = listed(summary(), summary(outcome=None, reason=None, finished_at=None))
    assert "1 unfinished" in text
    assert "support-agent runs resume RUN_ID" in text


def test_a_forgotten_run_of_a_list_says_so():
    assert "texts deleted" in listed(summary(is_forgotten=True, reason=None))


@pytest.mark.parametrize("width", [40, *WIDTHS])
def test_a_list_fits_the_page_and_steers_no_terminal(width: int):
    text = listed(summary(reason=EVIL * 5, model=EVIL, ticket_id="T\x1b[2J"), summary(), width=width)
    assert max(cell_len(line) for line in text.splitlines()) <= width
    assert not {char for char in text if not char.isprintable()} - {"\n"}
    assert RUN_ID in text


def verified(soundness: Soundness, **changed: Any) -> Verified:
    values: dict[str, Any] = {"run_id": RUN_ID, "soundness": soundness, "entries": 14, "is_finished": True}
    return Verified(**values | changed)


@pytest.mark.parametrize(
    ("one", "line"),
    [
        (verified(Soundness.OK), "✓ R  sound  14 entries"),
        (verified(Soundness.OK, is_finished=False, entries=1), "✓ R  sound so far, unfinished  1 entry"),
        (verified(Soundness.REDACTED), "✓ R  sound, its texts were deleted  14 entries"),
        (
            verified(Soundness.TAMPERED, seq=7, problem="its body was changed"),
            "✗ R  TAMPERED at entry 7: its body was changed  14 entries",
        ),
        (
            verified(Soundness.TAMPERED, problem="it belongs to no run"),
            "✗ R  TAMPERED: it belongs to no run  14 entries",
        ),
    ],
)
def test_a_verified_run_is_one_line(one: Verified, line: str):
    console = paper()
    show_verified(console, [one])
    assert shown(console).splitlines()[0] == line.replace("R", RUN_ID, 1)


def test_verified_runs_are_counted():
    console = paper()
    show_verified(console, [verified(Soundness.OK), verified(Soundness.REDACTED), verified(Soundness.TAMPERED)])
    assert shown(console).splitlines()[-1] == "3 runs · 2 sound · 1 tampered with"


def test_what_was_deleted_is_told_and_what_was_not():
    assert forgotten_sentence(Forgotten(runs=0, entries=0, left_out=0)) == "There were no texts to delete."
    told = forgotten_sentence(Forgotten(runs=1, entries=9, left_out=2))
    assert "The texts of 1 run (9 entries) were deleted" in told
    assert "2 unfinished runs" in told
