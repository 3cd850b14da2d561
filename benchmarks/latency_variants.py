"""Variants of a model side by side: what each saves, and what each answers otherwise.

    python benchmarks/latency_variants.py --model DIR [--variants a,b,c] [--requests N] [--attack N]
                                          [--data CSV [--sensitive COLUMN]] [--peer-python PYTHON]

All variants are asked in turn, each request by all of them, through the check `latency.variants`:
times are ratios to the model as it was saved, with 95 % bounds. Beside them stand accuracy, the
gap of selection rates between groups, and the success of DeepWordBug on the same N texts, each held
against the same of the model as saved, in pairs. Texts are the test split of SST-2 from
$AUDITKIT_DATA/sst2/*.csv, or the columns `text` and `label` of --data; groups are short and long
texts, or --sensitive.

With --peer-python, optimum-benchmark times the same model in a process of its own, by that Python
(a virtual environment with optimum-benchmark 0.6 and transformers 4.57), in turn with auditkit: one
batch of one length, tokens given. It says a median without bounds, of random token ids that are the
same in every request, without tokenising, one model in each run; it looks at no answer, so it
cannot tell that a variant is another model. Its transformers is the older one: in a plain loop over
this model 4.57 takes 6 to 11 % less time than 5.23, and auditkit as long as the loop.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import statistics
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from auditkit.attacks import AttackOutcome, AttackSettings, Status, attack
from auditkit.check import Confidence, Context
from auditkit.config import ModelConfig
from auditkit.cores import available_cores
from auditkit.data import Attribute, AuditData
from auditkit.errors import AuditkitError, NotApplicable
from auditkit.finding import WHISKER_ALPHA, Finding, Interval, Table
from auditkit.latency.asking import Asker
from auditkit.latency.bench import Bench
from auditkit.latency.clock import HostClock
from auditkit.latency.hardware import Hardware, host
from auditkit.latency.scenarios import Length, single_stream, warm_up
from auditkit.model import Predictions
from auditkit.models.transformers_text import TransformersText, load_transformers
from auditkit.predictor import SharedPredictor
from auditkit.registry import load_registry
from auditkit.stats.paired import paired_gap
from auditkit.stats.quantiles import quantile_interval
from auditkit.testing import findings_in

VARIANTS = (
    "fp32", "bf16", "fp16", "compile", "eager", "threads-1", "batch-8", "onnx", "int8",
    "onnx-int8", "half-layers",
)  # fmt: skip
FAR_SLOWER = 10.0
"""Ratio from which on a variant is not attacked: it would take hours."""
PEER_TURNS = 3
PEER = """
import json, logging, sys
from optimum_benchmark import Benchmark, BenchmarkConfig, InferenceConfig, InlineConfig
from optimum_benchmark import PyTorchConfig
logging.disable(logging.CRITICAL)
folder, batch, length, requests = sys.argv[1], *map(int, sys.argv[2:])
config = BenchmarkConfig(
    name="peer",
    launcher=InlineConfig(device_isolation=False),
    scenario=InferenceConfig(
        iterations=requests, duration=0,
        input_shapes={"batch_size": batch, "sequence_length": length},
    ),
    backend=PyTorchConfig(
        model=folder, processor=folder, task="text-classification", library="transformers",
        model_type="bert", device="cpu", torch_dtype="float32",
    ),
)
print("LATENCIES", json.dumps(Benchmark.launch(config).forward.latency.values))
"""
"""What the peer's Python is given."""


def read(options: argparse.Namespace) -> AuditData:
    """Texts, labels and groups."""
    files = [options.data] if options.data else []
    if not files and os.environ.get("AUDITKIT_DATA"):
        files = sorted(Path(os.environ["AUDITKIT_DATA"], "sst2").glob("*.csv"))
    rows = []
    for file in files:
        with file.open(encoding="utf-8", newline="") as stream:
            rows += [row for row in csv.DictReader(stream) if row.get("split") in {None, "test"}]
    if not rows:
        raise SystemExit("Set AUDITKIT_DATA, or name a file with --data.")
    rows = rows[: options.texts]
    texts = tuple(row["text"] for row in rows)
    if options.sensitive:
        name, values = options.sensitive, [row[options.sensitive] for row in rows]
    else:
        words = [len(text.split()) for text in texts]
        middle = statistics.median(words)
        name, values = "length", ["long" if n > middle else "short" for n in words]
    return AuditData(
        inputs=texts,
        labels=np.array([int(row["label"]) for row in rows], dtype=np.int64),
        class_names=("negative", "positive"),
        positive=1,
        groups={name: Attribute.from_values(name, values)},
    )


