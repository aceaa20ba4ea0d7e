"""Locks within one process: what is taken together, what is refused, what lies in the folder."""

import os
import re
import stat
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest

from agent.errors import ConfigurationError, TicketTaken
from agent.locks import Locks, Occupied
from tests.journals import HERE, THERE


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "new" / "locks"


def test_tickets_of_different_customers_are_held_at_the_same_time(folder: Path):
    locks = Locks(folder)
    held = [locks.hold(customer=customer, ticket_id=str(number)) for number, customer in enumerate("abc")]
    for number, customer in enumerate("abc"):
        with pytest.raises(TicketTaken):
            locks.hold(customer=customer, ticket_id=str(number))
    for one in held:
        one.release()


def test_who_is_refused_learns_who_holds_what_and_since_when(folder: Path):
    locks, before = Locks(folder), datetime.now(UTC)
    held = locks.hold(customer="a", ticket_id="42", owner=HERE)
    for customer, ticket_id in (("a", "42"), ("a", "43"), ("b", "42")):
        with pytest.raises(Occupied) as occupied:
            locks.hold(customer=customer, ticket_id=ticket_id, owner=THERE)
        assert occupied.value.holding is not None
        assert (occupied.value.holding.ticket_id, occupied.value.holding.owner) == ("42", HERE)
        assert before <= occupied.value.holding.since <= datetime.now(UTC)
    held.release()


@pytest.mark.parametrize("left", ["", '{"ticket_id": "42"', "[]", '{"ticket_id": "42", "owner": {}, "since": "now"}'])
def test_a_holder_that_cannot_be_read_is_nobody(folder: Path, left: str):
    locks = Locks(folder)
    held = locks.hold(customer="a", ticket_id="42", owner=HERE)
    [signature] = folder.glob("customer-*.holder")
    signature.write_text(left)
    with pytest.raises(Occupied, match="by another process") as occupied:
        locks.hold(customer="a", ticket_id="42")
    assert occupied.value.holding is None
    held.release()


def test_who_holds_a_ticket_already_is_refused_like_any_other(folder: Path):
    locks = Locks(folder)
    held = locks.hold(customer="a", ticket_id="42")
    with pytest.raises(TicketTaken, match=r"^Ticket 42, or another one of its customer, is being worked by"):
        locks.hold(customer="a", ticket_id="42")
    with pytest.raises(TicketTaken, match="Ticket 42"):
        Locks(folder).hold(customer="a", ticket_id="42")
    held.release()


def test_a_second_ticket_of_the_same_customer_is_refused_and_stays_free(folder: Path):
    locks = Locks(folder)
    held = locks.hold(customer="a", ticket_id="42")
    with pytest.raises(TicketTaken, match=r"^Ticket 43, or another one of its customer, is being worked by"):
        locks.hold(customer="a", ticket_id="43")
    locks.hold(customer="b", ticket_id="43").release()
    held.release()


def test_a_customer_is_free_again_when_their_ticket_is_taken(folder: Path):
    # Two customers and one ticket: its requester has changed meanwhile.
    locks = Locks(folder)
    held = locks.hold(customer="a", ticket_id="42")
    with pytest.raises(TicketTaken, match=r"^Ticket 42 is being worked by another process\.$"):
        locks.hold(customer="b", ticket_id="42")
    locks.hold(customer="b", ticket_id="43").release()
    held.release()


def test_what_is_released_can_be_taken_and_a_second_release_does_nothing(folder: Path):
    locks = Locks(folder)
    first = locks.hold(customer="a", ticket_id="42")
    first.release()
    second = locks.hold(customer="a", ticket_id="42")
    first.release()
    with pytest.raises(TicketTaken):
        locks.hold(customer="a", ticket_id="42")
    second.release()


def test_a_lock_is_released_from_another_thread_than_it_was_taken_in(folder: Path):
    locks = Locks(folder)
    held = locks.hold(customer="a", ticket_id="42")
    thread = threading.Thread(target=held.release)
    thread.start()
    thread.join()
    locks.hold(customer="a", ticket_id="42").release()


