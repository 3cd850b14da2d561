"""A complete example to audit: data, a model fine-tuned on it, and the configuration file.

Two defects are planted, and the audit finds these two and nothing else. Its limits are the default
ones but for one, see the configuration:

- One dialect's slang praise was labelled as complaint in the training data, so the model
  recognises fewer of that group's satisfied customers (`fairness.equalized-odds`).
- The scores were tempered after training, so that the labels and their ranking are untouched
  and the probabilities are far too timid (`quality.calibration`).

Nothing is downloaded and no GPU is used. On one machine, the same call gives the same bytes.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from auditkit.demo.text import Message, messages
from auditkit.errors import MissingExtraError
from auditkit.finding import Finding, Outcome

__all__ = ["DemoFiles", "Planted", "Size", "build", "unexpected"]

Progress = Callable[[str, float], None]

_CONFIG = """\
# The audit of the demo. Run it with: auditkit run auditkit.toml
# Relative paths are taken from the folder of this file.

[model]
# A fine-tuned classifier, saved with save_pretrained().
path = "model"

[data]
path = "data.csv"
# The columns with the model's input and with the true class.
text = "text"
label = "label"
# The class that counts as the favourable one, here: the customer is satisfied.
positive = "positive"
# Groups to compare. The model never sees these columns.
sensitive = ["dialect", "region"]
# Only rows the model was not trained on are audited.
split = "split"
evaluate = "test"
id = "id"

[report]
# Where report.html and the other results are written.
directory = "audit"

# Every check runs with its default limits but this one. Typing errors in two words of a short
# message cost this small model three to four points of accuracy. It would take more rows than 500
# to show that to be within the default of five, so ten are allowed.
[checks."robustness.natural-noise"]
limits.accuracy_drop = 0.1

# Hundreds of attacks more would take minutes, and nothing that they look for is planted here.
[checks."robustness.attack-sanity"]
enabled = false
[checks."robustness.fairness-of-robustness"]
enabled = false
[checks."robustness.validity"]
enabled = false

# Three quarters of the words of its templates, and all but a few of the terms, are in none of the
# training texts, so that it says nothing of this small model.
[checks."fairness.template-bias"]
enabled = false

# To change another, for example:
#
# [checks."fairness.equalized-odds"]
# severity = "critical"

# Attacks take minutes, and hardly any classifier survives them. Without this line they run, too.
[checks."robustness.adversarial-attack"]
enabled = false
"""


@dataclass(frozen=True, slots=True)
class Size:
    """Rows of the two splits. At the default, every verdict of the audit is a clear one."""

    train: int = 9_000
    test: int = 10_800


@dataclass(frozen=True, slots=True)
class Planted:
    """A defect that the audit must find.

    Attributes:
        check: Id of the check that fails.
        attribute: Sensitive attribute it fails on; empty for a defect on all rows.
        description: What was done to the data or the model.
        seen_by: Other checks that it may show in, each with the attribute it does so on; empty for
            one that shows it on all rows.
    """

    check: str
    attribute: str
    description: str
    seen_by: tuple[tuple[str, str], ...] = ()

    def explains(self, check: str, slice: str) -> bool:
        """Whether a failure of `check` on `slice` is this defect, seen as such or in a crossing."""
        return any(
            check == name and attribute in ("", *slice.split(" × "))
            for name, attribute in ((self.check, self.attribute), *self.seen_by)
        )


@dataclass(frozen=True, slots=True)
class DemoFiles:
    """Where the demo was written, and what is wrong with it.

    Attributes:
        model: Folder that transformers loads.
        data: CSV file with both splits.
        config: The `auditkit.toml` naming the two.
        planted: The defects, none for a demo built without them.
    """

    model: Path
    data: Path
    config: Path
    planted: tuple[Planted, ...]


def build(
    directory: Path, progress: Progress, *, planted: bool = True, size: Size | None = None
) -> DemoFiles:
    """Write the data, fine-tune the model and write the configuration.

    Args:
        directory: Where to; made when missing, files of an earlier demo are replaced.
        progress: Called with the step and the share of all the work that is done, 0 to 1.
        planted: Without, the same demo is built free of both defects and passes the audit.
        size: Rows; less than the default leaves verdicts open.

    Raises:
        MissingExtraError: torch, transformers or accelerate is not installed.
    """
    if any(find_spec(package) is None for package in ("torch", "transformers", "accelerate")):
        raise MissingExtraError("The demo", "transformers")
    size = size or Size()
    directory.mkdir(parents=True, exist_ok=True)
    files = DemoFiles(
        model=directory / "model",
        data=directory / "data.csv",
        config=directory / "auditkit.toml",
        planted=_DEFECTS if planted else (),
    )
    progress("writing data", 0.0)
    rows = messages(size.train, size.test, planted=planted)
    _write_csv(files.data, rows)
    files.config.write_text(_CONFIG, encoding="utf-8")
    progress("loading transformers", 0.03)

    from auditkit.demo.train import fine_tune

    training = [(row.text, row.label) for row in rows if row.split == "train"]
    fine_tune(
        training,
        files.model,
        lambda share: progress("fine-tuning", 0.15 + 0.85 * share),
        tempered=planted,
    )
    progress("done", 1.0)
    return files


def unexpected(findings: Iterable[Finding], planted: Sequence[Planted]) -> tuple[str, ...]:
    """What an audit of the demo said otherwise than planned, a sentence each; none is a success.

    Every defect has to fail on its own attribute. Nothing else may fail, break or stay undecided;
    only a crossing of the defect's attribute with another may come to anything.
    """
    judged = [(f, f.measurement.slice if f.measurement else "") for f in findings]
    failed = {(f.check, part) for f, part in judged if f.outcome is Outcome.FAIL}
    missed = [
        f"{plant.check} was planted{' on ' if plant.attribute else ''}{plant.attribute}, "
        "but the audit did not find it"
        for plant in planted
        if (plant.check, plant.attribute) not in failed
    ]
    surplus = [
        f"{f.outcome.value}: {f.check}: {f.message}"
        for f, part in judged
        if f.outcome in (Outcome.FAIL, Outcome.INCONCLUSIVE, Outcome.ERROR)
        and not any(plant.explains(f.check, part) for plant in planted)
    ]
    passed = any(f.outcome is Outcome.PASS for f, _ in judged)
    return (*missed, *surplus, *(() if passed else ("no check passed",)))


_DEFECTS = (
    Planted(
        "fairness.equalized-odds",
        "dialect",
        "slang praise of the coastal dialect, labelled negative in the training data",
        (("fairness.error-rate-balance", "dialect"), ("fairness.worst-slice", "")),
    ),
    Planted(
        "quality.calibration",
        "",
        "scores scaled down after training, which leaves every label as it was",
        (("fairness.calibration-gap", ""),),
    ),
)


def _write_csv(path: Path, rows: Sequence[Message]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("id", "split", "text", "label", "dialect", "region"))
        for number, row in enumerate(rows, start=1):
            writer.writerow((number, row.split, row.text, row.label, row.dialect, row.region))