def compared(model: TransformersText, data: AuditData, options: argparse.Namespace) -> Table:
    """The table of the check."""
    check = load_registry().checks["latency.variants"]
    context = Context(
        predictor=SharedPredictor(model),
        data=data,
        splits={},
        confidence=Confidence(),
        rng=np.random.default_rng(0),
        advance=lambda _: None,
        timing=Bench(
            model, Hardware(host(cores=available_cores())), HostClock(), variants=model.variants()
        ),
    )
    params = check.params(
        variants=tuple(options.variants.split(",")), requests=options.requests,
        seconds=options.seconds, texts=options.texts, batch=options.batch,
        warm_up_seconds=options.warm_up,
    )  # fmt: skip
    findings = findings_in(check, context, params)
    crashed = [found.message for found in findings if found.measurement is None]
    if crashed:
        raise SystemExit(crashed[0])
    tables = tables_of(findings)
    if not tables:
        raise SystemExit("no variant can be made here")
    print(*(f"{topic}: {said}" for topic, said in tables[1].rows), sep="\n")
    return tables[0]


def tables_of(findings: Sequence[Finding]) -> list[Table]:
    measured = [found.measurement for found in findings if found.measurement is not None]
    return [one for part in measured for one in part.evidence if isinstance(one, Table)]


@dataclass(frozen=True)
class Attacked:
    """How an attack on some texts ended, in their order."""

    right: NDArray[np.bool_]
    broken: NDArray[np.bool_]

    @classmethod
    def of(cls, outcomes: Sequence[AttackOutcome]) -> Attacked:
        ordered = sorted(outcomes, key=lambda one: one.row)
        ended = [one.status for one in ordered]
        return cls(
            np.array([status is not Status.SKIPPED for status in ended]),
            np.array([status is Status.SUCCEEDED for status in ended]),
        )

    def said(self, saved: Attacked | None) -> str:
        """Success, and how much more often than on the model as saved, where both were right."""
        share = self.broken.sum() / max(self.right.sum(), 1)
        told = f"{share:.3f} of {self.right.sum()}"
        if saved is None:
            return told
        both = self.right & saved.right
        more = int((self.broken & ~saved.broken)[both].sum())
        less = int((saved.broken & ~self.broken)[both].sum())
        n = int(both.sum())
        gap = paired_gap(more, less, n, WHISKER_ALPHA)
        return f"{told}; {(more - less) / max(n, 1):+.3f} ({spoken(gap)}) of {n}"


def spoken(interval: Interval) -> str:
    return " to ".join(
        "no bound" if end is None else f"{end:+.3f}" for end in (interval.lower, interval.upper)
    )


def attacked(model: Any, data: AuditData, number: int) -> Attacked:
    """DeepWordBug on the first so many texts."""
    predictor = SharedPredictor(model)

    def ask(texts: list[str]) -> Predictions:
        return predictor.predict(texts)

    assert data.labels is not None
    texts = [str(one) for one in data.inputs[:number]]
    labels = data.labels[:number].tolist()
    return Attacked.of(list(attack(texts, labels, ask, "deepwordbug", AttackSettings())))


def attacks(model: TransformersText, data: AuditData, table: Table, number: int) -> dict[str, str]:
    """What attacks come to, by variant."""
    saved = attacked(model, data, number)
    said, make = {"as audited": saved.said(None)}, model.variants()
    ratio = table.columns.index("ratio")
    for row in table.rows[1:]:
        name, slower = str(row[0]), row[ratio]
        if not isinstance(slower, float):
            continue
        if slower > FAR_SLOWER:
            said[name] = "not attacked: too slow"
            continue
        try:
            with make(name) as variant, variant.within():
                said[name] = attacked(variant.model, data, number).said(saved)
        except (AuditkitError, NotApplicable) as error:
            said[name] = str(error)
        print(f"attacked {name}", flush=True)
    return said