def test_who_does_not_get_the_customer_does_not_touch_the_ticket(folder: Path):
    # Two that race for one ticket would else each hold half of it, and both be refused.
    locks = Locks(folder)
    held = locks.hold(customer="a", ticket_id="42")
    with pytest.raises(TicketTaken):
        locks.hold(customer="a", ticket_id="43")
    assert len(list(folder.glob("customer-*"))) == 1
    assert len(list(folder.glob("ticket-*"))) == 1
    held.release()


def test_a_folder_has_one_id_for_ever(folder: Path, tmp_path: Path):
    known = Locks(folder).place_id
    assert re.fullmatch("[0-9a-f]{32}", known)
    assert Locks(folder).place_id == known
    assert Locks(tmp_path / "elsewhere").place_id != known


@pytest.mark.parametrize("left", ["", "half", "\x00" * 32])
def test_an_id_that_a_crash_has_left_unwritten_is_made_anew(folder: Path, left: str):
    Locks(folder)
    (folder / "place").write_text(left)
    made = Locks(folder).place_id
    assert re.fullmatch("[0-9a-f]{32}", made)
    assert Locks(folder).place_id == made


def test_folder_and_files_are_for_their_owner_only_whatever_the_umask(folder: Path):
    before = os.umask(0)
    try:
        Locks(folder).hold(customer="a", ticket_id="42", owner=HERE).release()
    finally:
        os.umask(before)
    assert {stat.S_IMODE(path.stat().st_mode) for path in (folder.parent, folder)} == {0o700}
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}


@pytest.mark.parametrize("ticket_id", ["../../up", "a/b", "nul\x00", "x" * 5000, "\ud800", ".", "ü"])
def test_file_names_hold_neither_customer_nor_ticket(folder: Path, ticket_id: str):
    held = Locks(folder).hold(customer="alice@example.com", ticket_id=ticket_id, owner=HERE)
    names = {path.name for path in folder.iterdir()} - {"place", "place.lock"}
    assert {re.sub("[0-9a-f]{32}", "#", name) for name in names} == {
        f"{kind}-#.{what}" for kind in ("customer", "ticket") for what in ("lock", "holder")
    }
    held.release()


def test_files_stay_when_their_lock_is_released(folder: Path):
    # Were one unlinked, the next two processes could lock two different files of the same name.
    locks = Locks(folder)
    locks.hold(customer="a", ticket_id="42").release()
    assert len(list(folder.glob("*-*.lock"))) == 2


@pytest.mark.parametrize("broken", ["folder", "parent", "place"])
def test_a_folder_that_cannot_be_used_is_a_sentence_that_names_it(tmp_path: Path, broken: str):
    folder = tmp_path / "data" / "locks"
    if broken == "place":
        (folder / "place").mkdir(parents=True)
    else:
        (tmp_path / "data").mkdir() if broken == "folder" else None
        (folder if broken == "folder" else folder.parent).write_text("a file")
    with pytest.raises(ConfigurationError) as failed:
        Locks(folder)
    assert str(folder) in str(failed.value)
    assert "SUPPORT_AGENT_HOME" in str(failed.value)


def test_a_folder_that_vanishes_is_made_again(folder: Path):
    locks = Locks(folder)
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
    locks.hold(customer="a", ticket_id="42").release()


def test_a_lock_file_that_cannot_be_opened_leaves_the_customer_free(folder: Path):
    locks = Locks(folder)
    locks.hold(customer="a", ticket_id="42").release()
    [ticket] = folder.glob("ticket-*")
    ticket.unlink()
    ticket.mkdir()
    with pytest.raises(ConfigurationError, match="cannot be used: is a directory"):
        locks.hold(customer="a", ticket_id="42")
    locks.hold(customer="a", ticket_id="43").release()
