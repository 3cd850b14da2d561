"""Answers on disk are found again by what they depend on, and by nothing else."""

from __future__ import annotations

import json
import logging
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import auditkit
from auditkit.cli import main
from auditkit.config import CacheConfig, ModelConfig, parse_config
from auditkit.content import content_digest, content_key
from auditkit.errors import ConfigError, ModelError
from auditkit.model import Capability, Predictions
from auditkit.models.python_callable import load_callable
from auditkit.prediction_store import (
    FILE,
    PredictionStore,
    default_folder,
    open_store,
)
from auditkit.predictor import SharedPredictor
from auditkit.result import AuditResult, PredictorStatistics, Timing
from auditkit.sqlite_file import CacheError

KEY, OTHER = "ab" * 32, "cd" * 32
ASKED = ["a", "bb", "ccc", "dddd"]


class Letters:
    """One token per character; remembers the batches it was asked."""

    name = "letters"
    digest = "0"
    class_names = ("even", "odd")
    capabilities = frozenset({Capability.PROBABILITIES})

    def __init__(self, answer_key: str | None = KEY, share: float = 0.7) -> None:
        self.answer_key = answer_key
        self.assumptions: dict[str, str] = {}
        self.share = share
        self.asked: list[str] = []

    def tokenize(self, inputs: Sequence[str]) -> list[list[int]]:
        return [[ord(c) for c in text] for text in inputs]

    def predict_tokens(self, batch: Sequence[list[int]]) -> Predictions:
        # As in a real model, the last bits depend on what else is in the batch.
        texts = ["".join(map(chr, tokens)) for tokens in batch]
        self.asked += texts
        odd = np.array([len(text) % 2 for text in texts])
        first = np.where(odd, 1 - self.share, self.share) + 1e-13 * sum(map(len, texts))
        return Predictions.from_probabilities(np.column_stack([first, 1 - first]))

    def predict(self, batch: Sequence[Any]) -> Predictions:
        return self.predict_tokens(self.tokenize(batch))


def ask(store: PredictionStore | None, model: Letters, texts: Sequence[str] = ASKED) -> Predictions:
    return SharedPredictor(model, store=store, batch_tokens=8).predict(texts)


def same(a: Predictions, b: Predictions) -> bool:
    return bool(np.array_equal(a.labels, b.labels)) and bool(
        np.array_equal(a.probabilities, b.probabilities)
    )


@pytest.fixture
def store(tmp_path: Path):
    with PredictionStore(tmp_path / "cache") as opened:
        yield opened


def reopened(store: PredictionStore) -> PredictionStore:
    store.close()
    return PredictionStore(store.path.parent)


# --- found again --------------------------------------------------------------------------------


def test_the_same_bits_come_back_and_nothing_is_asked(store) -> None:
    cold = ask(store, Letters())
    with reopened(store) as again:
        model = Letters()
        predictor = SharedPredictor(model, store=again, batch_tokens=8)
        assert same(predictor.predict(ASKED), cold)
        assert model.asked == []
        assert predictor.statistics == PredictorStatistics(asked=4, distinct=4, cached=4)
        predictor.predict([*ASKED, "new"])
        assert model.asked == ["new"]
        assert predictor.statistics.cached == 4


def test_repeated_inputs_are_one_row_and_answered_in_their_order(store) -> None:
    texts = ["bb", "a", "bb", "bb", "a"]
    cold = ask(store, Letters(), texts)
    model = Letters()
    assert same(ask(store, model, texts), cold)
    assert cold.labels.tolist() == [0, 1, 0, 0, 1]
    assert (model.asked, store.contents().rows) == ([], 2)


def test_labels_without_probabilities_are_kept_too(store) -> None:
    model = Letters()
    model.capabilities = frozenset()
    model.predict_tokens = lambda batch: Predictions(np.array([len(t) % 2 for t in batch]), None)
    ask(store, model)
    model.predict_tokens = None
    found = ask(store, model)
    assert found.labels.tolist() == [1, 0, 1, 0]
    assert found.probabilities is None


def test_a_model_without_a_key_is_never_kept(store) -> None:
    model = Letters(answer_key=None)
    ask(store, model)
    ask(store, model)
    assert model.asked == [*ASKED[::-1], *ASKED[::-1]]
    assert store.contents().rows == 0


