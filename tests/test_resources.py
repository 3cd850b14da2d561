"""The resource folder: what is there, what is not, and how it gets there."""

from __future__ import annotations

import hashlib
import io
import os
import stat
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from auditkit import fetching
from auditkit.cli import main
from auditkit.errors import ConfigError
from auditkit.fetching import FetchError, described, fetch, listed
from auditkit.registry import load_registry
from auditkit.resources import RESOURCES, STOP_WORDS, WORDNET, Resource, resource_folder

FILE = Resource("a file", "for tests", ("some/file.txt",), "https://example.org/file.txt")
FOLDER = Resource("a folder", "for tests", ("nltk_data/words", "words.zip"), "https://x.org/w.zip")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("AUDITKIT_RESOURCES", str(tmp_path / "resources"))
    return tmp_path / "resources"


def answering(monkeypatch: pytest.MonkeyPatch, content: bytes) -> list[str]:
    asked: list[str] = []

    def urlopen(request: Any, timeout: float) -> io.BytesIO:
        asked.append(request.full_url)
        return io.BytesIO(content)

    monkeypatch.setattr(fetching, "urlopen", urlopen)
    return asked


def sha256(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def zipped(**files: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return buffer.getvalue()


def test_the_folder_is_the_named_one_or_the_users_data_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("AUDITKIT_RESOURCES", str(tmp_path))
    assert resource_folder() == tmp_path
    monkeypatch.delenv("AUDITKIT_RESOURCES")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setattr("sys.platform", "linux")
    assert resource_folder() == tmp_path / "data" / "auditkit"


def test_a_missing_resource_says_where_to_put_it(folder):
    assert FILE.found() is None
    assert str(folder / "some" / "file.txt") in FILE.obstacle()
    assert FILE.content_digest() == "absent"
    with pytest.raises(ConfigError, match="a file is missing"):
        FILE.place()


def test_one_that_comes_with_auditkit_is_never_missing(folder):
    assert STOP_WORDS.obstacle() == ""
    assert STOP_WORDS.content_digest() == "absent"


def test_any_of_its_places_will_do(folder):
    folder.mkdir()
    (folder / "words.zip").write_bytes(b"x")
    assert FOLDER.place() == folder / "words.zip"


def test_the_digest_follows_names_and_contents(folder):
    place = folder / "nltk_data" / "words"
    place.mkdir(parents=True)
    (place / "a").write_text("1")
    first = FOLDER.content_digest()
    (place / "a").rename(place / "b")
    second = FOLDER.content_digest()
    (place / "b").write_text("2")
    assert len({first, second, FOLDER.content_digest()}) == 3


@pytest.mark.skipif(os.name != "posix", reason="POSIX permissions")
def test_data_that_nltk_would_not_read_is_said_beforehand(folder):
    place = folder / "nltk_data" / "words"
    place.mkdir(parents=True)
    (place / "a").write_text("1")
    (place / "a").chmod(0o664)
    assert "chmod go-w" in FOLDER.obstacle()
    assert str(place / "a") in FOLDER.obstacle()
    (place / "a").chmod(0o644)
    place.chmod(0o755)
    assert FOLDER.obstacle() == ""


def test_what_is_fetched_is_checked_and_put_in_place(folder, monkeypatch):
    asked = answering(monkeypatch, b"content")
    place = fetch(replace(FILE, digest=sha256(b"content")), folder)
    assert place.read_bytes() == b"content"
    assert asked == [FILE.url]
    assert list(place.parent.iterdir()) == [place]


def test_git_names_a_file_by_another_digest(folder, monkeypatch):
    answering(monkeypatch, b"what is up, doc?")  # the example of the book Pro Git
    fetch(replace(FILE, digest="git:bd9dbf5aae1a3862dd1526723246b20206e5fc37"), folder)
    assert FILE.place().read_bytes() == b"what is up, doc?"


def test_another_content_is_thrown_away(folder, monkeypatch):
    answering(monkeypatch, b"something else")
    with pytest.raises(FetchError, match="not what it should be"):
        fetch(replace(FILE, digest=sha256(b"content")), folder)
    assert FILE.found() is None
    assert list((folder / "some").iterdir()) == []


def test_a_zip_file_is_unpacked_for_a_resource_that_is_a_folder(folder, monkeypatch):
    content = zipped(**{"words/english": "the\n", "words/more/french": "le\n"})
    answering(monkeypatch, content)
    place = fetch(replace(FOLDER, digest=sha256(content)), folder)
    assert (place / "english").read_text() == "the\n"
    assert (place / "more" / "french").read_text() == "le\n"
    assert FOLDER.obstacle() == ""


def link() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        entry = zipfile.ZipInfo("words/link")
        entry.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(entry, "/etc/passwd")
    return buffer.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        zipped(**{"words/../../outside": "x"}),
        zipped(**{"/words/absolute": "x"}),
        zipped(**{"other/english": "x"}),
        zipped(**{"words\\..\\..\\windows": "x"}),
        link(),
        b"no zip file",
    ],
    ids=["parent", "absolute", "other folder", "backslash", "link", "no zip"],
)
def test_an_archive_that_is_not_safe_is_not_unpacked(content, folder, monkeypatch):
    answering(monkeypatch, content)
    with pytest.raises(FetchError):
        fetch(replace(FOLDER, digest=sha256(content)), folder)
    assert FOLDER.found() is None
    assert not any(p.is_file() for p in folder.parent.rglob("*"))


