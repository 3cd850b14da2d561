"""`auditkit mitigate` from end to end, on a model of a few thousand weights."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import NamedTuple

import pytest

import auditkit
from auditkit.cli import main
from auditkit.mitigation import Mitigation
from auditkit.result import AuditResult

from .test_rows import some_rows, write

pytest.importorskip("accelerate")

CONFIG = """
only = ["quality.metric", "fairness.equalized-odds"]
plugins = ["own"]

[model]
path = "model"
device = "cpu"

[data]
path = "d.csv"
text = "text"
label = "label"
split = "split"
sensitive = ["gender"]

[remedies."robustness.embedding-pgd"]
params.epochs = 1
params.learning_rate = 2e-3
params.batch = 16
"""

COPY = '''
import shutil
from pathlib import Path
from auditkit.remedy import remedy

def clash(params, suite):
    return "it trains against what judges." if "quality.metric" in suite else ""

@remedy("own.copy", title="Copy the model", improves=("quality",))
def copy(context, params):
    """Changes nothing."""
    {body}
    made = Path({made!r})
    shutil.rmtree(made, ignore_errors=True)
    shutil.copytree(context.model, made)
    return made

@remedy("own.clash", title="Copy the model", improves=("quality",), conflict=clash)
def clashing(context, params):
    """Changes nothing."""
    return copy.apply(context, params)
'''


FINE = '''
import shutil
from pathlib import Path
from auditkit.remedy import remedy

@remedy("own.fine", title="Copy the model", improves=("quality",))
def fine(context, params):
    """Changes nothing."""
    shutil.rmtree({made!r}, ignore_errors=True)
    shutil.copytree(context.model, {made!r})
    return Path({made!r})
'''


def lay_out(folder: Path, model: Path) -> None:
    """Puts a model, data with four splits' worth of rows, and remedies of its own in a folder."""
    shutil.copytree(model, folder / "model")
    rows = some_rows("train", 64, 1) + some_rows("validation", 24, 2) + some_rows("test", 240, 3)
    write(folder / "d.csv", rows)
    (folder / "own").mkdir()
    write_copy(folder)
    (folder / "auditkit.toml").write_text(CONFIG)


@pytest.fixture
def bench(tmp_path, learnt, monkeypatch) -> Path:
    """A folder to mitigate in."""
    lay_out(tmp_path, learnt)
    monkeypatch.chdir(tmp_path)
    return tmp_path


class Mitigated(NamedTuple):
    """A folder in which a model was trained further, and what the command came to."""

    folder: Path
    code: int
    out: str
    err: str


@pytest.fixture(scope="module")
def mitigated(learnt, tmp_path_factory) -> Mitigated:
    folder, out, err = tmp_path_factory.mktemp("mitigated"), io.StringIO(), io.StringIO()
    lay_out(folder, learnt)
    with contextlib.chdir(folder), redirect_stdout(out), redirect_stderr(err):
        code = mitigate(remedy="robustness.embedding-pgd")
    return Mitigated(folder, code, out.getvalue(), err.getvalue())


def write_copy(folder: Path, body: str = "pass") -> None:
    text = COPY.replace("{body}", body).replace("{made!r}", repr(str(folder / "made")))
    (folder / "own" / "copy.py").write_text(text)


def mitigate(*more: str, remedy: str = "own.copy") -> int:
    return main(["mitigate", "auditkit.toml", "--remedy", remedy, *more])


def record(folder: Path) -> Mitigation:
    return Mitigation.from_json((folder / "mitigation" / "mitigation.json").read_bytes())


def test_a_model_is_repaired_judged_and_compared(mitigated):
    folder, code, out, err = mitigated
    place = folder / "mitigation"
    made = place / "robustness.embedding-pgd"
    assert {path.name for path in place.iterdir()} == {
        "before", "robustness.embedding-pgd", "mitigation.json", "mitigation.html",
    }  # fmt: skip
    assert {path.name for path in made.iterdir()} == {"model", "audit", "training.json"}
    found = record(folder)
    after = AuditResult.from_json((made / "audit" / "result.json").read_bytes())
    (repair,) = found.repairs
    assert code == after.decision.exit_code == repair.verdict.exit_code == found.exit_code
    assert repair.verdict.model_digest == after.subject.model_digest
    assert repair.verdict.model_digest != found.before.model_digest
    assert after.suite_digest == found.suite_digest
    assert repair.trainings[0].rows == 64
    assert repair.comparison.changes[0].name == "accuracy"
    assert {change.check for change in repair.comparison.changes} == {
        "", "quality.metric", "fairness.equalized-odds",
    }  # fmt: skip
    assert "Training: robustness.embedding-pgd" in err
    assert "accuracy: 1 → 1" in out


def test_the_repaired_folder_gives_the_audited_answers_without_auditkit(mitigated, plain):
    from auditkit.config import ModelConfig
    from auditkit.models.transformers_text import load_transformers

    folder = mitigated.folder / "mitigation" / "robustness.embedding-pgd" / "model"
    texts = [row[0] for row in some_rows("test", 240, 3)[:32]]
    model = load_transformers(ModelConfig(path=str(folder), device="cpu"), online=False)
    named = json.loads((folder / "config.json").read_text())["id2label"]
    answered = [named[str(i)] for i in plain(folder, texts).argmax(axis=1)]
    assert answered == [model.class_names[label] for label in model.predict(texts).labels]


