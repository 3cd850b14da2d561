"""The journal: what a crash or a changed byte leaves of it."""

from __future__ import annotations

import resource
import subprocess
import sys
import textwrap

import pytest

from auditkit.journal import append, line_of, read_journal
from auditkit.store import StoreError

RECORDS = [{"check": f"c{i}", "value": i / 7, "text": "ü\ud800\n"} for i in range(4)]


@pytest.fixture
def journal(tmp_path):
    path = tmp_path / "events.jsonl"
    for record in RECORDS:
        append(path, record)
    return path


def test_what_was_written_is_read(journal):
    content = read_journal(journal)
    assert list(content.records) == RECORDS
    assert content.whole


def test_no_file_is_an_empty_journal(tmp_path):
    assert read_journal(tmp_path / "none").records == ()


def test_cut_at_any_byte_of_the_last_lines_every_whole_record_is_recovered(journal):
    whole = journal.read_bytes()
    first = len(line_of(RECORDS[0]))
    for cut in range(first, len(whole)):
        journal.write_bytes(whole[:cut])
        content = read_journal(journal)
        assert list(content.records) == RECORDS[: whole[:cut].count(b"\n")]
        assert not content.damaged
        assert bool(content.torn) == (not whole[:cut].endswith(b"\n"))


def test_every_changed_byte_costs_its_own_line_and_is_noticed(journal):
    whole = journal.read_bytes()
    for place in range(len(whole)):
        changed = bytearray(whole)
        changed[place] ^= 1 << (place % 8)
        journal.write_bytes(changed)
        content = read_journal(journal)
        assert not content.whole, place
        assert len(content.records) >= len(RECORDS) - 2
        assert all(record in RECORDS for record in content.records)


def test_nan_is_refused_before_anything_is_written(journal):
    with pytest.raises(ValueError, match="JSON"):
        append(journal, {"x": float("nan")})
    assert len(read_journal(journal).records) == 4


def test_a_line_that_does_not_fit_on_the_disk_is_taken_back(journal):
    size = journal.stat().st_size
    code = f"""
        import resource
        from pathlib import Path
        from auditkit.journal import append
        from auditkit.store import StoreError
        resource.setrlimit(resource.RLIMIT_FSIZE, ({size + 10}, {resource.RLIM_INFINITY}))
        try:
            append(Path({str(journal)!r}), {{"x": "y" * 500}})
        except StoreError as error:
            print(error.exit_code, error)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("4 ")
    assert "bytes are free" in done.stdout
    assert journal.stat().st_size == size


def test_a_folder_that_is_a_file_says_so(tmp_path):
    (tmp_path / "taken").write_text("x")
    with pytest.raises(StoreError, match="taken"):
        append(tmp_path / "taken" / "events.jsonl", {})