def test_two_models_do_not_share_answers(store) -> None:
    first, second = Letters(KEY, 0.7), Letters(OTHER, 0.2)
    ask(store, first)
    assert ask(store, second).labels.tolist() == [0, 1, 0, 1]
    assert len(second.asked) == 4
    assert store.contents().models == 2


@pytest.mark.parametrize(
    "values", [[1, 1.0, True, "1", b"1", None, "None", ("1",), ["1"], "é\ud800"]]
)
def test_different_inputs_have_different_digests(values) -> None:
    digests = [content_digest(content_key(value)) for value in values]
    assert len(set(digests)) == len(values)
    assert content_digest(("a", "bc")) != content_digest(("ab", "c"))


# --- what is not kept ---------------------------------------------------------------------------


def test_a_failing_model_is_asked_again(store) -> None:
    model = Letters()
    answer, model.predict_tokens = model.predict_tokens, lambda batch: 1 / 0
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            ask(store, model)
    assert store.contents().rows == 0
    model.predict_tokens = answer
    ask(store, model)
    assert len(model.asked) == 4


@pytest.mark.parametrize(
    "answer",
    [
        lambda n: Predictions(np.zeros(n - 1, int), np.ones((n - 1, 2)) / 2),
        lambda n: Predictions(np.zeros(n, int), np.ones((n, 3)) / 3),
        lambda n: Predictions(np.full(n, 5), np.ones((n, 2)) / 2),
        lambda n: Predictions.from_logits(np.full((n, 2), np.nan)),
    ],
)
def test_an_answer_that_is_refused_is_not_kept(store, answer) -> None:
    model = Letters()
    model.predict_tokens = lambda batch: answer(len(batch))
    with pytest.raises(ModelError):
        ask(store, model)
    assert store.contents().rows == 0


def test_what_was_answered_before_a_failure_is_kept(store) -> None:
    model = Letters()
    answer = model.predict_tokens
    model.predict_tokens = lambda batch: answer(batch) if len(batch[0]) > 2 else 1 / 0
    with pytest.raises(ZeroDivisionError):
        ask(store, model)
    model.predict_tokens, model.asked = answer, []
    ask(store, model)
    assert sorted(model.asked) == ["a", "bb"]


# --- damage -------------------------------------------------------------------------------------


@pytest.mark.parametrize("column", ["payload", "hash"])
def test_a_flipped_byte_is_a_miss_with_a_warning(store, column, caplog) -> None:
    cold = ask(store, Letters())
    db = sqlite3.connect(store.path)
    for position, (digest, blob) in enumerate(
        db.execute(f"SELECT input, {column} FROM answers").fetchall()
    ):
        at = position * 5 % len(blob)
        flipped = blob[:at] + bytes([blob[at] ^ 1]) + blob[at + 1 :]
        with db:
            db.execute(f"UPDATE answers SET {column} = ? WHERE input = ?", (flipped, digest))
        model = Letters()
        caplog.clear()
        found = ask(store, model)
        assert len(model.asked) == 1
        assert "1 damaged answers in the cache" in caplog.text
        np.testing.assert_allclose(found.probabilities, cold.probabilities, atol=1e-9)
    db.close()
    model = Letters()
    ask(store, model)
    assert model.asked == []


