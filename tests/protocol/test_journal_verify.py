"""What has changed a run's record shows, wherever it was changed; what was forgotten on request is told from it."""

from datetime import UTC, datetime, timedelta

import pytest

from agent.errors import RunNotFound
from agent.journal import Journal, Soundness, Verified
from agent.records import EntryKind, Usage
from agent.settings import Settings
from tests.journals import ALICE, OUTCOME, THERE, OpenJournal, begun, case, change, finished, reply, settings_of

BOB = "bob@example.com"
LATER = datetime.now(UTC) + timedelta(days=1)


async def only(journal: Journal) -> Verified:
    (verified,) = await journal.verify()
    return verified


# ── tampering ──


@pytest.mark.parametrize(
    ("statements", "seq", "problem"),
    [
        (("UPDATE entries SET body = '{}' WHERE seq = 2",), 2, "its text was changed"),
        (("UPDATE entries SET body = 'x' WHERE seq = 1",), 1, "its text was changed"),
        (("UPDATE entries SET salt = 'x' WHERE seq = 2",), 2, "its text was changed"),
        (("UPDATE entries SET body = NULL WHERE seq = 2",), 2, "its text was taken out"),
        (("UPDATE entries SET body = NULL, salt = NULL",), 1, "its text was taken out"),
        (("UPDATE entries SET body_digest = 'x' WHERE seq = 2",), 2, "it was changed, or follows"),
        (("UPDATE entries SET digest = 'x' WHERE seq = 2",), 2, "it was changed, or follows"),
        (("UPDATE entries SET kept = '{}' WHERE seq = 3",), 3, "it was changed, or follows"),
        (("UPDATE entries SET kept = 'x' WHERE seq = 1",), 1, "it was changed, or follows"),
        (("UPDATE entries SET writer = 'x' WHERE seq = 1",), 1, "it was changed, or follows"),
        (("UPDATE entries SET at = '2001' WHERE seq = 2",), 2, "it was changed, or follows"),
        (("UPDATE entries SET kind = 'nudge' WHERE seq = 2",), 2, "it was changed, or follows"),
        (("UPDATE entries SET kind = 'nudge' WHERE seq = 1",), 1, "it stands in the wrong place"),
        (("DELETE FROM entries WHERE seq = 2",), 2, "it is missing"),
        (("DELETE FROM entries WHERE seq = 2", "UPDATE entries SET seq = 2 WHERE seq = 3"), 2, "it was changed, or"),
        (
            (
                "UPDATE entries SET seq = 9 WHERE seq = 2",
                "UPDATE entries SET seq = 2 WHERE seq = 3",
                "UPDATE entries SET seq = 3 WHERE seq = 9",
            ),
            2,
            "it was changed, or follows",
        ),
        (("DELETE FROM entries WHERE seq = 4",), 4, "it is missing, and all after it"),
        (("DELETE FROM entries WHERE seq > 2",), 3, "it is missing, and all after it"),
        (("DELETE FROM entries",), 1, "it is missing, and all after it"),
        (("DELETE FROM runs",), 1, "it belongs to no run"),
        (("UPDATE runs SET seal = 'é'",), 4, "the seal on the run's end does not fit it"),
        (("UPDATE runs SET seal = NULL",), 4, "the seal on the run's end does not fit it"),
        (("UPDATE runs SET last_seq = 3, outcome = NULL",), None, "(outcome)"),
        (("UPDATE runs SET last_seq = NULL, seal = NULL",), None, "(last_seq)"),
        (
            ("UPDATE runs SET customer = 'another'",),
            None,
            "the run's summary does not follow from its entries (customer)",
        ),
        (("UPDATE runs SET cost_usd = 0",), None, "(cost_usd)"),
        (("UPDATE runs SET outcome = 'escalated'",), None, "(outcome)"),
        (("UPDATE runs SET turns = 1",), None, "(turns)"),
        (("UPDATE documents SET body = '\"Do as you like.\"'",), 1, "a document that it refers to was changed"),
        (("DELETE FROM documents",), 1, "a document that it refers to is missing"),
        (
            ("INSERT INTO redactions SELECT run_id, 'x', 'x', 4, 'x' FROM runs",),
            None,
            "the record of its redaction is not this program's",
        ),
    ],
)
async def test_what_was_changed_is_named_with_the_first_entry_that_is_wrong(
    file_journal: Journal, file_settings: Settings, statements: tuple[str, ...], seq: int | None, problem: str
):
    record = await begun(file_journal)
    await record.append(EntryKind.REPLY, reply(2))
    await record.append(EntryKind.OUTCOME, OUTCOME)
    assert (await only(file_journal)).soundness is Soundness.OK
    for statement in statements:
        change(file_settings, statement)
    verified = await only(file_journal)
    assert (verified.soundness, verified.seq) == (Soundness.TAMPERED, seq)
    assert verified.problem is not None
    assert problem in verified.problem
    assert not verified.is_sound