def test_the_same_command_again_trains_and_measures_nothing(mitigated, capsys, monkeypatch):
    monkeypatch.chdir(mitigated.folder)
    first = (mitigated.folder / "mitigation" / "mitigation.json").read_bytes()
    mitigate(remedy="robustness.embedding-pgd")
    assert "was made from the same before" in capsys.readouterr().err
    assert (mitigated.folder / "mitigation" / "mitigation.json").read_bytes() == first


def test_a_copy_of_the_model_is_never_called_better(bench):
    mitigate()
    comparison = record(bench).repairs[0].comparison
    assert {change.word for change in comparison.changes} == {"no difference shown"}
    assert (comparison.mended, comparison.broken, comparison.mcnemar) == (0, 0, 1.0)


def test_from_python_it_is_the_same(bench):
    found = auditkit.mitigate("auditkit.toml", ["own.copy"], out="elsewhere")
    assert (bench / "elsewhere" / "mitigation.html").exists()
    assert found.repairs[0].remedy == "own.copy"
    assert found.judged == 1


def test_what_judges_must_differ_from_what_was_trained_against_unless_told(bench, capsys):
    assert mitigate(remedy="own.clash") == 2
    said = capsys.readouterr().err
    assert "it trains against what judges" in said
    assert "--allow-same-attack" in said
    assert not (bench / "mitigation").exists()
    mitigate("--allow-same-attack", remedy="own.clash")
    assert record(bench).repairs[0].warnings == ("it trains against what judges.",)
    assert "know this first: it trains against what judges" in capsys.readouterr().out
    assert "it trains against what judges" in (bench / "mitigation" / "mitigation.html").read_text(
        encoding="utf-8"
    )


def test_the_attack_to_train_against_may_not_be_the_one_to_judge_by(bench, capsys):
    if not auditkit_can_attack():
        pytest.skip("TextAttack is not installed")
    (bench / "auditkit.toml").write_text(
        CONFIG.replace('["quality.metric"', '["robustness.adversarial-attack", "quality.metric"')
        + '[checks."robustness.adversarial-attack"]\nparams.recipes = ["deepwordbug", "pruthi"]\n'
    )
    assert mitigate(remedy="robustness.adversarial-training") == 2
    assert "it trains against pruthi" in capsys.readouterr().err


def auditkit_can_attack() -> bool:
    from importlib.util import find_spec

    return find_spec("textattack") is not None and find_spec("greenlet") is not None


def overlap(bench: Path) -> None:
    rows = some_rows("train", 40, 1) + some_rows("test", 240, 3)
    write(bench / "d.csv", [*rows, (rows[-1][0], "positive", "train", "m", "a")])


def one_class(bench: Path) -> None:
    rows = [row for row in some_rows("train", 60, 1) if row[1] == "positive"]
    write(bench / "d.csv", rows + some_rows("test", 240, 3))


def no_training_split(bench: Path) -> None:
    write(bench / "d.csv", some_rows("test", 240, 3))


def no_split_column(bench: Path) -> None:
    text = (bench / "auditkit.toml").read_text()
    (bench / "auditkit.toml").write_text(text.replace('split = "split"\n', ""))


def no_weights(bench: Path) -> None:
    text = (bench / "auditkit.toml").read_text()
    (bench / "auditkit.toml").write_text(text.replace('path = "model"', 'callable = "a:b"'))


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (overlap, "1 of 41 rows are also audited (row 281)"),
        (one_class, "labelled 'positive'"),
        (no_training_split, "has no split 'train'"),
        (no_split_column, "no rows to train on"),
        (no_weights, "model.path names none"),
    ],
)
def test_what_cannot_be_repaired_is_refused_before_anything_is_done(bench, capsys, spoil, said):
    spoil(bench)
    assert mitigate() == 2
    assert said in capsys.readouterr().err
    assert not (bench / "mitigation").exists()


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ('[remedies."robustness.embedding-pdg"]\n', "robustness.embedding-pgd"),
        ('[remedies."own.copy"]\nparams.epochs = 2\n', "there is no such parameter"),
        ('[remedies."own.copy"]\nparms.epochs = 2\n', "Did you mean 'params'"),
        ("[training]\nspilt = 'x'\n", "Did you mean 'split'"),
        ("[training]\nhold_out = 1.5\n", "hold_out"),
    ],
)
def test_a_wrong_configuration_is_explained(bench, capsys, wrong, said):
    (bench / "auditkit.toml").write_text(CONFIG + wrong)
    assert mitigate() == 2
    assert said in capsys.readouterr().err


def test_an_unknown_remedy_is_answered_with_the_nearest(bench, capsys):
    assert mitigate(remedy="own.copi") == 2
    assert "Did you mean 'own.copy'?" in capsys.readouterr().err


