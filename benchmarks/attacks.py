"""Attacks side by side with TextAttack's own, on the same model and the same sentences.

    python benchmarks/attacks.py --model DIR [--recipes a,b] [--examples N] [--tokens 0,60,250]
                                 [--stock N] [--repeats N] [--outcomes]

Sentences come from $AUDITKIT_DATA/sst2/*.csv, wrong ones left out; with --tokens 60, consecutive
sentences of one class are joined until they have about 60 tokens. Without --model, a random BERT
of MiniLM's size, whose classes are the model's own answers.

The arms take turns, every one is warmed, and their outcomes must be identical: status, text and
number of queries of every example. Each example of TextAttack's arms starts from the seed auditkit
gave it. Ratios of CPU time on one core are the ones to read where other programs use the machine;
of the two-core arms only wall time says anything. The stock arm is slow and so attacks the first
few examples only; its ratio is that of CPU time per query.

  stock     TextAttack as shipped: its wrapper pads every query to the tokenizer's limit
  padded    TextAttack with a wrapper that pads to the longest of each batch
  auditkit  the engine, one worker
  forward   the predictor alone, asked all distinct queries of that run at once: the limit
  again     the engine on the answers an earlier run kept; the model is not loaded

Besides TextAttack's recipes there are `beam` and `genetic`, two searches over typing errors. With
--outcomes nothing is timed: every example of every recipe is attacked by both, and compared.
"""

from __future__ import annotations

import argparse
import csv
import os
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from predictor import random_model, sentences
from searches import beam, genetic

from auditkit.attacks import AttackOutcome, AttackSettings, Recipe, attack, find_recipe
from auditkit.attacks.library import load_textattack
from auditkit.attacks.supplied import in_use
from auditkit.config import ModelConfig
from auditkit.cores import available_cores
from auditkit.model import Predictions
from auditkit.models.transformers_text import TransformersText, load_transformers
from auditkit.prediction_store import PredictionStore
from auditkit.predictor import SharedPredictor

Ending = tuple[str, str | None, int]
"""Status, text, queries: what must be the same in every arm."""

GOALS = {
    "stock / auditkit": 15.0,
    "padded / auditkit": 1.0,
    "padded / auditkit, all cores": 1.3,
    "forward / auditkit": 0.9,
    "auditkit / again": 15.0,
}


@dataclass(frozen=True)
class Timed:
    cpu: float
    wall: float


@dataclass(frozen=True)
class Examples:
    texts: list[str]
    labels: list[int]


SEARCHES = {
    "beam": Recipe("beam", "swapped and missing letters, by beam search", beam),
    "genetic": Recipe("genetic", "other letters, by a genetic search", genetic),
}


class Bench:
    """The arms for one recipe on one set of examples."""

    def __init__(self, folder: Path, recipe: str, examples: Examples, budget: int | None) -> None:
        self.folder, self.examples = folder, examples
        self.recipe = SEARCHES.get(recipe) or find_recipe(recipe)
        self.settings = AttackSettings(budget=budget)
        self.expected: list[AttackOutcome] = []
        self.queries: list[str] = []
        self.loaded_again = False

    def model(self, workers: int = 1, store: PredictionStore | None = None) -> TransformersText:
        config = ModelConfig(path=str(self.folder), device="cpu", workers=workers)
        return load_transformers(config, online=False, store=store)

    def engine(self, model: TransformersText, store: PredictionStore | None = None) -> Timed:
        """Attack with a predictor that remembers nothing; check or take the outcomes."""
        predictor, asked = SharedPredictor(model, store=store), []

        def ask(texts: list[str]) -> Predictions:
            asked.extend(texts)
            return predictor.predict(texts)

        found: list[AttackOutcome] = []
        timed = clocked(
            lambda: found.extend(
                attack(self.examples.texts, self.examples.labels, ask, self.recipe, self.settings)
            )
        )
        found.sort(key=lambda outcome: outcome.row)
        if not self.expected:
            self.expected, self.queries = found, list(dict.fromkeys(asked))
        same([ending(outcome) for outcome in found], self.expected, "auditkit")
        return timed

    def forward(self, model: TransformersText) -> Timed:
        predictor = SharedPredictor(model)
        return clocked(lambda: predictor.predict(self.queries))

    def again(self, store: PredictionStore) -> Timed:
        model = self.model(store=store)
        timed = self.engine(model, store)
        self.loaded_again |= model._parts is not None
        return timed

    def theirs(self, wrapper: Any, rows: Sequence[int], name: str) -> Timed:
        """TextAttack's own loop over the examples, each from its own seed."""
        textattack = load_textattack()
        found: list[Ending] = []

        def run() -> None:
            for row in rows:
                textattack.shared.utils.set_seed(self.expected[row].seed)
                with in_use(textattack):
                    result = own.attack(self.examples.texts[row], self.examples.labels[row])
                kind = type(result).__name__.removesuffix("AttackResult").lower()
                after = result.perturbed_result.attacked_text.text
                found.append((kind, after, result.num_queries))

        with in_use(textattack):
            own = self.recipe.build(textattack, wrapper, **self.recipe.options)
        if self.settings.budget is not None:
            own.goal_function.query_budget = self.settings.budget
        timed = clocked(run)
        same(found, [self.expected[row] for row in rows], name)
        return timed


