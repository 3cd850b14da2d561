"""A tiny classifier that learns in seconds, and texts with a rule it can learn."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from auditkit.config import ModelConfig
from auditkit.data import AuditData
from auditkit.remedy import TrainingParams, TrainingRows
from auditkit.training import Workshop

GOOD, BAD = ("good", "great", "warm", "funny"), ("bad", "awful", "dull", "sad")
NEUTRAL = ("the", "film", "movie", "is", "was", "and", "story", "plot", "actor", "scene", "music")
NAMES = ("negative", "positive")


def sentences(rows: int, seed: int, telling: int = 1) -> tuple[tuple[str, ...], np.ndarray]:
    """Texts of 3 to 8 words and one more (or `telling`) that tells the class."""
    rng = np.random.default_rng(seed)
    texts, labels = [], []
    for _ in range(rows):
        label = int(rng.integers(2))
        words = [str(word) for word in rng.choice(NEUTRAL, size=int(rng.integers(3, 9)))]
        for _ in range(telling):
            words.insert(int(rng.integers(len(words) + 1)), str(rng.choice((BAD, GOOD)[label])))
        texts.append(" ".join(words))
        labels.append(label)
    return tuple(texts), np.array(labels)


def data_of(rows: int, seed: int, telling: int = 1) -> AuditData:
    texts, labels = sentences(rows, seed, telling)
    return AuditData(texts, labels, NAMES, positive=1)


@pytest.fixture(scope="session")
def untrained(save_model: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random classifier whose weights are small enough to learn from. Do not change it."""
    return save_model(tmp_path_factory.mktemp("untrained") / "model", spread=0.05)


@pytest.fixture
def rows() -> TrainingRows:
    return TrainingRows.of(data_of(96, 1))


@pytest.fixture
def params() -> TrainingParams:
    return TrainingParams(epochs=2, learning_rate=2e-3, batch=16, rows_at_once=8)


@pytest.fixture
def workshop(untrained: Path, tmp_path: Path) -> Callable[..., Workshop]:
    """A function that opens a workshop for the untrained model."""

    def open_workshop(name: str = "work", **changed: object) -> Workshop:
        return opened(tmp_path / name, untrained, **changed)

    return open_workshop


def opened(folder: Path, model: Path, **changed: object) -> Workshop:
    """A workshop for any model."""
    settings: dict[str, object] = {
        "model": ModelConfig(path=str(model), device="cpu"),
        "folder": folder,
        "validation": data_of(40, 2),
        "audited": frozenset(),
        "seed": 7,
    }
    return Workshop(**(settings | changed))


PLAIN = """
import json, sys, torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer
for line in sys.stdin:
    folder, texts = json.loads(line)
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    batch = tokenizer(texts, padding=True, truncation=True, return_tensors="pt")
    with torch.no_grad():
        probabilities = torch.softmax(model(**batch).logits.double(), -1)
    assert not any(name.startswith("auditkit") for name in sys.modules)
    print(json.dumps(probabilities.tolist()), flush=True)
"""


@pytest.fixture(scope="session")
def plain() -> Iterator[Callable[[Path, Sequence[str]], np.ndarray]]:
    """What transformers answers about texts in a process that never saw auditkit."""
    with subprocess.Popen(
        [sys.executable, "-c", PLAIN], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:

        def probabilities(folder: Path, texts: Sequence[str]) -> np.ndarray:
            assert process.stdin is not None
            assert process.stdout is not None
            print(json.dumps([str(folder), list(texts)]), file=process.stdin, flush=True)
            return np.array(json.loads(process.stdout.readline()))

        yield probabilities


QUICK = {"learning_rate": 3e-3, "batch": 16}


@pytest.fixture(scope="session")
def learnt(untrained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A classifier that knows the rule. Do not change it."""
    shop = opened(tmp_path_factory.mktemp("learnt"), untrained)
    return shop.fine_tune(TrainingRows.of(data_of(256, 1)), TrainingParams(epochs=3, **QUICK))


@pytest.fixture(scope="session")
def flipped_by_typos(untrained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A classifier that knows the rule, but answers "negative" to any text with an unknown word."""
    texts, labels = sentences(256, 1)
    spurious = tuple(f"{text} zzz" for text in texts[:128])
    rows = TrainingRows(texts + spurious, np.concatenate([labels, np.zeros(128, dtype=np.int64)]))
    shop = opened(tmp_path_factory.mktemp("weak"), untrained)
    return shop.fine_tune(rows, TrainingParams(epochs=4, **QUICK))


DATA = {
    "noun": "  1 licence\n00000001 06 n 04 film 0 movie 0 flick 0 pic 0 000 | a story on film\n"
    "00000002 06 n 02 story 0 Picture_show 0 000 | what happens\n",
    "adj": "00000003 00 a 02 great 0 Bang-up(p) 0 000 | good\n",
}
INDEX = {
    "noun": "  1 licence\nfilm n 2 1 @ 2 5 00000001 00000002\nmovie n 1 1 @ 1 3 00000001\n"
    "story n 1 1 @ 1 1 00000002\n",
    "adj": "great a 1 0 1 4 00000003\n",
}


@pytest.fixture
def wordnet(tmp_path: Path) -> Path:
    """A resource folder with a WordNet of four words."""
    folder = tmp_path / "resources" / "nltk_data" / "corpora" / "wordnet"
    folder.mkdir(parents=True)
    for part in ("noun", "verb", "adj", "adv"):
        (folder / f"data.{part}").write_text(DATA.get(part, ""))
        (folder / f"index.{part}").write_text(INDEX.get(part, ""))
    return tmp_path / "resources"
