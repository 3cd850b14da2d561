"""Repairs of one model side by side: what each remedy gains, and what it costs elsewhere.

    python benchmarks/repair.py --model DIR --data FILE.csv --label COLUMN --sensitive COLUMN
                                --positive CLASS --remedies a,b --out DIR
                                [--text COLUMN] [--split COLUMN] [--checks a,b]
                                [--set ID.PARAM=VALUE]    of a check or a remedy; VALUE is JSON

The data has a split column with train, validation and test. The model is audited on the test rows,
repaired by each remedy on the training rows, and every repaired model is audited on the same test
rows. Printed per remedy: accuracy, the gap it is meant to close, and whatever else is compared on
the same rows, each before and after with the interval of the difference and its word; seconds to
make it. The lines of a difference hold together at the audit's confidence.

Then every repaired folder is loaded by plain transformers in a process that never imports auditkit.
Its labels must be those that were audited; of a folder with thresholds by group, those that the
file's own rule makes of plain transformers' probabilities. A difference is an error (exit code 1).
"""

from __future__ import annotations

import argparse
import csv
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from auditkit.closed_loop import mitigate
from auditkit.comparison import Change
from auditkit.config import AuditConfig, parse_config
from auditkit.mitigation import Mitigation, Repair
from auditkit.predictor import SharedPredictor
from auditkit.preflight import prepare
from auditkit.progress import TerminalProgress
from auditkit.render.figures import figure, span

CHECKS = (
    "quality.metric", "quality.calibration", "fairness.equalized-odds",
    "fairness.demographic-parity", "robustness.natural-noise",
)  # fmt: skip
PLAIN = """
import json, sys, torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer
folder, rows = sys.argv[1], json.load(sys.stdin)
model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
tokenizer = AutoTokenizer.from_pretrained(folder)
limit = min(tokenizer.model_max_length, model.config.max_position_embeddings)
order = sorted(range(len(rows)), key=lambda i: len(rows[i][0]))
names = [model.config.id2label[i] for i in range(model.config.num_labels)]
found = [None] * len(rows)
with torch.inference_mode():
    for start in range(0, len(order), 32):
        part = order[start : start + 32]
        batch = tokenizer([rows[i][0] for i in part], padding=True, truncation=True,
                          max_length=limit, return_tensors="pt")
        for i, scores in zip(part, torch.softmax(model(**batch).logits.double(), -1).tolist()):
            found[i] = scores
try:
    rule = json.load(open(folder + "/auditkit-thresholds.json", encoding="utf-8"))
except FileNotFoundError:
    rule = None
def label(scores, group):
    if rule is None or group not in rule["thresholds"]:
        return names[max(range(len(names)), key=scores.__getitem__)]
    if scores[names.index(rule["positive"])] >= rule["thresholds"][group]:
        return rule["positive"]
    rest = [i for i, name in enumerate(names) if name != rule["positive"]]
    return names[max(rest, key=scores.__getitem__)]
answers = [label(scores, group) for scores, (_, group) in zip(found, rows)]
assert not any(name.split(".")[0] == "auditkit" for name in sys.modules)
print(json.dumps(answers))
"""


def main() -> int:
    """Run the repairs, print the table, check the folders."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    for name in ("model", "data", "sensitive", "positive", "out", "remedies"):
        parser.add_argument(f"--{name}", required=True)
    for name, default in (("label", "label"), ("text", "text"), ("split", "split")):
        parser.add_argument(f"--{name}", default=default)
    parser.add_argument("--checks", default=",".join(CHECKS))
    parser.add_argument("--set", action="append", default=[], metavar="ID.PARAM=VALUE")
    parser.add_argument("--device", default="auto")
    options = parser.parse_args()
    config = configuration(options)
    with TerminalProgress(stderr()) as progress:
        record = mitigate(config, options.remedies.split(","), progress, out=options.out)
    show(record)
    wrong = sum(
        check_folder(config, Path(options.out) / one.model, options) for one in record.repairs
    )
    return 1 if wrong or record.failures else 0


def configuration(options: argparse.Namespace) -> AuditConfig:
    """The audit that judges every model."""
    checks = options.checks.split(",")
    settings: dict[str, dict[str, dict[str, object]]] = {}
    for setting in options.set:
        name, _, value = setting.partition("=")
        of, _, parameter = name.rpartition(".")
        settings.setdefault(of, {"params": {}})["params"][parameter] = json.loads(value)
    return parse_config(
        {
            "model": {"path": options.model, "device": options.device},
            "data": {
                "path": options.data, "text": options.text, "label": options.label,
                "split": options.split, "positive": options.positive,
                "sensitive": options.sensitive.split(","),
            },
            "only": checks,
            "checks": {name: one for name, one in settings.items() if name in checks},
            "remedies": {name: one for name, one in settings.items() if name not in checks},
        }
    )  # fmt: skip


def stderr() -> object:
    """A console for progress."""
    from rich.console import Console

    return Console(stderr=True)


def show(record: Mitigation) -> None:
    """The table."""
    for repair in record.repairs:
        print(f"\n{repair.remedy}: made in {repair.seconds:.0f} s; "
              f"exit code {record.before.exit_code} -> {repair.verdict.exit_code}")  # fmt: skip
        for change in wanted(record, repair):
            name = " ".join(part for part in (change.check, change.name, change.slice) if part)
            sides = [figure(side.value if side else None) for side in (change.before, change.after)]
            print(f"  {name:58s} {sides[0]:>8s} -> {sides[1]:>8s}  "
                  f"{span(change.interval):>20s}  {change.word}")  # fmt: skip
        for note in repair.notes:
            print(f"  note: {note}")
    for failure in record.failures:
        print(f"\n{failure.remedy}: FAILED: {failure.reason}")
    if record.choice:
        print(f"\nchosen by the validation rows: {record.choice.remedy}. {record.choice.reason}")


def wanted(record: Mitigation, repair: Repair) -> Sequence[Change]:
    """Accuracy, the target, and whatever else is compared on the same rows."""
    return [
        change
        for change in repair.comparison.changes
        if change.interval is not None or (record.target and record.target.is_of(change))
    ]


def check_folder(config: AuditConfig, folder: Path, options: argparse.Namespace) -> int:
    """Rows whose label in plain transformers is another than the audited one."""
    update = {"path": str(folder)}
    settings = config.model_copy(update={"model": config.model.model_copy(update=update)})
    prepared = prepare(settings)
    answers = SharedPredictor(prepared.model).predict(prepared.audited.inputs)
    names = prepared.model.class_names
    with Path(options.data).open(newline="", encoding="utf-8") as file:
        held = [row for row in csv.DictReader(file) if row[options.split] == "test"]
    rows = [[row[options.text], row[options.sensitive.split(",")[0]]] for row in held]
    done = subprocess.run(
        [sys.executable, "-c", PLAIN, str(folder)], input=json.dumps(rows),
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    plain = json.loads(done.stdout)
    audited = [names[label] for label in answers.labels]
    wrong = sum(one != other for one, other in zip(plain, audited, strict=True))
    print(f"{folder}: plain transformers gives {len(rows) - wrong} of {len(rows)} audited labels")
    return wrong


if __name__ == "__main__":
    sys.exit(main())
