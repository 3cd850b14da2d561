"""Files some checks need that do not come with auditkit: what they are and where they go.

They lie in one folder, `resource_folder()`. Nothing is fetched unless asked for
(`auditkit resources --online`); a check that lacks one says so before the run starts.
"""

from __future__ import annotations

import hashlib
import os
import stat
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from auditkit.errors import ConfigError

_BLOCK = 1 << 20
_NLTK = (
    "https://raw.githubusercontent.com/nltk/nltk_data/5db857e6f7df11eabb5e5665836db9ec8df07e28/"
    "packages"
)
_TEXTATTACK = (
    "https://raw.githubusercontent.com/QData/TextAttack/f800c2c03baba5c380d7bac69ed6060f131c8bd3"
)


@dataclass(frozen=True, slots=True)
class Resource:
    """A file or folder that a check or a recipe reads.

    Attributes:
        name: What messages call it.
        what: What it is, in one line.
        paths: Where it may lie below the resource folder; the first is where to put it.
        url: Address at a fixed revision from which `--online` fetches it; empty when it has to be
            put there by hand, because nobody publishes a digest to check it by.
        digest: "sha256:…", or "git:…" for the SHA-1 that git gives a file, of what `url` answers.
        source: Where to get it by hand.
        included: True when auditkit carries a copy, which one in the folder goes before.
        optional: True when a check does without it, and says so.
    """

    name: str
    what: str
    paths: tuple[str, ...]
    url: str = ""
    digest: str = ""
    source: str = ""
    included: bool = False
    optional: bool = False

    def found(self, folder: Path | None = None) -> Path | None:
        """Where it lies in the folder (by default `resource_folder()`); None when it does not."""
        root = folder or resource_folder()
        return next((root / path for path in self.paths if (root / path).exists()), None)

    def place(self) -> Path:
        """Where it lies.

        Raises:
            ConfigError: It is not there, or cannot be used as it is.
        """
        lacking = self.obstacle()
        place = self.found()
        if lacking or place is None:
            raise ConfigError(f"{lacking or self.name + ' is missing'}.")
        return place

    def obstacle(self, folder: Path | None = None) -> str:
        """Why it cannot be used, and what to do, in one clause; empty when it can."""
        root = folder or resource_folder()
        place = self.found(root)
        if place is None:
            if self.included:
                return ""
            how = " (auditkit resources --online fetches it)" if self.url else ""
            return f"{self.name} is missing: put it at {root / self.paths[0]}{how}"
        writable = _writable_by_others(place) if self.paths[0].startswith("nltk_data/") else None
        if writable is not None:
            return f"NLTK will not read {self.name}: others may write to {writable} (chmod go-w)"
        return ""

    def content_digest(self, folder: Path | None = None) -> str:
        """SHA-256 over the names and contents of its files; "absent" when it is not there."""
        place = self.found(folder)
        if place is None:
            return "absent"
        hasher = hashlib.sha256()
        for file in sorted(_files(place)):
            name = file.relative_to(place).as_posix()
            hasher.update(f"{len(name)}:{name}:{file.stat().st_size}:".encode())
            with file.open("rb") as stream:
                while block := stream.read(_BLOCK):
                    hasher.update(block)
        return hasher.hexdigest()


def resource_folder() -> Path:
    """Where resources lie: $AUDITKIT_RESOURCES, else the platform's data folder of the user."""
    if named := os.environ.get("AUDITKIT_RESOURCES"):
        return Path(named).expanduser().absolute()
    if sys.platform == "win32" and (local := os.environ.get("LOCALAPPDATA")):
        return Path(local, "auditkit", "resources")
    if sys.platform == "darwin":
        return Path("~/Library/Application Support/auditkit").expanduser()
    return Path(os.environ.get("XDG_DATA_HOME") or "~/.local/share").expanduser() / "auditkit"


def _files(place: Path) -> Iterator[Path]:
    if place.is_file():
        yield place
    else:
        yield from (path for path in place.rglob("*") if path.is_file())


def _writable_by_others(place: Path) -> Path | None:
    """The first part of it that another user could change."""
    if os.name != "posix":
        return None
    parts: list[Path] = [place, *(place.rglob("*") if place.is_dir() else ())]
    others = stat.S_IWGRP | stat.S_IWOTH
    return next((path for path in parts if path.stat().st_mode & others), None)