def shown(table: Table, more: dict[str, str]) -> None:
    """The table, as Markdown."""
    columns = [*table.columns[:-1], *(["DeepWordBug succeeds"] if more else []), "note"]
    rows = [
        [*row[:-1], *([more.get(str(row[0]), "")] if more else []), row[-1]] for row in table.rows
    ]
    print()
    for row in [columns, ["---"] * len(columns), *rows]:
        print("| " + " | ".join(cell(one) for one in row) + " |", flush=True)


def cell(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


class TokensGiven:
    """A model that is asked about the same batch of token ids, whatever the input."""

    def __init__(self, model: TransformersText, ids: list[list[int]]) -> None:
        self.name, self.digest = model.name, model.digest
        self.class_names, self.capabilities = model.class_names, model.capabilities
        self.assumptions: dict[str, str] = {}
        self._model, self._ids = model, ids

    def predict(self, batch: Sequence[Any]) -> Predictions:
        return Predictions.from_logits(self._model.logits_of_tokens(self._ids)[: len(batch)])


def beside_peer(model: TransformersText, data: AuditData, options: argparse.Namespace) -> None:
    """The peer's medians and spread, in turn with auditkit's."""
    texts = [str(one) for one in data.inputs]
    length = round(statistics.median(len(ids) for ids in model.tokenize(texts)))
    ids = np.random.default_rng(0).integers(1000, 20_000, (options.batch, length)).tolist()
    print(f"\nOne batch of {options.batch} x {length} tokens, milliseconds, tokens given:")
    own, peer = [], []
    for _ in range(PEER_TURNS):
        own.append(ours(model, ids, options.requests))
        peer.append(theirs(options, length))
    for name, turns in {"auditkit": own, "optimum-benchmark": peer}.items():
        medians = ", ".join(f"{np.median(took):.3f}" for took in turns)
        low, middle, high = np.quantile(np.concatenate(turns), (0.1, 0.5, 0.9))
        print(
            f"  {name:<18} p50 {middle:.3f} of all; p10 {low:.3f}, p90 {high:.3f}; each {medians}"
        )
    bounds = quantile_interval(np.sort(np.concatenate(own)), 0.5, WHISKER_ALPHA)
    print(f"  auditkit bounds its median: {bounds.lower:.3f} to {bounds.upper:.3f}")


def theirs(options: argparse.Namespace, length: int) -> NDArray[np.float64]:
    """The peer's times in milliseconds."""
    command = [options.peer_python, "-c", PEER, str(options.model), str(options.batch)]
    done = subprocess.run(
        [*command, str(length), str(options.requests)],
        capture_output=True, text=True, check=False, env=os.environ | {"HF_HUB_OFFLINE": "1"},
    )  # fmt: skip
    told = [line for line in done.stdout.splitlines() if line.startswith("LATENCIES ")]
    if not told:
        raise SystemExit(f"optimum-benchmark failed: {done.stderr.strip().splitlines()[-1:]}")
    return 1e3 * np.array(json.loads(told[0].removeprefix("LATENCIES ")))


def ours(model: TransformersText, ids: list[list[int]], requests: int) -> NDArray[np.float64]:
    """auditkit's times in milliseconds."""
    asker = Asker(TokensGiven(model, ids), ("",), HostClock())
    warm_up(asker, 10.0)
    return single_stream(asker, Length(1e-3, requests), np.random.default_rng(0)).latency / 1e6


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--variants", default=",".join(VARIANTS))
    parser.add_argument("--requests", type=int, default=300)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--warm-up", type=float, default=30.0, help="most seconds of it")
    parser.add_argument("--texts", type=int, default=1000)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--attack", type=int, default=0, help="texts to attack")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--sensitive")
    parser.add_argument("--peer-python")
    options = parser.parse_args()
    os.environ.setdefault("AUDITKIT_RESOURCES", os.environ.get("AUDITKIT_DATA", ""))
    data = read(options)
    model = load_transformers(ModelConfig(path=str(options.model), device="cpu"), online=False)
    table = compared(model, data, options)
    shown(table, attacks(model, data, table, options.attack) if options.attack else {})
    if options.peer_python:
        beside_peer(model, data, options)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