def test_a_remedy_that_crashes_leaves_what_there_was(bench, capsys):
    mitigate()
    kept = {file: file.read_bytes() for file in (bench / "mitigation").rglob("*") if file.is_file()}
    write_copy(bench, "raise ZeroDivisionError('planted')")
    assert mitigate() == 4
    assert "own.copy crashed: ZeroDivisionError: planted at copy.py" in capsys.readouterr().err
    assert kept == {
        file: file.read_bytes() for file in (bench / "mitigation").rglob("*") if file.is_file()
    }


def test_a_remedy_that_fails_does_not_keep_the_others_from_it(bench, capsys):
    write_copy(bench, "raise ZeroDivisionError('planted')")
    (bench / "own" / "fine.py").write_text(FINE.replace("{made!r}", repr(str(bench / "fine"))))
    assert mitigate("--remedy", "own.fine") == 4
    out, err = capsys.readouterr()
    found = record(bench)
    assert [one.remedy for one in found.repairs] == ["own.fine"]
    assert [one.remedy for one in found.failures] == ["own.copy"]
    assert "crashed: ZeroDivisionError: planted" in found.failures[0].reason
    assert "FAILED  own.copy" in out
    assert "own.copy failed" in err
    assert "own.copy failed" in (bench / "mitigation" / "mitigation.html").read_text(
        encoding="utf-8"
    )
    write_copy(bench)
    mitigate("--remedy", "own.fine")
    assert "fine/model was made from the same before" in capsys.readouterr().err
    assert [one.remedy for one in record(bench).repairs] == ["own.copy", "own.fine"]
    assert record(bench).failures == ()


def test_when_every_remedy_fails_nothing_is_written_over(bench, capsys):
    mitigate()
    before = (bench / "mitigation" / "mitigation.json").read_bytes()
    write_copy(bench, "raise ZeroDivisionError('planted')")
    assert mitigate("--remedy", "own.clash", "--allow-same-attack") == 4
    assert "own.copy crashed" in capsys.readouterr().err
    assert (bench / "mitigation" / "mitigation.json").read_bytes() == before


def test_a_remedy_the_rows_do_not_suffice_for_is_named_and_the_others_go_on(bench):
    text = (bench / "auditkit.toml").read_text()
    (bench / "auditkit.toml").write_text(
        text.replace('sensitive = ["gender"]', "").replace(', "fairness.equalized-odds"', "")
    )
    assert mitigate("--remedy", "fairness.threshold-optimizer") == 4
    found = record(bench)
    assert "needs a sensitive attribute" in found.failures[0].reason
    assert [one.remedy for one in found.repairs] == ["own.copy"]


def test_where_every_model_stands_is_recorded_for_both_kinds_of_rows(bench):
    mitigate(remedy="robustness.embedding-pgd")
    found = record(bench)
    assert found.target is None  # it is meant for robustness, which this audit does not measure
    assert found.audited.n == 240
    assert found.repairs[0].audited.accuracy == found.repairs[0].comparison.changes[0].after.value
    mitigate()
    found = record(bench)
    assert (found.target.check, found.target.name) == ("quality.metric", "value")
    assert found.validated.n == 24
    assert found.validated == found.repairs[0].validated  # a copy
    assert found.choice.remedy is None
    assert "No remedy improves it" in found.choice.reason


def test_ctrl_c_in_a_training_says_how_to_go_on_and_the_same_command_does(bench, capsys):
    write_copy(bench, "raise KeyboardInterrupt")
    assert mitigate() == 130
    assert "kept in" in capsys.readouterr().err
    write_copy(bench)
    code = mitigate()
    assert code == record(bench).exit_code


def test_every_model_that_was_judged_by_these_rows_is_counted(bench):
    mitigate()
    assert record(bench).judged == 1
    noise = "import json; config = Path(context.model, 'config.json'); pass"
    write_copy(bench, noise)
    mitigate()
    assert record(bench).judged == 1  # another program, the same model
    mitigate(remedy="robustness.embedding-pgd")
    assert record(bench).judged == 2


def test_one_passing_model_of_several_is_a_pass():
    from dataclasses import replace

    from auditkit.comparison import Comparison
    from auditkit.mitigation import Repair, Verdict

    nothing = Comparison((), 0.95, 0, 0, 0, 0, None)

    def repair(code: int) -> Repair:
        verdict = Verdict("m", "d", code, code == 0, "said")
        return Repair("a.b", "t", (), {}, (), "m", "a", verdict, (), nothing)

    found = Mitigation(
        "t", Verdict("m", "d", 1, False, "said"), "before", "d", "d", "test", 1, "s", 0, 0.95, (),  # noqa: FBT003
        (repair(3), repair(0)), 2, {},
    )  # fmt: skip
    assert found.exit_code == 0
    assert replace(found, repairs=(repair(3), repair(1))).exit_code == 3
    assert Mitigation.from_json(found.to_json()) == found


@pytest.mark.parametrize("text", ["", "[]", '{"schema_version": 99}', '{"schema_version": 1}'])
def test_what_is_no_record_is_refused(text):
    from auditkit.errors import ResultError

    with pytest.raises(ResultError):
        Mitigation.from_json(text)