STOP_WORDS = Resource(
    "stop words",
    "NLTK's lists of words that attacks leave alone",
    ("nltk_data/corpora/stopwords", "nltk_data/corpora/stopwords.zip"),
    f"{_NLTK}/corpora/stopwords.zip",
    "sha256:15c94179887425ca1bedc265608cab9f27d650211f709bb929e320990a4b01d1",
    included=True,
)
WORDNET = Resource(
    "WordNet",
    "the English WordNet 3.0, for synonyms, as NLTK reads it",
    ("nltk_data/corpora/wordnet.zip", "nltk_data/corpora/wordnet"),
    f"{_NLTK}/corpora/wordnet.zip",
    "git:3c68cd207844f071a5206f7fbed23e5c607ec02f",
)
TAGGER = Resource(
    "part-of-speech tagger",
    "NLTK's averaged perceptron tagger for English",
    (
        "nltk_data/taggers/averaged_perceptron_tagger_eng",
        "nltk_data/taggers/averaged_perceptron_tagger_eng.zip",
    ),
    source="python -m nltk.downloader averaged_perceptron_tagger_eng",
)
TAGSET = Resource(
    "universal tag set",
    "NLTK's map from Penn Treebank tags to twelve universal ones",
    ("nltk_data/taggers/universal_tagset", "nltk_data/taggers/universal_tagset.zip"),
    f"{_NLTK}/taggers/universal_tagset.zip",
    "sha256:d490e1ae8f5625dcdfdda04be15c22a2aade8c2561a36a61edcdf0c7d6aa8352",
)
HOMOGLYPHS = Resource(
    "homoglyphs",
    "Unicode's list of characters that look alike, which TextAttack's package lacks",
    ("textattack/intentional_homoglyphs.txt",),
    f"{_TEXTATTACK}/textattack/shared/intentional_homoglyphs.txt",
    "sha256:6827f1f7694f747aa93e374619b4bf81ffb18e2feb0b9c982c427f7eec2266c1",
)
COUNTER_FITTED = Resource(
    "counter-fitted vectors",
    "TextAttack's word vectors after Mrkšić et al. 2016 (paragram.npy, nn.npy, wordlist.pickle)",
    ("textattack/word_embeddings/paragramcf",),
    source="https://textattack.s3.amazonaws.com/word_embeddings/paragramcf (a zip file)",
)
VECTORS = Resource(
    "word vectors",
    "vectors of your choice: a text file with a word and its numbers on each line",
    ("vectors.txt",),
    source="counter-fitted-vectors.txt of github.com/nmrksic/counter-fitting, or GloVe",
)
SENTENCE_ENCODER = Resource(
    "sentence encoder",
    "a transformers encoder of your choice, as saved by save_pretrained (safetensors)",
    ("sentence-encoder",),
    source="the hub, e.g. sentence-transformers/all-MiniLM-L6-v2",
)
MASKED_LM = Resource(
    "masked language model",
    "a BERT-like masked language model of your choice, as saved by save_pretrained (safetensors)",
    ("masked-lm",),
    source="the hub, e.g. distilroberta-base",
)
BERT = Resource(
    "bert-base-uncased",
    "the masked language model of BAE and BERT-Attack (safetensors)",
    ("models/bert-base-uncased",),
    source="the hub: google-bert/bert-base-uncased",
)
GPT2 = Resource(
    "gpt2",
    "the language model of the Kuleshov attack (safetensors)",
    ("models/gpt2",),
    source="the hub: openai-community/gpt2",
)
UNIVERSAL_ENCODER = Resource(
    "universal sentence encoder",
    "Google's encoder, version 3, as an unpacked TensorFlow model",
    ("models/universal-sentence-encoder-3",),
    source="https://tfhub.dev/google/universal-sentence-encoder/3",
)
GOOGLE_LM = Resource(
    "Google language model",
    "TextAttack's copy of the 1-billion-word language model",
    ("textattack/constraints/semantics/language-models/alzantot-goog-lm",),
    source="https://textattack.s3.amazonaws.com/constraints/semantics/language-models/"
    "alzantot-goog-lm",
)

RESOURCES = (
    STOP_WORDS,
    WORDNET,
    TAGGER,
    TAGSET,
    HOMOGLYPHS,
    COUNTER_FITTED,
    VECTORS,
    SENTENCE_ENCODER,
    MASKED_LM,
    BERT,
    GPT2,
    UNIVERSAL_ENCODER,
    GOOGLE_LM,
)
"""All of them, in the order `auditkit resources` lists them."""
