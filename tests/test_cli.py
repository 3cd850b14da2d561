"""The command line, in process: exit codes, messages, files."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from auditkit.cli import main


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write_predictions(path: Path, hit_b: float = 0.9, rows: int = 3000) -> None:
    rng = np.random.default_rng(0)
    with path.open("w", newline="", encoding="utf-8") as handle:
        out = csv.writer(handle)
        out.writerow(["id", "label", "prediction", "gender", "note"])
        for row in range(rows):
            group, label = "ab"[row % 2], int(rng.random() < 0.5)
            hit = hit_b if group == "b" else 0.9
            predicted = int(rng.random() < (hit if label else 0.1))
            out.writerow([row, label, predicted, group, "x"])


RUN = ["run", "p.csv", "--predicted", "prediction"]


def test_exit_0_when_everything_passes(folder, capsys):
    write_predictions(folder / "p.csv")
    assert main(RUN) == 0
    out, err = capsys.readouterr()
    assert "PASS" in out.upper()
    assert "label = label (by its name)" in err
    assert "sensitive = gender (by their names)" in err
    assert (folder / "audit" / "report.html").exists()


def test_exit_1_when_a_check_fails_and_the_reason_names_it(folder, capsys):
    write_predictions(folder / "p.csv", hit_b=0.5)
    assert main(RUN) == 1
    assert "fairness.equalized-odds" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["run", "none.toml"], "no such file"),
        (["run", "none.csv", "--predicted", "x"], "none.csv"),
        (["run", "a", "b", "c"], "one model and one data file"),
        (["run", "p.csv"], "no column of predictions"),
        ([*RUN, "--label", "labl"], "Did you mean 'label'?"),
        ([*RUN, "--sensitive", "gendr"], "Did you mean 'gender'?"),
        ([*RUN, "--only", "quality.matric"], "Did you mean 'quality.metric'?"),
        ([*RUN, "--seed", "-1"], "a seed lies between"),
        (["run", "missing-model", "p.csv", "--text", "note"], "missing-model"),
        ([*RUN, "--evaluate", "test"], "evaluate names a split"),
        ([*RUN, "--only", ","], "names no check"),
        ([*RUN, "--label", "prediction"], "as the label and as the prediction"),
        ([*RUN, "--sensitive", "prediction"], "which is the prediction column"),
        (["run", "p.csv", ".", "--text", "note"], "The model comes first"),
        (["report", "none.json"], "none.json"),
        (["report", "p.csv"], "not a saved result"),
        (["checks", "fairness.demografic-parity"], "Did you mean"),
        (["nonsense"], "No such command"),
        (["run"], "Missing argument"),
    ],
)
def test_exit_2_for_what_the_user_can_mend_with_a_hint_and_no_traceback(
    folder, capsys, arguments, said
):
    write_predictions(folder / "p.csv", rows=50)
    assert main(arguments) == 2
    err = capsys.readouterr().err
    assert said in err
    assert "Traceback" not in err


def test_exit_3_when_too_few_rows_decide(folder):
    write_predictions(folder / "p.csv", rows=100)
    assert main(RUN) == 3


def test_exit_4_when_a_named_check_cannot_run(folder):
    write_predictions(folder / "p.csv")
    assert main([*RUN, "--only", "quality.metric,quality.calibration"]) == 4


def test_exit_5_when_nothing_ran(folder):
    write_predictions(folder / "p.csv")
    (folder / "auditkit.toml").write_text(
        '[model]\nlabel_column = "prediction"\n[data]\npath = "p.csv"\n', encoding="utf-8"
    )
    assert main(["run", "auditkit.toml"]) == 5


def test_an_exit_in_somebodys_code_is_no_pass(folder, monkeypatch, capsys):
    write_predictions(folder / "p.csv", rows=50)
    (folder / "leaver.py").write_text("import sys\ndef predict(texts):\n    sys.exit(0)\n")
    monkeypatch.syspath_prepend(str(folder))
    assert main(["run", "leaver:predict", "p.csv", "--text", "note", "--label", "label"]) == 2
    assert "raised SystemExit" in capsys.readouterr().err


def test_the_gate_judges_a_saved_result_again_without_the_model(folder, capsys):
    write_predictions(folder / "p.csv", hit_b=0.5)
    assert main(RUN) == 1
    (folder / "p.csv").unlink()
    assert main(["gate", "audit"]) == 1
    (folder / "mild.toml").write_text('[policy]\nfail_on = "critical"\n', encoding="utf-8")
    assert main(["gate", "audit/result.json", "--policy", "mild.toml"]) == 0


@pytest.mark.parametrize(
    ("name", "start"), [("html", "<!doctype html"), ("json", "{"), ("md", "#")]
)
def test_a_saved_result_is_rendered_again(folder, capsys, name, start):
    write_predictions(folder / "p.csv")
    main(RUN)
    capsys.readouterr()
    assert main(["report", "audit", "--format", name]) == 0
    assert capsys.readouterr().out.lower().startswith(start)
    assert main(["report", "audit", "--format", name, "--out", "again"]) == 0
    assert (folder / "again").read_text(encoding="utf-8").lower().startswith(start)


def test_an_unknown_format_names_the_nearest(folder, capsys):
    write_predictions(folder / "p.csv")
    main(RUN)
    assert main(["report", "audit", "--format", "htm"]) == 2
    assert "'html'" in capsys.readouterr().err


def test_init_writes_a_configuration_that_runs_and_overwrites_nothing(folder, capsys):
    write_predictions(folder / "p.csv")
    assert main(["init", "p.csv", "--predicted", "prediction"]) == 0
    text = (folder / "auditkit.toml").read_text(encoding="utf-8")
    assert 'sensitive = ["gender"]  # guessed' in text
    assert main(["run", "auditkit.toml"]) == 0
    assert main(["init", "p.csv", "--predicted", "prediction"]) == 2
    assert "--force" in capsys.readouterr().err


def test_init_names_files_as_seen_from_the_configuration(folder):
    write_predictions(folder / "p.csv")
    (folder / "conf").mkdir()
    made = ["init", "p.csv", "--predicted", "prediction", "--out", "conf/auditkit.toml"]
    assert main(made) == 0
    assert main(["run", "conf/auditkit.toml"]) == 0


def test_a_column_name_no_toml_string_can_hold_plainly_survives_init(folder):
    (folder / "p.csv").write_text("label,pred\x7f,gender\n1,1,a\n0,0,b\n", encoding="utf-8")
    assert main(["init", "p.csv", "--predicted", "pred\x7f"]) == 0
    assert main(["run", "auditkit.toml"]) in {0, 3}


def test_score_columns_are_matched_to_classes_by_name_or_refused(folder, capsys):
    rows = "\n".join(
        f"{c},{n},{p},{z}"
        for c, n, p, z in [("neg", 0.8, 0.1, 0.1), ("pos", 0.1, 0.8, 0.1), ("neu", 0.1, 0.1, 0.8)]
        * 40
    )
    (folder / "s.csv").write_text(f"label,p_neg,p_pos,p_neu\n{rows}\n", encoding="utf-8")
    only = ["--only", "quality.metric", "--out", "a"]
    assert main(["run", "s.csv", "--scores", "p_neg,p_pos,p_neu", *only]) == 0
    record = json.loads((folder / "a" / "result.json").read_text(encoding="utf-8"))
    assert record["subject"]["class_names"] == ["neg", "pos", "neu"]
    text = (folder / "s.csv").read_text(encoding="utf-8").replace("p_neg,p_pos,p_neu", "a,b,c")
    (folder / "s.csv").write_text(text, encoding="utf-8")
    assert main(["run", "s.csv", "--scores", "a,b,c", *only]) == 2
    assert "cannot be told" in capsys.readouterr().err


def test_labels_spelt_in_two_ways_are_refused(folder, capsys):
    write_predictions(folder / "p.csv", rows=50)
    text = (folder / "p.csv").read_text(encoding="utf-8")
    for was, becomes in (
        (",1,a", ",1.0,a"),
        (",0,a", ",0.0,a"),
        (",1,b", ",1.0,b"),
        (",0,b", ",0.0,b"),
    ):
        text = text.replace(was, becomes)
    (folder / "p.csv").write_text(text, encoding="utf-8")
    assert main(RUN) == 2
    assert "different classes" in capsys.readouterr().err


def test_describing_the_data_twice_is_refused(folder, capsys):
    write_predictions(folder / "p.csv")
    main(["init", "p.csv", "--predicted", "prediction"])
    assert main(["run", "auditkit.toml", "--label", "note"]) == 2
    assert "does so already" in capsys.readouterr().err


def test_checks_are_listed_and_explained(capsys):
    assert main(["checks"]) == 0
    assert "fairness.impact-ratio" in capsys.readouterr().out
    assert main(["checks", "quality.group-quality"]) == 0
    explained = capsys.readouterr().out
    for part in (
        "What it measures",
        "gap: ≤ 0.1",
        'metric = "accuracy": accuracy',
        "minimum_group_size",
    ):
        assert part in explained


def test_doctor_lists_versions_and_floors(capsys):
    assert main(["doctor"]) == 0
    out = capsys.readouterr().out
    assert "torch" in out
    assert "device" in out


def test_a_run_directory_that_cannot_be_written_says_so(folder, capsys):
    write_predictions(folder / "p.csv")
    (folder / "taken").write_text("a file", encoding="utf-8")
    assert main([*RUN, "--out", "taken"]) == 2
    assert "cannot be written" in capsys.readouterr().err


def test_help_works_as_a_module_and_names_the_exit_codes():
    done = subprocess.run(
        [sys.executable, "-m", "auditkit", "--help"], capture_output=True, text=True, check=True
    )
    assert "Exit codes" in done.stdout


def test_text_the_terminal_cannot_show_is_escaped_not_a_crash(folder):
    write_predictions(folder / "p.csv", rows=200)
    content = (folder / "p.csv").read_text(encoding="utf-8").replace(",b,", ",\u202e日本\x1b[31m,")
    (folder / "p.csv").write_text(content, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "auditkit", *RUN], capture_output=True, check=False,
        env={**os.environ, "PYTHONIOENCODING": "ascii", "GITHUB_ACTIONS": "true"},
    )  # fmt: skip
    assert done.returncode in {1, 3}
    assert b"\x1b[31m" not in done.stdout + done.stderr


def test_the_json_on_standard_output_is_nothing_but_json(folder, capsys):
    write_predictions(folder / "p.csv")
    main(RUN)
    capsys.readouterr()
    main(["report", "audit", "--format", "json"])
    assert json.loads(capsys.readouterr().out)["schema_version"] == 1
