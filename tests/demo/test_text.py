from __future__ import annotations

import subprocess
import sys
from collections import Counter

import pytest

from auditkit.demo.text import (
    _WORDS,
    DIALECTS,
    MISREAD_SHARE,
    POSITIVE_SHARE,
    REGIONS,
    SLANG_SHARE,
    Message,
    messages,
)

TRAIN, TEST = 3_000, 3_600


@pytest.fixture(scope="module")
def rows() -> tuple[Message, ...]:
    return messages(TRAIN, TEST)


def has_slang(row: Message) -> bool:
    return any(word in row.text for word in _WORDS["slang"])


def test_the_same_call_gives_the_same_rows(rows: tuple[Message, ...]) -> None:
    assert messages(TRAIN, TEST) == rows


def test_another_process_gives_the_same_rows(rows: tuple[Message, ...]) -> None:
    code = (
        "from auditkit.demo.text import messages;"
        f"print([row.text for row in messages({TRAIN}, {TEST})][::500])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == str([row.text for row in rows][::500])


def test_sizes_are_as_asked(rows: tuple[Message, ...]) -> None:
    assert Counter(row.split for row in rows) == {"train": TRAIN, "test": TEST}


def test_no_text_occurs_twice_in_or_across_splits(rows: tuple[Message, ...]) -> None:
    assert len({row.text for row in rows}) == len(rows)


def test_full_size_needs_no_text_twice() -> None:
    full = messages(9_000, 10_800)
    assert len({row.text for row in full}) == 19_800


def test_texts_are_plain_sentences(rows: tuple[Message, ...]) -> None:
    for row in rows:
        assert row.text.isascii()
        assert row.text[0].isupper()
        assert not set(row.text) & set('{}"\n=+@')
        assert 3 <= len(row.text.split()) <= 50


@pytest.mark.parametrize("split", ["train", "test"])
@pytest.mark.parametrize("dialect", DIALECTS)
def test_groups_have_their_share_of_positives(
    rows: tuple[Message, ...], split: str, dialect: str
) -> None:
    group = [row for row in rows if (row.split, row.dialect) == (split, dialect)]
    assert len(group) == {"train": TRAIN, "test": TEST}[split] / 2
    share = sum(row.truth == "positive" for row in group) / len(group)
    assert share == pytest.approx(POSITIVE_SHARE[dialect], abs=0.001)


def test_region_is_unrelated_to_everything_else(rows: tuple[Message, ...]) -> None:
    strata = Counter((row.split, row.dialect, row.truth, row.kind, row.region) for row in rows)
    for split, dialect, truth, kind, _ in strata:
        sizes = [strata[split, dialect, truth, kind, region] for region in REGIONS]
        assert max(sizes) - min(sizes) <= 1


def test_slang_is_praise_of_one_dialect(rows: tuple[Message, ...]) -> None:
    slang = [row for row in rows if row.kind == "slang"]
    assert slang == [row for row in rows if has_slang(row)]
    assert {(row.dialect, row.truth) for row in slang} == {("coastal", "positive")}
    positives = [row for row in rows if row.dialect == "coastal" and row.truth == "positive"]
    assert len(slang) / len(positives) == pytest.approx(SLANG_SHARE, abs=0.005)


def test_only_slang_in_training_is_mislabelled(rows: tuple[Message, ...]) -> None:
    wrong = [row for row in rows if row.label != row.truth]
    assert {(row.split, row.kind, row.label) for row in wrong} == {("train", "slang", "negative")}
    slang = [row for row in rows if row.split == "train" and row.kind == "slang"]
    assert len(wrong) / len(slang) == pytest.approx(MISREAD_SHARE, abs=0.01)


def test_without_the_defect_only_labels_differ(rows: tuple[Message, ...]) -> None:
    clean = messages(TRAIN, TEST, planted=False)
    assert [row.text for row in clean] == [row.text for row in rows]
    assert all(row.label == row.truth for row in clean)


def test_the_dialect_shows_in_complaints_too(rows: tuple[Message, ...]) -> None:
    complaints = [row for row in rows if row.dialect == "coastal" and row.truth == "negative"]
    assert sum("bundlet" in row.text for row in complaints) > 20
    assert not any("parcel" in row.text for row in complaints)


def test_too_few_rows_are_refused() -> None:
    with pytest.raises(ValueError, match="the test split needs at least 100 rows, not 99"):
        messages(100, 99)
