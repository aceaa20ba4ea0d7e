"""The journal's key: private, made once however many make it, and never taken for another."""

import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from agent.errors import JournalError
from agent.journal.key import Key, make_key, read_key


def test_all_who_make_a_key_at_once_get_the_same_one(tmp_path: Path):
    together = Barrier(8)

    def made(_: int) -> str:
        together.wait()
        return make_key(tmp_path / "journal.key").check

    with ThreadPoolExecutor(8) as pool:
        checks = set(pool.map(made, range(8)))
    key = read_key(tmp_path / "journal.key")
    assert key is not None
    assert checks == {key.check}
    assert [file.name for file in tmp_path.iterdir()] == ["journal.key"]


@pytest.mark.parametrize("umask", [0o000, 0o777])
def test_the_key_is_its_owners_only_whatever_the_umask(tmp_path: Path, umask: int):
    before = os.umask(umask)
    try:
        make_key(tmp_path / "journal.key")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "journal.key").stat().st_mode) == 0o600


def test_two_keys_differ():
    assert Key("ab" * 32).check == Key("AB" * 32).check != Key("ac" * 32).check


def test_no_signature_serves_for_another_and_none_is_the_key():
    key = Key("ab" * 32)
    signatures = [key.check, key.customer(""), key.customer("check"), key.seal("", ""), key.redaction("", "", "", 0)]
    assert len({*signatures, key.seal("a", "bc"), key.seal("ab", "c")}) == 7
    assert "ab" * 32 not in signatures
    assert "ab" * 8 not in repr(key)


def test_a_customer_is_the_same_however_the_address_is_written():
    key = Key("ab" * 32)
    assert key.customer(" Alice@Example.com") == key.customer("alice@example.com") != key.customer("bob@example.com")


@pytest.mark.parametrize("text", ["", "ab", "zz" * 32, "ab" * 33, "é" * 64])
def test_a_file_that_keeps_no_key_is_refused_and_left_alone(tmp_path: Path, text: str):
    file = tmp_path / "journal.key"
    file.write_text(text, encoding="utf-8")
    for attempt in (read_key, make_key):
        with pytest.raises(JournalError, match=r"journal\.key does not hold the journal's key.*restore it"):
            attempt(file)
    assert file.read_text(encoding="utf-8") == text


def test_a_key_that_cannot_be_made_or_read_is_a_sentence(tmp_path: Path):
    with pytest.raises(JournalError, match=r"journal\.key, the journal's key, cannot be made: No such file"):
        make_key(tmp_path / "missing" / "journal.key")
    (tmp_path / "journal.key").mkdir()
    with pytest.raises(JournalError, match="cannot be read: Is a directory"):
        read_key(tmp_path / "journal.key")