def test_no_flipped_byte_in_the_file_changes_an_answer(store, tmp_path: Path) -> None:
    truth = ask(store, Letters())
    store.of(KEY).record("topic", {"said": 1})
    store.close()
    content = store.path.read_bytes()
    used = [i for i, byte in enumerate(content) if byte]
    rng = random.Random(0)
    for number, at in enumerate(rng.sample(used, 120)):
        folder = tmp_path / str(number)
        folder.mkdir(mode=0o700)
        changed = bytearray(content)
        changed[at] ^= 1 << rng.randrange(8)
        (folder / FILE).write_bytes(changed)
        (folder / FILE).chmod(0o600)
        with PredictionStore(folder) as again:
            found = ask(again, Letters())
            assert again.of(KEY).recall("topic") in (None, {"said": 1})
        np.testing.assert_allclose(found.probabilities, truth.probabilities, atol=1e-9)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda content: b"garbage" * 500,
        lambda content: content[: len(content) // 2],
        lambda content: content[:4096] + b"\xff" * (len(content) - 4096),
        lambda content: content[:100],
    ],
)
def test_a_damaged_file_is_moved_aside_and_begun_anew(store, spoil, caplog) -> None:
    texts = ["x" * n for n in range(1, 400)]
    cold = ask(store, Letters(), texts)
    store.close()
    content = spoil(store.path.read_bytes())
    store.path.write_bytes(content)
    with PredictionStore(store.path.parent) as again:
        np.testing.assert_allclose(
            ask(again, Letters(), texts).probabilities, cold.probabilities, atol=1e-6
        )
        ask(again, Letters(), texts)
        assert again.usable
    aside = store.path.with_suffix(".damaged").read_bytes()
    assert aside[100:] == content[100:]  # SQLite counts openings in the header
    assert "is damaged" in caplog.text
    model = Letters()
    with PredictionStore(store.path.parent) as again:
        ask(again, model, texts)
    assert model.asked == []


def test_a_file_of_another_program_is_moved_aside(store) -> None:
    store.close()
    store.path.unlink()
    with sqlite3.connect(store.path) as db:
        db.execute("CREATE TABLE answers (x)")
    db.close()
    store.path.chmod(0o600)
    with PredictionStore(store.path.parent) as again:
        ask(again, Letters())
        ask(again, Letters())
        assert again.contents().rows == 4


# --- places that do not serve -------------------------------------------------------------------


def test_the_folder_is_for_its_owner_only(store) -> None:
    ask(store, Letters())
    assert store.path.parent.stat().st_mode & 0o777 == 0o700
    assert all(file.stat().st_mode & 0o077 == 0 for file in store.path.parent.iterdir())


@pytest.mark.skipif(os.name == "nt", reason="folders of users are protected otherwise")
@pytest.mark.parametrize("mode", [0o777, 0o720, 0o702])
def test_a_folder_that_others_can_write_is_refused(tmp_path: Path, mode: int) -> None:
    folder = tmp_path / "cache"
    folder.mkdir()
    folder.chmod(mode)
    with pytest.raises(CacheError, match=r"can be written by others.*\n.*chmod go-w"):
        PredictionStore(folder)


def test_a_folder_of_somebody_else_is_refused(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(os, "getuid", lambda: 12345)
    with pytest.raises(CacheError, match=r"belongs to another user.*\n.*--no-cache"):
        PredictionStore(tmp_path / "cache")


def test_a_link_in_place_of_the_file_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    folder.mkdir(mode=0o700)
    (folder / FILE).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(CacheError, match="is a link"):
        PredictionStore(folder)
    assert not (tmp_path / "elsewhere").exists()


def test_a_folder_that_cannot_be_made_costs_one_warning(tmp_path: Path, caplog) -> None:
    (tmp_path / "file").write_text("")
    with PredictionStore(tmp_path / "file" / "cache") as store:
        assert ask(store, Letters()).labels.tolist() == [1, 0, 1, 0]
        ask(store, Letters())
    assert len(caplog.records) == 1
    assert "The audit goes on without it" in caplog.text


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write it")
def test_a_read_only_folder_costs_one_warning(store, caplog) -> None:
    ask(store, Letters())
    store.close()
    store.path.chmod(0o400)
    store.path.parent.chmod(0o500)
    with PredictionStore(store.path.parent) as again:
        ask(again, Letters())
    store.path.parent.chmod(0o700)
    assert len(caplog.records) == 1


@pytest.mark.parametrize(
    "pragma", ["query_only = ON", "max_page_count = 1"], ids=["read-only", "full"]
)
def test_a_file_that_cannot_grow_costs_one_warning(store, pragma, caplog) -> None:
    store._db.execute(f"PRAGMA {pragma}")
    texts = ["x" * n for n in range(1, 300)]
    model = Letters()
    assert len(ask(store, model, texts)) == 299
    assert not store.usable
    assert len(caplog.records) == 1
    assert "cannot be used" in caplog.text


# --- several processes, and killed ones ---------------------------------------------------------

WRITER = """
import sys
from pathlib import Path
import numpy as np
from auditkit.model import Predictions
from auditkit.prediction_store import PredictionStore

number = int(sys.argv[2])
with PredictionStore(Path(sys.argv[1])) as store:
    kept = store.of("ab" * 32)
    for batch in range(25):
        names = [b"%d %d %d" % (number, batch, row) for row in range(4)]
        scores = np.full((4, 2), 0.5)
        kept.keep(names, Predictions(np.full(4, number), scores))
    assert store.usable
"""


def test_eight_processes_lose_nothing(tmp_path: Path, caplog) -> None:
    folder = tmp_path / "cache"
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(folder), str(number)])
        for number in range(8)
    ]
    assert [writer.wait(60) for writer in writers] == [0] * 8
    names = [b"%d %d %d" % (n, b, r) for n in range(8) for b in range(25) for r in range(4)]
    with PredictionStore(folder) as store:
        found, answers = store.of(KEY).find(names, 2)
    assert found == list(range(800))
    assert answers.labels.tolist() == [n for n in range(8) for _ in range(100)]
    assert not caplog.records