async def test_an_entry_after_the_end_is_no_part_of_the_run(journal: Journal, journal_settings: Settings):
    await finished(journal)
    columns = "kind, at, writer, kept, body_digest, digest, salt, body"
    change(
        journal_settings,
        f"INSERT INTO entries (run_id, seq, {columns}) SELECT run_id, 4, {columns} FROM entries WHERE seq = 2",
    )
    verified = await only(journal)
    assert (verified.seq, verified.problem) == (4, "it comes after the end of the run")


async def test_an_entry_of_another_run_does_not_fit(journal: Journal, journal_settings: Settings):
    mine, other = await finished(journal), await finished(journal)
    change(journal_settings, "DELETE FROM entries WHERE run_id = ? AND seq = 2", mine.run_id)
    change(journal_settings, "UPDATE entries SET run_id = ? WHERE run_id = ? AND seq = 2", mine.run_id, other.run_id)
    assert {(verified.run_id, verified.seq) for verified in await journal.verify()} == {
        (mine.run_id, 2),
        (other.run_id, 2),
    }


async def test_a_run_that_somebody_made_up_without_the_key_does_not_pass(
    tmp_path_factory: pytest.TempPathFactory, open_one: OpenJournal
):
    """Whoever can write the database can make a chain, and no seal."""
    mine, theirs = (settings_of(tmp_path_factory.mktemp(name)) for name in ("mine", "theirs"))
    real, forged = open_one(mine), open_one(theirs)
    record = await finished(forged)
    for table in ("runs", "entries", "documents"):
        for row in change(theirs, f"SELECT * FROM {table}"):
            change(mine, f"INSERT INTO {table} VALUES ({', '.join('?' * len(row))})", *row)
    assert (await forged.verify([record.run_id]))[0].is_sound
    assert (await only(real)).problem == "the seal on the run's end does not fit it"


async def test_sound_runs_are_told_from_the_one_that_is_not(journal: Journal, journal_settings: Settings):
    first, second, running = await finished(journal), await finished(journal), await begun(journal)
    change(journal_settings, "UPDATE entries SET body = '{}' WHERE run_id = ? AND seq = 2", second.run_id)
    found = {verified.run_id: verified for verified in await journal.verify()}
    assert {run_id: verified.is_sound for run_id, verified in found.items()} == {
        first.run_id: True,
        second.run_id: False,
        running.run_id: True,
    }
    assert [found[record.run_id].is_finished for record in (first, second, running)] == [True, True, False]
    assert await journal.verify([first.run_id]) == [found[first.run_id]]
    with pytest.raises(RunNotFound, match="There is no run nothing"):
        await journal.verify([first.run_id, "nothing"])


# ── forgetting ──


async def test_forgetting_a_customer_takes_out_the_texts_and_keeps_the_totals(
    journal: Journal, journal_settings: Settings
):
    record, other = await finished(journal), await finished(journal, customer=BOB)
    before = await journal.run(record.run_id)
    done = await journal.forget(customer=f" {ALICE.upper()}", by="ann")
    assert (done.runs, done.entries, done.left_out) == (1, 3, 0)
    after = await journal.run(record.run_id)
    assert before is not None
    assert after is not None
    assert (after.is_forgotten, after.reason) == (True, None)
    assert (after.customer, after.usage, after.turns, after.cost_usd, after.outcome) == (
        before.customer,
        Usage(input_tokens=10, output_tokens=2),
        1,
        0.25,
        before.outcome,
    )
    bodies = [entry.body for entry in await journal.entries(record.run_id)]
    assert [sorted(body) for body in bodies] == [
        ["customer", "format", "mode", "model", "owner", "ticket_id", "version"],
        ["cost_usd", "model", "seconds", "stop_reason", "turn", "usage"],
        ["outcome"],
    ]
    assert await journal.entries(other.run_id) == other.entries
    assert [verified.soundness for verified in await journal.verify([record.run_id, other.run_id])] == [
        "redacted",
        "ok",
    ]


async def test_what_is_forgotten_is_not_forgotten_again(journal: Journal):
    await finished(journal)
    assert (await journal.forget(customer=ALICE, by="ann")).runs == 1
    assert (await journal.forget(customer=ALICE, by="ann")).runs == 0
    assert (await only(journal)).soundness is Soundness.REDACTED


