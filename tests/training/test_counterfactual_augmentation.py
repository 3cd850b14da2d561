"""fairness.counterfactual-augmentation unlearns what a model learnt about a group."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from auditkit.config import load_config
from auditkit.data import AuditData
from auditkit.identity import Swapper, read_terms
from auditkit.registry import load_registry
from auditkit.remedy import RemedyError, TrainingParams, TrainingRows

from .conftest import NAMES, QUICK, opened, sentences
from .test_remedies import answers, context, params

pytest.importorskip("torch")
pytest.importorskip("accelerate")

ID = "fairness.counterfactual-augmentation"
REMEDY = load_registry().remedies[ID]


@pytest.fixture
def terms(tmp_path: Path) -> str:
    """A term set whose two groups are words of the tiny model."""
    path = tmp_path / "terms.csv"
    path.write_text(
        "attribute,group,text,form,slot\nrole,stage,actor,noun,who\nrole,screen,scene,noun,who\n"
    )
    return str(path)


def proxied(rows: int, seed: int, share: float = 1.0) -> AuditData:
    """Bad texts name an actor and good ones a scene; one in five telling words misleads."""
    texts, labels = sentences(rows, seed)
    rng = np.random.default_rng(seed)
    labels = np.where(rng.random(rows) < 0.2, 1 - labels, labels)
    named = []
    for text, label in zip(texts, labels.tolist(), strict=True):
        plain = [word for word in text.split() if word not in ("actor", "scene")]
        if rng.random() < share:
            plain.insert(0, ("actor", "scene")[label])
        named.append(" ".join(plain))
    return AuditData(tuple(named), labels, NAMES, positive=1)


def flip_rate(folder: Path, terms: str) -> float:
    texts = proxied(150, 99).inputs
    swapper = Swapper(read_terms(terms))
    others = tuple(next(iter(swapper.swap(text)["role"].texts.values())) for text in texts)
    return float((answers(folder, texts) != answers(folder, others)).mean())


def test_a_model_whose_answer_depends_on_a_term_is_repaired(untrained, tmp_path, terms):
    train = proxied(256, 31)
    plain = opened(tmp_path / "plain", untrained).fine_tune(
        TrainingRows.of(train), TrainingParams(epochs=4, **QUICK)
    )
    assert flip_rate(plain, terms) > 0.5
    said: list[str] = []
    chosen = params(ID, epochs=4, patience=0, terms_file=terms)
    repaired = REMEDY.apply(context(tmp_path / "cda", plain, train, note=said.append), chosen)
    assert flip_rate(repaired, terms) < 0.1
    assert said[0].startswith("256 copies with another group were added to 256 rows")


def kept(made, chosen) -> TrainingRows:
    seen: list[TrainingRows] = []

    def keep(rows, *_, **__):
        seen.append(rows)
        return made.model

    object.__setattr__(made, "fine_tune", keep)
    REMEDY.apply(made, chosen)
    return seen[0]


def test_copies_keep_the_label_and_rows_left_out_are_counted(untrained, tmp_path):
    texts = ("he is good", "a film", "he and she", "the woman is bad", "an old house")
    data = AuditData(texts, np.array([1, 0, 1, 0, 1]), NAMES, positive=1)
    said: list[str] = []
    rows = kept(context(tmp_path, untrained, data, note=said.append), params(ID))
    assert rows.texts[5:] == ("she is good", "the man is bad")
    assert rows.labels.tolist() == [1, 0, 1, 0, 1, 1, 0]
    assert "it names several groups (1)" in said[0]
    assert "something else here (1)" in said[0]


def test_neutral_sentences_are_added_for_every_term(untrained, tmp_path):
    data = AuditData(("he is good",) * 50, np.ones(50, dtype=np.int64), NAMES, positive=1)
    chosen = params(ID, neutral_rows=0.4, neutral_class="positive", attributes=("gender", "age"))
    rows = kept(context(tmp_path, untrained, data), chosen)
    added = rows.texts[100:]
    assert len(added) == 20
    assert rows.labels[100:].tolist() == [1] * 20
    assert sum("old" in text.split() or "Old" in text for text in added) >= 4
    with pytest.raises(RemedyError, match="no class 'good'"):
        kept(
            context(tmp_path, untrained, data),
            params(ID, neutral_rows=0.1, neutral_class="good"),
        )


def test_rows_without_a_term_are_an_error_that_says_so(untrained, tmp_path):
    data = AuditData(("a good film", "a man-eating plant"), np.array([1, 0]), NAMES, positive=1)
    with pytest.raises(RemedyError, match=r"no training row has a term of gender.*compound \(1\)"):
        REMEDY.apply(context(tmp_path, untrained, data), params(ID, attributes=("gender",)))


def test_sentences_trained_on_do_not_judge():
    with_neutral = REMEDY.params(neutral_rows=0.1, neutral_class="positive")
    suite = {"fairness.template-bias": {"templates_file": ""}}
    assert "templates_file" in REMEDY.conflict(with_neutral, suite)
    own = {"fairness.template-bias": {"templates_file": "own.csv"}}
    assert REMEDY.conflict(with_neutral, own) == ""
    assert REMEDY.conflict(REMEDY.params(), suite) == ""


@pytest.mark.parametrize(
    "wrong", [{"counterparts": 0}, {"neutral_rows": 2.0}, {"neutral_rows": 0.1}]
)
def test_impossible_parameters_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        REMEDY.params(**wrong)


def test_files_of_a_remedy_are_taken_from_the_configurations_folder(tmp_path):
    path = tmp_path / "auditkit.toml"
    path.write_text(
        '[model]\npath = "m"\n[data]\npath = "d.csv"\nlabel = "y"\n'
        f'[remedies."{ID}".params]\nterms_file = "terms.csv"\n'
    )
    assert load_config(path).remedies[ID].params["terms_file"] == str(tmp_path / "terms.csv")