KILLED = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[3])
from test_prediction_store import Letters, ask, many
from auditkit.prediction_store import PredictionStore

class Dying(Letters):
    def predict_tokens(self, batch):
        if len(self.asked) > int(sys.argv[2]):
            os.kill(os.getpid(), signal.SIGKILL)
        return super().predict_tokens(batch)

ask(PredictionStore(Path(sys.argv[1])), Dying(), many())
"""


def many() -> list[str]:
    rng = random.Random(0)
    return ["".join(rng.choices("abcdef", k=rng.randint(1, 9))) for _ in range(300)]


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="there is no such signal")
def test_a_killed_run_goes_on_where_it_was_with_the_same_bits(tmp_path: Path) -> None:
    whole = Letters()
    truth = ask(None, whole, many())
    arguments = [str(tmp_path / "cache"), "100", str(Path(__file__).parent)]
    done = subprocess.run([sys.executable, "-c", KILLED, *arguments], check=False)
    assert done.returncode == -signal.SIGKILL
    rest = Letters()
    with PredictionStore(tmp_path / "cache") as store:
        kept = store.contents().rows
        assert same(ask(store, rest, many()), truth)
    assert kept > 100
    assert len(rest.asked) == len(whole.asked) - kept


# --- size ---------------------------------------------------------------------------------------


def test_the_models_used_longest_ago_are_forgotten_first(tmp_path: Path) -> None:
    folder, rows = tmp_path / "cache", np.full((500, 2), 0.5)
    labels = np.zeros(500, dtype=np.int64)
    keys = [f"{number:02x}" * 32 for number in range(8)]
    for key in keys:
        with PredictionStore(folder, 200_000) as store:
            store.of(key).keep([b"%032d" % i for i in range(500)], Predictions(labels, rows))
            store.of(keys[0]).find([b"0" * 32], 2)
        assert sum(file.stat().st_size for file in folder.iterdir()) <= 200_000
    with PredictionStore(folder, 200_000) as store:
        held = [bool(store.of(key).find([b"%032d" % 1], 2)[0]) for key in keys]
    assert held[0]
    assert held[-1]
    assert not all(held)


def test_one_model_alone_keeps_to_the_bound(tmp_path: Path) -> None:
    labels, scores = np.zeros(500, dtype=np.int64), np.full((500, 2), 0.5)
    with PredictionStore(tmp_path / "cache", 100_000) as store:
        for batch in range(8):
            names = [b"%d %030d" % (batch, i) for i in range(500)]
            store.of(KEY).keep(names, Predictions(labels, scores))
    assert sum(file.stat().st_size for file in (tmp_path / "cache").iterdir()) <= 100_000
    with PredictionStore(tmp_path / "cache") as store:
        assert store.of(KEY).find(names, 2)[0]


# --- settings and the command -------------------------------------------------------------------


def test_where_it_is(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AUDITKIT_CACHE", str(tmp_path / "here"))
    assert default_folder() == tmp_path / "here"
    assert open_store(CacheConfig(enabled=False)) is None
    opened = open_store(CacheConfig(directory=str(tmp_path / "there")))
    opened.close()
    assert opened.path == tmp_path / "there" / FILE
    monkeypatch.delenv("AUDITKIT_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    if sys.platform == "linux":
        assert default_folder() == tmp_path / "xdg" / "auditkit"


def test_the_command_shows_and_empties_it(tmp_path: Path, capsys) -> None:
    folder = tmp_path / "cache"
    assert main(["cache", "--directory", str(folder)]) == 0
    assert "nothing is kept yet" in capsys.readouterr().out
    assert not folder.exists()
    with PredictionStore(folder) as store:
        ask(store, Letters())
    assert main(["cache", "--directory", str(folder)]) == 0
    said = capsys.readouterr().out
    assert f"path    {folder / FILE}" in said
    assert "models  1\nrows    4" in said
    assert main(["cache", "--clear", "--directory", str(folder)]) == 0
    assert "models  0\nrows    0" in capsys.readouterr().out


# --- callables ----------------------------------------------------------------------------------


@pytest.fixture
def module(tmp_path: Path, monkeypatch) -> str:
    name = f"callable_{tmp_path.name}".replace("-", "_")
    (tmp_path / f"{name}.py").write_text("def f(texts):\n    return [[.5, .5] for _ in texts]\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return f"{name}:f"


def test_a_callable_is_kept_only_when_it_says_what_it_depends_on(module, tmp_path) -> None:
    silent = load_callable(ModelConfig(callable=module))
    assert silent.answer_key is None
    assert "not kept" in silent.assumptions["cache"]
    weights = tmp_path / "weights"
    weights.mkdir()
    (weights / "w.txt").write_text("1")
    config = ModelConfig(callable=module, depends_on=[str(weights)])
    first = load_callable(config)
    assert first.answer_key == load_callable(config).answer_key
    assert "cache" not in first.assumptions
    (weights / "w.txt").write_text("2")
    retrained = load_callable(config)
    assert retrained.answer_key != first.answer_key
    assert retrained.digest != first.digest
    assert load_callable(ModelConfig(callable=module, depends_on=[])).answer_key is not None
    with pytest.raises(ConfigError, match="no such file"):
        load_callable(ModelConfig(callable=module, depends_on=[str(tmp_path / "gone")]))


# --- a transformers model -----------------------------------------------------------------------


@pytest.fixture
def folder(tiny_model: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_model, tmp_path / "model"))


def transformer(folder: Path, store: PredictionStore | None, **settings: Any):
    from auditkit.models.transformers_text import load_transformers

    return load_transformers(ModelConfig(path=str(folder), **settings), online=False, store=store)


SENTENCES = ["the film is good", "a dull story", "not very funny but warm", "loud music", "good"]


def cached(folder: Path, store: PredictionStore, **settings: Any) -> int:
    """How many of the sentences are answered from the store."""
    predictor = SharedPredictor(transformer(folder, store, **settings), store=store)
    predictor.predict(SENTENCES)
    return predictor.statistics.cached


def test_an_unchanged_model_is_described_without_being_loaded(folder, store) -> None:
    cold = transformer(folder, store)
    answers = SharedPredictor(cold, store=store).predict(SENTENCES)
    warm = transformer(folder, store)
    assert same(SharedPredictor(warm, store=store).predict(SENTENCES), answers)
    assert warm._parts is None
    assert list(warm.assumptions.items()) == list(cold.assumptions.items())
    for name in ("name", "digest", "class_names", "capabilities", "max_length", "answer_key"):
        assert getattr(warm, name) == getattr(cold, name)
    assert warm.predict(["film"]).labels.shape == (1,)
    assert warm._parts is not None


def test_two_models_at_one_path_are_two_models(folder, store, save_model, tmp_path) -> None:
    assert cached(folder, store) == 0
    other = save_model(tmp_path / "other", seed=5)
    shutil.rmtree(folder)
    other.rename(folder)
    assert cached(folder, store) == 0
    assert cached(folder, store) == len(SENTENCES)


def test_a_model_retrained_in_place_is_asked_again(folder, store) -> None:
    from safetensors.torch import load_file, save_file

    first = SharedPredictor(transformer(folder, store), store=store).predict(SENTENCES)
    weights = load_file(folder / "model.safetensors")
    weights["classifier.bias"][:] = weights["classifier.bias"] + 0.5
    weights["classifier.weight"][0] *= -1
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    second = SharedPredictor(transformer(folder, store), store=store).predict(SENTENCES)
    fresh = SharedPredictor(transformer(folder, None)).predict(SENTENCES)
    assert not same(first, second)
    assert same(second, fresh)


def test_another_tokenizer_is_asked_again(folder, store) -> None:
    cached(folder, store)
    file = folder / "tokenizer.json"
    words = json.loads(file.read_text())
    vocabulary = words["model"]["vocab"]
    vocabulary["good"], vocabulary["bad"] = vocabulary["bad"], vocabulary["good"]
    file.write_text(json.dumps(words))
    second = SharedPredictor(transformer(folder, store), store=store).predict(SENTENCES)
    assert same(second, SharedPredictor(transformer(folder, None)).predict(SENTENCES))


@pytest.mark.parametrize("settings", [{"max_length": 4}, {"batch_tokens": 16}])
def test_other_settings_are_asked_again(folder, store, settings) -> None:
    cached(folder, store)
    assert cached(folder, store, **settings) == 0
    assert cached(folder, store) == len(SENTENCES)


@pytest.mark.parametrize("package", ["torch", "transformers", "tokenizers", "auditkit"])
def test_another_version_of_a_library_is_asked_again(folder, store, package, monkeypatch) -> None:
    cached(folder, store)
    if package == "auditkit":
        monkeypatch.setattr(auditkit, "__version__", "99.0")
    else:
        from auditkit.models import answer_key

        known = answer_key.installed_version
        monkeypatch.setattr(
            answer_key,
            "installed_version",
            lambda name: "99.0+cpu" if name == package else known(name),
        )
    assert cached(folder, store) == 0


def test_the_number_of_workers_changes_neither_bits_nor_key(folder, store) -> None:
    import torch

    rng = random.Random(0)
    texts = [" ".join(rng.choices(SENTENCES, k=rng.randint(1, 4))) for _ in range(200)]
    threads = torch.get_num_threads()
    one, three = (transformer(folder, None, workers=n, batch_tokens=64) for n in (1, 3))
    assert one.answer_key == three.answer_key
    predictor = SharedPredictor(three, batch_tokens=64)
    assert same(predictor.predict(texts), SharedPredictor(one, batch_tokens=64).predict(texts))
    assert predictor.statistics.batches > 10
    assert torch.get_num_threads() == threads


def test_a_failure_in_a_worker_is_raised_and_the_rest_given_up(folder, monkeypatch) -> None:
    model = transformer(folder, None, workers=2, batch_tokens=8)
    monkeypatch.setattr(
        type(model), "predict_tokens", lambda self, batch: (_ for _ in ()).throw(ModelError("no"))
    )
    with pytest.raises(ModelError, match="no"):
        SharedPredictor(model, batch_tokens=8).predict(SENTENCES)


def test_a_model_changed_during_the_audit_is_noticed(folder, store) -> None:
    cached(folder, store)
    warm = transformer(folder, store)
    (folder / "config.json").write_text((folder / "config.json").read_text() + "\n")
    with pytest.raises(ModelError, match="changed during the audit"):
        warm.predict(["film"])


@pytest.mark.parametrize("key", ["auto_map", "trust_remote_code"])
def test_a_warm_run_still_refuses_code(folder, store, key) -> None:
    cached(folder, store)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {key: "evil.Model"}))
    with pytest.raises(ModelError, match=key):
        transformer(folder, store)


# --- whole audits -------------------------------------------------------------------------------

AUDIT = """
import json, sys
import auditkit
audit = auditkit.run(sys.argv[1])
loaded = [name for name in ("torch", "transformers") if name in sys.modules]
print(json.dumps([audit.result.to_json(), loaded]))
"""


def audited(config: Path) -> tuple[AuditResult, list[str]]:
    done = subprocess.run(
        [sys.executable, "-c", AUDIT, str(config)], check=True, capture_output=True, text=True
    )
    text, loaded = json.loads(done.stdout)
    return AuditResult.from_json(text), loaded


ATTACKS_OFF = "".join(
    f'checks."robustness.{check}".enabled = false\n'
    for check in (
        "adversarial-attack", "attack-sanity", "fairness-of-robustness", "validity",
    )
)  # fmt: skip


def test_a_second_audit_loads_nothing_asks_nothing_and_says_the_same(
    folder: Path, tmp_path: Path
) -> None:
    rng = random.Random(0)
    rows = [f"{' '.join(rng.choices(SENTENCES, k=20))} {i},{['negative', 'positive'][i % 2]}"
            for i in range(120)]  # fmt: skip
    (tmp_path / "data.csv").write_text("\n".join(["text,label", *rows]))
    (tmp_path / "auditkit.toml").write_text(
        f'{ATTACKS_OFF}[model]\npath = "model"\n[cache]\ndirectory = "kept"\n'
        '[data]\npath = "data.csv"\ntext = "text"\nlabel = "label"\nallow_below_chance = true\n'
    )
    cold, loaded = audited(tmp_path / "auditkit.toml")
    assert loaded == ["torch", "transformers"]
    assert any("longer than 48 tokens" in warning for warning in cold.subject.warnings)
    warm, loaded = audited(tmp_path / "auditkit.toml")
    assert loaded == []
    asked, distinct = cold.timing.asking.asked, cold.timing.asking.distinct
    assert distinct > 120  # with the noisy texts
    answered = PredictorStatistics(asked, distinct, cached=distinct, embedded=120)
    assert warm.timing.asking == answered
    assert warm.timing.model_seconds == 0
    blank = {"timing": Timing()}
    assert replace(warm, **blank).to_json() == replace(cold, **blank).to_json()


def test_without_a_cache_nothing_is_written(tmp_path: Path, module, monkeypatch, caplog) -> None:
    (tmp_path / "data.csv").write_text("text,label\n" + "x,0\ny,1\n" * 40)
    table = {
        "model": {"callable": module, "depends_on": []},
        "data": {"path": "data.csv", "text": "text", "label": "label"},
        "cache": {"directory": str(tmp_path / "kept"), "enabled": False},
    }
    with caplog.at_level(logging.WARNING, "auditkit.cache"):
        auditkit.run(parse_config(table))
        assert not (tmp_path / "kept").exists()
        table["cache"]["enabled"] = True
        auditkit.run(parse_config(table))
        second = auditkit.run(parse_config(table)).result
    assert second.timing.asking.cached == second.timing.asking.distinct >= 2
    assert not caplog.records


# --- opened only to look things up --------------------------------------------------------------


def held(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def test_a_store_opened_to_read_finds_everything_and_changes_nothing(store) -> None:
    cold = ask(store, Letters())
    store.of(KEY).record("topic", "said")
    store.close()
    before = held(store.path.parent)
    with PredictionStore(store.path.parent, max_bytes=1, read_only=True) as again:
        model = Letters()
        assert same(ask(again, model), cold)
        assert again.of(KEY).recall("topic") == "said"
        ask(again, model, ["new"])
        assert model.asked == ["new"]
        again.of(KEY).record("topic", "else")
        assert again.of(KEY).recall("topic") == "said"
        assert again.contents().rows == len(ASKED)
    assert held(store.path.parent) == before


def test_a_store_that_is_not_there_is_not_made_by_looking(tmp_path: Path, caplog) -> None:
    with PredictionStore(tmp_path / "cache", read_only=True) as none:
        assert ask(none, Letters()).labels.tolist() == [1, 0, 1, 0]
    assert not (tmp_path / "cache").exists()
    assert caplog.text == ""


def test_a_damaged_file_and_damaged_rows_are_left_to_the_next_audit(store, caplog) -> None:
    ask(store, Letters())
    store.attempt(lambda db: db.execute("UPDATE answers SET payload = x'00'"), None)
    store.close()
    before = held(store.path.parent)
    with PredictionStore(store.path.parent, read_only=True) as again:
        model = Letters()
        ask(again, model)
        assert sorted(model.asked) == ASKED
    assert held(store.path.parent) == before
    store.path.write_bytes(b"garbage" * 500)
    before = held(store.path.parent)
    with PredictionStore(store.path.parent, read_only=True) as again:
        ask(again, model)
        assert not again.usable
    assert "cannot be used" in caplog.text
    assert held(store.path.parent) == before
