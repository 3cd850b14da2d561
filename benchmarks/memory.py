"""Does memory stay flat? Prints the peak for 20,000 and 200,000 rows.

    python benchmarks/memory.py [ROWS ...]

Two audits of each size, each in a process of its own: a file of predictions, and a tiny
transformer that is asked about every row. Peaks are the whole process's (ru_maxrss).
"""

from __future__ import annotations

import csv
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

WORDS = tuple(f"{a}{b}" for a in ("room", "food", "staff", "night") for b in "aeioumst")
MODEL = '[model]\npath = "{folder}/demo/model"\n[data]\ntext = "text"\npositive = "positive"\n'
PREDICTIONS = '[model]\nscore_columns = ["score"]\n[data]\npositive = "1"\n'


def write_rows(path: Path, rows: int, labels: tuple[str, str]) -> None:
    """Distinct texts, labels, groups, and scores that are right nine times in ten."""
    rng = random.Random(rows)
    with path.open("w", newline="", encoding="utf-8") as file:
        out = csv.writer(file)
        out.writerow(("text", "label", "dialect", "region", "score"))
        for row in range(rows):
            label = rng.random() < 0.5
            score = rng.uniform(0.6, 0.99) if label == (rng.random() < 0.9) else rng.uniform(0, 0.4)
            text = " ".join(rng.choices(WORDS, k=rng.randint(6, 24)))
            groups = rng.choice("abc"), rng.choice(("north", "south"))
            out.writerow((f"{text} {row}", labels[label], *groups, f"{score:.4f}"))


def peak(folder: Path, rows: int, model: str) -> tuple[float, float]:
    """Peak memory in MiB and seconds of one audit."""
    tag = f"{rows}-{'model' if 'text' in model else 'predictions'}"
    labels = ("negative", "positive") if "text" in model else ("0", "1")
    write_rows(folder / f"{tag}.csv", rows, labels)
    (folder / f"{tag}.toml").write_text(
        model.format(folder=folder)
        + f'path = "{tag}.csv"\nlabel = "label"\nsensitive = ["dialect", "region"]\n'
        + f'allow_below_chance = true\n[report]\ndirectory = "{tag}"\n'
        + f'[cache]\ndirectory = "{tag}-cache"\n',
        encoding="utf-8",
    )
    began = time.perf_counter()
    command = [sys.executable, "-m", "auditkit", "run", str(folder / f"{tag}.toml")]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode in {0, 1, 3}, f"the audit ended with {process.returncode}"
    return used.ru_maxrss / 1024, time.perf_counter() - began


def main(sizes: list[int]) -> int:
    """Audit every size both ways and print the peaks."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        # In a process of its own: a child's peak begins with what its parent held.
        small = "build(Path(sys.argv[1]), lambda *_: None, size=Size(train=1_000, test=100))"
        code = f"import sys; from pathlib import Path; from auditkit.demo import *; {small}"
        subprocess.run([sys.executable, "-c", code, str(folder / "demo")], check=True)
        print(f"{'':22}{'rows':>9}{'peak MiB':>10}{'more KiB a row':>16}{'seconds':>9}")
        for label, model in (("predictions only", PREDICTIONS), ("a tiny transformer", MODEL)):
            before = None
            for rows in sizes:
                mib, seconds = peak(folder, rows, model)
                more = (
                    "" if before is None else f"{(mib - before[1]) * 1024 / (rows - before[0]):.2f}"
                )
                print(f"{label:22}{rows:9,}{mib:10.0f}{more:>16}{seconds:9.1f}", flush=True)
                before = before or (rows, mib)
    return 0


if __name__ == "__main__":
    raise SystemExit(main([int(size) for size in sys.argv[1:]] or [20_000, 200_000]))
