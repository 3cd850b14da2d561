"""WordNet's files, and words exchanged for what they say."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path
from random import Random

import pytest

from auditkit.noise.synonyms import Thesaurus, read_wordnet

DATA = {
    "noun": "  1 licence\n00000001 06 n 04 film 0 movie 0 flick 0 moving_picture 0 000 | a story\n"
    "00000002 06 n 02 film 0 cinema 0 000 | an art\n",
    "verb": "00000004 29 v 02 film 0 shoot 0 000 | record\n",
    "adj": "00000003 00 a 02 great 0 Bang-up(p) 0 000 | good\n00000005 00 a 02 fine(p) 0 OK(a) 0\n",
}
INDEX = {
    "noun": "  1 licence\nfilm n 2 1 @ 2 5 00000001 00000002\nmovie n 1 1 @ 1 3 00000001\n"
    "moving_picture n 1 0 1 0 00000001\n",
    "verb": "film v 1 0 1 1 00000004\n",
    "adj": "great a 1 0 1 4 00000003\nfine a 1 0 1 4 00000005\n",
}


def write(folder: Path) -> Path:
    folder.mkdir()
    for part in ("noun", "verb", "adj", "adv"):
        (folder / f"data.{part}").write_text(DATA.get(part, ""))
        (folder / f"index.{part}").write_text(INDEX.get(part, ""))
    return folder


def test_a_word_gets_the_single_words_of_its_most_frequent_sense(tmp_path):
    found = read_wordnet(write(tmp_path / "wordnet")).of
    assert found == {"film": ("flick", "movie"), "movie": ("film", "flick"), "fine": ("ok",)}


def test_a_zip_file_says_the_same(tmp_path):
    folder = write(tmp_path / "wordnet")
    with zipfile.ZipFile(tmp_path / "w.zip", "w") as archive:
        for file in folder.iterdir():
            archive.write(file, f"wordnet/{file.name}")
    assert read_wordnet(tmp_path / "w.zip") == read_wordnet(folder)


@pytest.mark.parametrize("content", [b"no zip", b""])
def test_what_is_no_wordnet_is_refused(tmp_path, content):
    (tmp_path / "w.zip").write_bytes(content)
    with pytest.raises(ValueError, match="not a WordNet archive"):
        read_wordnet(tmp_path / "w.zip")


THESAURUS = Thesaurus({"film": ("flick", "movie"), "great": ("grand",), "is": ("be",)})


def test_words_are_exchanged_in_their_capitals_and_the_rest_stays():
    new = THESAURUS.exchanged("A GREAT Film, is it?", "strong", Random(0))
    assert new in {
        "A GRAND Flick, is it?", "A GRAND Movie, is it?",
    }  # fmt: skip


def test_short_words_words_to_leave_and_addresses_stay():
    for text in ("is", "#film", "films", ""):
        assert THESAURUS.exchanged(text, "strong", Random(0)) == text
    assert THESAURUS.exchanged("film", "mild", Random(0), frozenset({"film"})) == "film"


def test_mild_changes_fewer_words_than_strong():
    text = " ".join(["great film"] * 15)

    def changed(strength) -> int:
        new = THESAURUS.exchanged(text, strength, Random(0)).split()
        return sum(a != b for a, b in zip(text.split(), new, strict=True))

    assert changed("mild") == 3
    assert changed("strong") == 10


@pytest.mark.skipif(not os.environ.get("AUDITKIT_DATA"), reason="needs AUDITKIT_DATA")
def test_the_released_wordnet_is_read():
    place = Path(os.environ["AUDITKIT_DATA"], "nltk_data", "corpora", "wordnet.zip")
    found = read_wordnet(place).of
    assert len(found) > 30_000
    assert "movie" in found["film"]
    assert "terrible" in found["awful"]