def ending(outcome: AttackOutcome) -> Ending:
    status = {"succeeded": "successful", "budget": "failed"}.get(outcome.status, outcome.status)
    return str(status), outcome.perturbed, outcome.queries


def same(found: Sequence[Ending], expected: Sequence[AttackOutcome], name: str) -> None:
    for one, outcome in zip(found, expected, strict=True):
        assert one == ending(outcome), f"{name}: {one} is not {ending(outcome)}"


def clocked(work: Callable[[], Any]) -> Timed:
    cpu, wall = time.process_time(), time.perf_counter()
    work()
    return Timed(time.process_time() - cpu, time.perf_counter() - wall)


def wrappers(folder: Path) -> dict[str, Any]:
    """TextAttack's wrapper, and one that pads as little as possible."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    shipped = load_textattack().models.wrappers.HuggingFaceModelWrapper
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)

    class Padded(shipped):  # type: ignore[misc, valid-type]
        def __call__(self, texts: list[str]) -> Any:
            encoded = self.tokenizer(texts, padding=True, truncation=True, return_tensors="pt")
            with torch.inference_mode():
                return self.model(**encoded).logits

    return {"stock": shipped(model, tokenizer), "padded": Padded(model, tokenizer)}


def examples(model: TransformersText, wanted: int, tokens: int) -> Examples:
    """Sentences the model is right about, joined to about `tokens` tokens when that is not 0."""
    rows = _labelled() or [(text, -1) for text in sentences(8 * wanted)[0]]
    if rows[0][1] < 0:
        labels = SharedPredictor(model).predict([text for text, _ in rows]).labels.tolist()
        rows = [(text, label) for (text, _), label in zip(rows, labels, strict=True)]
    if tokens:
        rows = _joined(model, rows, tokens, 4 * wanted)
    rows = rows[: 4 * wanted]
    answers = SharedPredictor(model).predict([text for text, _ in rows]).labels
    kept = [row for row, answer in zip(rows, answers, strict=True) if row[1] == answer][:wanted]
    return Examples([text for text, _ in kept], [label for _, label in kept])


def _labelled() -> list[tuple[str, int]]:
    folder = os.environ.get("AUDITKIT_DATA")
    found = []
    for file in sorted(Path(folder, "sst2").glob("*.csv")) if folder else ():
        with file.open(encoding="utf-8", newline="") as stream:
            for row in csv.DictReader(stream):
                if row.get("split") == "test":
                    found.append((row["text"], int(row["label"])))
    return found


def _joined(
    model: TransformersText, rows: Sequence[tuple[str, int]], tokens: int, wanted: int
) -> list[tuple[str, int]]:
    joined, parts = [], {0: "", 1: ""}
    for text, label in rows:
        parts[label] = f"{parts[label]} {text}".strip()
        if len(model.tokenize([parts[label]])[0]) >= tokens - 10:
            joined.append((parts[label], label))
            parts[label] = ""
            if len(joined) == wanted:
                break
    return joined


def measure(bench: Bench, stock: int, repeats: int, scratch: Path) -> dict[str, list[float]]:
    """Ratios, one per repeat, of arms that take turns."""
    import torch

    cores = available_cores()
    one, many, theirs = bench.model(1), bench.model(cores), wrappers(bench.folder)
    rows = range(len(bench.examples.texts))
    torch.set_num_threads(1)
    bench.engine(one)  # warms auditkit, and says what must come out
    bench.theirs(theirs["padded"], rows[:2], "padded")
    ratios: dict[str, list[float]] = {name: [] for name in GOALS}
    for repeat in range(repeats):
        ours = bench.engine(one)
        padded = bench.theirs(theirs["padded"], rows, "padded")
        ratios["padded / auditkit"].append(padded.cpu / ours.cpu)
        ratios["forward / auditkit"].append(bench.forward(one).cpu / ours.cpu)
        if stock:
            slow = bench.theirs(theirs["stock"], rows[:stock], "stock")
            asked = [outcome.queries for outcome in bench.expected]
            per_query = slow.cpu / sum(asked[:stock]), ours.cpu / sum(asked)
            ratios["stock / auditkit"].append(per_query[0] / per_query[1])
        with PredictionStore(scratch / f"answers-{repeat}") as store:
            cold = bench.engine(bench.model(store=store), store)
        with PredictionStore(scratch / f"answers-{repeat}") as store:
            ratios["auditkit / again"].append(cold.cpu / bench.again(store).cpu)
        if cores > 1:
            spread = bench.engine(many)
            torch.set_num_threads(cores)
            intra = bench.theirs(theirs["padded"], rows, "padded")
            torch.set_num_threads(1)
            ratios["padded / auditkit, all cores"].append(intra.wall / spread.wall)
    return ratios


def compare_outcomes(bench: Bench, stock: int) -> None:
    """Attack every example both ways, the first few with the wrapper as shipped, too."""
    theirs, rows = wrappers(bench.folder), range(len(bench.examples.texts))
    bench.engine(bench.model(available_cores()))
    bench.theirs(theirs["padded"], rows, "padded")
    bench.theirs(theirs["stock"], rows[:stock], "stock")
    tally = Counter(str(outcome.status) for outcome in bench.expected)
    print(
        f"{bench.recipe.name}: {len(rows)} examples end as in TextAttack (status, text, queries), "
        f"{len(rows[:stock])} of them also with its wrapper as shipped; "
        f"{sum(outcome.queries for outcome in bench.expected):,} queries; {dict(tally)}",
        flush=True,
    )


def report(bench: Bench, ratios: dict[str, list[float]]) -> None:
    queries = sum(outcome.queries for outcome in bench.expected)
    print(
        f"\n{bench.recipe.name}: {len(bench.examples.texts)} examples, {queries:,} queries, "
        f"{len(bench.queries):,} distinct; outcomes identical in every arm; model loaded to "
        f"attack again: {'yes' if bench.loaded_again else 'no'}"
    )
    for name, values in ratios.items():
        if values:
            shown = ", ".join(f"{value:.2f}" for value in sorted(values))
            median = statistics.median(values)
            met = "met" if median >= GOALS[name] else "MISSED"
            goal = f"goal {GOALS[name]:g} for short texts, {met}"
            print(f"  {name:<30}{median:7.2f}x   ({shown}; {goal})")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path)
    parser.add_argument("--recipes", default="deepwordbug")
    parser.add_argument("--examples", type=int, default=50)
    parser.add_argument("--tokens", default="0", help="0 for sentences as they are")
    parser.add_argument("--stock", type=int, default=5, help="examples of the stock arm")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--budget", type=int)
    parser.add_argument("--outcomes", action="store_true", help="compare, and time nothing")
    options = parser.parse_args()
    os.environ.setdefault("AUDITKIT_RESOURCES", os.environ.get("AUDITKIT_DATA", ""))
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.model or random_model(Path(scratch, "model"), sentences(2000)[0])
        model = load_transformers(ModelConfig(path=str(folder), device="cpu"), online=False)
        for tokens in map(int, options.tokens.split(",")):
            chosen = examples(model, options.examples, tokens)
            lengths = [len(ids) for ids in model.tokenize(chosen.texts)]
            print(f"\n{len(lengths)} texts of {statistics.mean(lengths):.0f} tokens in the mean")
            for place, recipe in enumerate(options.recipes.split(",")):
                bench = Bench(folder, recipe, chosen, options.budget)
                if options.outcomes:
                    compare_outcomes(bench, options.stock)
                    continue
                kept = Path(scratch, f"{tokens}-{place}")
                report(bench, measure(bench, options.stock, options.repeats, kept))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