def test_a_bomb_is_not_unpacked(folder, monkeypatch):
    content = zipped(**{"words/big": "0" * 10_000})
    answering(monkeypatch, content)
    monkeypatch.setattr(fetching, "MAX_BYTES", 5_000)
    with pytest.raises(FetchError, match="unpacks to more"):
        fetch(replace(FOLDER, digest=sha256(content)), folder)


def test_only_what_can_be_checked_is_fetched(folder):
    with pytest.raises(FetchError, match="no published digest"):
        fetch(replace(FILE, url="", source="somewhere"), folder)
    with pytest.raises(FetchError, match="only https"):
        fetch(replace(FILE, url="http://example.org/file.txt"), folder)
    for resource in RESOURCES:
        assert bool(resource.url) == bool(resource.digest)
        assert resource.url or resource.source
        assert resource.url.startswith(("https://", ""))


def test_what_is_there_is_not_replaced(folder, monkeypatch):
    (folder / "some").mkdir(parents=True)
    (folder / "some" / "file.txt").write_text("mine")
    answering(monkeypatch, b"content")
    fetch(replace(FILE, digest=sha256(b"content")), folder)
    assert FILE.place().read_text() == "mine"


def test_every_resource_is_listed_with_what_needs_it(folder):
    items = {item.resource: item for item in listed(load_registry(), folder)}
    assert items.keys() >= set(RESOURCES)
    assert items[STOP_WORDS].state == "included"
    assert "robustness.adversarial-attack" in items[STOP_WORDS].needed_by
    assert items[WORDNET].state == "missing"
    assert {"pwws", "leap"} <= set(items[WORDNET].needed_by)
    text = described(items[WORDNET], folder)
    assert "nltk_data/corpora/wordnet.zip" in text
    assert "auditkit resources --online" in text


def test_the_command_lists_and_fetches_nothing_unless_asked(folder, monkeypatch, capsys):
    asked = answering(monkeypatch, b"not what it should be")
    assert main(["resources"]) == 0
    assert asked == []
    out = capsys.readouterr().out
    for resource in RESOURCES:
        assert resource.name in out
    assert str(folder) in out


def test_a_fetch_that_fails_is_an_error_and_the_others_go_on(folder, monkeypatch, capsys):
    asked = answering(monkeypatch, b"not what it should be")
    assert main(["resources", "--online"]) == 2
    fetchable = [r.url for r in RESOURCES if r.url and not r.included]
    assert asked == fetchable
    assert "WordNet" in capsys.readouterr().err