async def test_a_run_that_may_be_resumed_keeps_its_texts_and_is_told_of(journal: Journal):
    running = await begun(journal)
    await finished(journal)
    done = await journal.forget(customer=ALICE, by="ann")
    assert (done.runs, done.entries, done.left_out) == (1, 3, 1)
    assert await journal.entries(running.run_id) == running.entries
    claimed = await journal.claim(running.run_id, owner=THERE, is_taken_over=False, on_entry=lambda _: None)
    await claimed.append(EntryKind.OUTCOME, OUTCOME)
    assert (await journal.forget(customer=ALICE, by="ann")).runs == 1


async def test_a_time_says_which_runs_are_forgotten(journal: Journal):
    old, still_running = await finished(journal), await begun(journal)
    new = await begun(journal, customer=BOB)
    ended = await new.append(EntryKind.OUTCOME, OUTCOME)
    nothing = await journal.forget(before=old.entries[0].at, by="ann")
    assert (nothing.runs, nothing.entries, nothing.left_out) == (0, 0, 0)
    # A run counts by its end, one that has none by its last entry.
    done = await journal.forget(before=ended.at, by="ann")
    assert (done.runs, done.left_out) == (1, 1)
    assert [run.run_id for run in await journal.runs() if run.is_forgotten] == [old.run_id]
    assert (await journal.forget(before=LATER, customer=ALICE, by="ann")).runs == 0
    assert (await journal.forget(before=LATER, customer=BOB, by="ann")).runs == 1
    assert (await journal.entries(still_running.run_id)) == still_running.entries


async def test_everything_is_not_forgotten_by_the_way(journal: Journal):
    with pytest.raises(ValueError, match="give a customer or a time"):
        await journal.forget(by="ann")


@pytest.mark.parametrize(
    ("statement", "problem"),
    [
        ("UPDATE redactions SET \"by\" = 'nobody'", "the record of its redaction is not this program's"),
        ("UPDATE redactions SET entries = 2", "the record of its redaction is not this program's"),
        ("DELETE FROM redactions", "its text was taken out"),
        ("DELETE FROM entries WHERE seq = 2", "the record of its redaction is not this program's"),
        ("UPDATE entries SET body = '{}', salt = '' WHERE seq = 2", "it has a text, and the run was forgotten"),
        ("UPDATE entries SET salt = '' WHERE seq = 2", "its text was taken out"),
        ("UPDATE entries SET kept = '{}' WHERE seq = 2", "it was changed, or follows another entry than it did"),
        ("UPDATE runs SET cost_usd = 0", "the run's summary does not follow from its entries (cost_usd)"),
        ("UPDATE runs SET seal = 'x'", "the seal on the run's end does not fit it"),
    ],
)
async def test_a_forgotten_run_can_be_tampered_with_no_better_than_another(
    file_journal: Journal, file_settings: Settings, statement: str, problem: str
):
    await finished(file_journal)
    await file_journal.forget(customer=ALICE, by="ann")
    change(file_settings, statement)
    verified = await only(file_journal)
    assert (verified.soundness, verified.problem) == (Soundness.TAMPERED, problem)


async def test_no_byte_of_a_forgotten_text_is_left_in_the_file(file_settings: Settings, file_journal: Journal):
    texts = {ALICE: "what Alice wrote", BOB: "what Bob wrote"}
    for number in range(20):
        customer = BOB if number % 2 else ALICE
        mark = texts[customer]
        record = file_journal.record(
            run_id=f"{number * 7 % 20}", customer=file_journal.customer_hash(customer), on_entry=lambda _: None
        )
        await record.append(EntryKind.CASE, case(ticket={"requester": customer}, messages=[mark]))
        for length in (1, 100, 1_000):
            await record.append(EntryKind.REPLY, reply(1, f"{mark} " * length))
        await record.append(EntryKind.OUTCOME, {"outcome": "closed", "reason": mark})
    done = await file_journal.forget(customer=ALICE, by="ann")
    assert (done.runs, done.entries) == (10, 50)
    left = b"".join(path.read_bytes() for path in file_settings.home.iterdir())
    assert [text.encode() in left for text in (texts[BOB], BOB, texts[ALICE], ALICE)] == [True, True, False, False]


async def test_nobody_can_tell_whether_a_guess_is_the_forgotten_text(journal: Journal, journal_settings: Settings):
    """Two runs of the same words have nothing in common that stays."""
    for _ in range(2):
        await finished(journal)
    await journal.forget(customer=ALICE, by="ann")
    digests = change(journal_settings, "SELECT body_digest FROM entries")
    assert len(set(digests)) == len(digests) == 6
    assert change(journal_settings, "SELECT count(*) FROM entries WHERE salt IS NOT NULL") == [(0,)]
