"""Explanations side by side with `lime` and `shap` over `transformers.pipeline`, same model, texts.

    python benchmarks/explanations.py --model DIR [--examples N] [--many N] [--auto N] [--one-core]

Sentences are shuffled SST-2 ones from $AUDITKIT_DATA/sst2/*.csv with 8 words or more; without
--model, a random BERT of MiniLM's size. Both arms are warmed, have the same cores (wall time), or
with --one-core one core (CPU time, the one to read where other programs use the machine), and must
give the same weights within 1e-6 and the same five most important words.

  pipeline      the library's own explainer over a pipeline as its documentation has it
  batched       LIME over a pipeline with batch_size=32 (SHAP's own batch size must stay: it decides
                what SHAP asks next)
  auditkit      all examples at once, through the shared predictor
  forward       the predictor alone, asked the distinct texts of that run at once: the limit. The
                two arms take turns, a few thousand texts each, because a machine's speed moves
                within minutes. For SHAP, which asks a few texts of each example at a time, with
                --many examples: the more there are, the fuller the batches

Then LIME with samples="auto" against LIME with 5,000 samples: on how many examples the five most
important words are the same, how many samples it took, and how much faster it is than a default
pipeline with 5,000 samples, which is timed on the first examples.
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from predictor import random_model, sentences

from auditkit.attribution import Attribution, Effort
from auditkit.config import ModelConfig
from auditkit.cores import available_cores
from auditkit.explanations.explaining import TextExplainer
from auditkit.explanations.shap_methods import load_shap
from auditkit.models.transformers_text import load_transformers
from auditkit.predictor import SharedPredictor

GOALS = {
    "LIME 1,000: pipeline / auditkit": 4.0,
    "LIME 1,000: batched / auditkit": 2.0,
    "LIME 1,000: forward / auditkit": 0.9,
    "SHAP: pipeline / auditkit": 2.0,
    "SHAP: forward / auditkit": 0.9,
    "LIME auto: pipeline with 5,000 / auditkit": 10.0,
}
PIECE = 4000
"""Distinct texts after which it is the other arm's turn."""
Weights = dict[str, float]
"""By word or by place."""
Clock = Callable[[Callable[[], Any]], tuple[float, Any]]
"""Does some work; the seconds it took, and what it returned."""


class InTurn(SharedPredictor):
    """A predictor that has another one answer the same texts, thousands at once, in between."""

    def __init__(self, model: Any, clocked: Clock) -> None:
        super().__init__(model)
        self.distinct: dict[str, None] = {}
        self.forward = 0.0
        """Seconds that the other one took."""
        self._clocked = clocked
        self._answered = 0

    def predict(self, inputs: Any) -> Any:
        answers = super().predict(inputs)
        self.distinct.update(dict.fromkeys(inputs))
        if len(self.distinct) - self._answered >= PIECE:
            self.catch_up()
        return answers

    def catch_up(self) -> None:
        """Let the other one answer what is new."""
        new = [*self.distinct][self._answered :]
        seconds, _ = self._clocked(lambda: SharedPredictor(self._model).predict(new))
        self.forward += seconds
        self._answered = len(self.distinct)


@dataclass(frozen=True)
class Bench:
    folder: Path
    texts: list[str]
    one_core: bool

    def model(self) -> Any:
        workers = 1 if self.one_core else available_cores()
        config = ModelConfig(path=str(self.folder), device="cpu", workers=workers)
        return load_transformers(config, online=False)

    def pipeline(self, **options: Any) -> Any:
        from transformers import pipeline

        return pipeline("text-classification", model=str(self.folder), top_k=None, **options)

    def clocked(self, work: Callable[[], Any]) -> tuple[float, Any]:
        clock = time.process_time if self.one_core else time.perf_counter
        began = clock()
        found = work()
        return clock() - began, found

    def ours(
        self, model: Any, method: str, effort: Effort, texts: Sequence[str]
    ) -> tuple[float, dict[int, Attribution]]:
        return self._explained(SharedPredictor(model), model, method, effort, texts)

    def limit(
        self, model: Any, method: str, effort: Effort, texts: Sequence[str]
    ) -> tuple[float, float, int]:
        """What a forward over the distinct texts takes of the time, the time, and how many."""
        asked = InTurn(model, self.clocked)
        seconds, _ = self._explained(asked, model, method, effort, texts)
        seconds -= asked.forward
        asked.catch_up()
        return asked.forward / seconds, seconds, len(asked.distinct)

    def _explained(
        self, predictor: SharedPredictor, model: Any, method: str, effort: Effort,
        texts: Sequence[str],
    ) -> tuple[float, dict[int, Attribution]]:  # fmt: skip
        explainer = TextExplainer(predictor, model)
        labels = [1] * len(texts)
        return self.clocked(lambda: dict(explainer.explain(method, texts, labels, effort)))


def scores(pipe: Any) -> Callable[[Sequence[str]], NDArray[np.float64]]:
    """What LIME asks: probabilities of all classes, in their order."""
    order = {name: index for index, name in pipe.model.config.id2label.items()}

    def ask(texts: Sequence[str]) -> NDArray[np.float64]:
        answers = np.zeros((len(texts), len(order)))
        for row, said in enumerate(pipe(list(texts))):
            for one in said:
                answers[row, order[one["label"]]] = one["score"]
        return answers

    return ask


def lime_itself(pipe: Any, texts: Sequence[str], samples: int) -> list[Weights]:
    from lime.lime_text import LimeTextExplainer

    found = []
    for text in texts:
        words = len(set(re.findall(r"\w+", text)))
        said = LimeTextExplainer(random_state=0).explain_instance(
            text, scores(pipe), labels=(1,), num_features=words, num_samples=samples
        )
        found.append(dict(said.as_list(label=1)))
    return found


def shap_itself(pipe: Any, texts: Sequence[str]) -> list[Weights]:
    explainer = load_shap().Explainer(pipe)
    found = []
    for text in texts:
        np.random.seed(0)
        values = explainer([text], silent=True).values[0][1:-1, 1]
        found.append({str(place): float(value) for place, value in enumerate(values)})
    return found


def by_word(found: Attribution) -> Weights:
    text = found.text
    return {
        text[places[0][0] : places[0][1]]: weight
        for places, weight in zip(found.features, found.weights.tolist(), strict=True)
    }


def by_place(found: Attribution) -> Weights:
    return {str(place): weight for place, weight in enumerate(found.weights.tolist())}


def top(weights: Weights, k: int = 5) -> list[str]:
    return sorted(weights, key=lambda name: -abs(weights[name]))[:k]


def same(ours: Sequence[Weights], theirs: Sequence[Weights]) -> float:
    """The largest difference; refuses any above 1e-6, and other top words beyond it."""
    worst = 0.0
    for one, other in zip(ours, theirs, strict=True):
        assert one.keys() == other.keys()
        worst = max(worst, *(abs(one[name] - other[name]) for name in one))
        gaps = np.diff(sorted(map(abs, other.values())))
        assert top(one) == top(other) or gaps.min() < 2e-6
    assert worst < 1e-6, f"weights differ by {worst:.1e}"
    return worst


def say(name: str, ratio: float, note: str = "") -> None:
    goal = GOALS[name]
    met = "met" if ratio >= goal else "MISSED"
    print(f"  {name:<46}{ratio:7.2f}x   (goal {goal:g}, {met}{note})", flush=True)


def lime_table(bench: Bench, model: Any) -> None:
    effort, texts = Effort(samples=1000), bench.texts
    bench.ours(model, "lime", Effort(samples=20), texts[:2])
    seconds, found = bench.ours(model, "lime", effort, texts)
    ours = [by_word(found[row]) for row in range(len(texts))]
    for name, options in {"pipeline": {}, "batched": {"batch_size": 32}}.items():
        pipe = bench.pipeline(**options)
        lime_itself(pipe, texts[:1], 20)
        theirs, weights = bench.clocked(lambda pipe=pipe: lime_itself(pipe, texts, 1000))
        worst = same(ours, weights)
        say(
            f"LIME 1,000: {name} / auditkit",
            theirs / seconds,
            f"; {theirs:.1f} s / {seconds:.1f} s",
        )
    print(f"    weights within {worst:.0e}")
    show_limit("LIME 1,000", [bench.limit(model, "lime", effort, texts) for _ in range(3)])


def shap_table(bench: Bench, model: Any) -> None:
    texts = bench.texts
    bench.ours(model, "shap", Effort(evaluations=20), texts[:2])
    seconds, found = bench.ours(model, "shap", Effort(), texts)
    pipe = bench.pipeline()
    shap_itself(pipe, texts[:1])
    theirs, weights = bench.clocked(lambda: shap_itself(pipe, texts))
    worst = same([by_place(found[row]) for row in range(len(texts))], weights)
    say("SHAP: pipeline / auditkit", theirs / seconds, f"; {theirs:.1f} s / {seconds:.1f} s")
    print(f"    values within {worst:.0e}")


def show_limit(what: str, found: Sequence[tuple[float, float, int]]) -> None:
    """The mean over repetitions of `Bench.limit`."""
    ratios, seconds, distinct = zip(*found, strict=True)
    each = ", ".join(f"{ratio:.3f}" for ratio in ratios)
    say(
        f"{what}: forward / auditkit",
        statistics.mean(ratios),
        f"; {each}; {distinct[0]:,} distinct texts in {seconds[0]:.1f} s",
    )


def auto_table(bench: Bench, model: Any, texts: list[str], stock: int) -> None:
    seconds, auto = bench.ours(model, "lime", Effort(), texts)
    _, full = bench.ours(model, "lime", Effort(samples=5000), texts)
    agreed = sum(set(top(by_word(auto[row]))) == set(top(by_word(full[row]))) for row in auto)
    used = sorted(one.asked for one in auto.values())
    print(
        f"  LIME auto agrees with 5,000 samples on the five most important words of {agreed} of "
        f"{len(texts)} texts (goal 95 %); samples: mean {statistics.mean(used):,.0f}, median "
        f"{statistics.median(used):,.0f}, {sum(n < 5000 for n in used)} texts stopped early",
        flush=True,
    )
    pipe = bench.pipeline()
    lime_itself(pipe, texts[:1], 20)
    theirs, _ = bench.clocked(lambda: lime_itself(pipe, texts[:stock], 5000))
    tokens = [len(ids) for ids in model.tokenize(texts)]
    # The pipeline asks one text at a time: its time for the others follows from theirs.
    each = theirs / stock * statistics.mean(tokens) / statistics.mean(tokens[:stock])
    ratio = each / (seconds / len(texts))
    say(
        "LIME auto: pipeline with 5,000 / auditkit",
        ratio,
        f"; {theirs / stock:.1f} s a text on {stock} texts / {seconds / len(texts):.1f} s on all",
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path)
    parser.add_argument("--examples", type=int, default=8)
    parser.add_argument("--many", type=int, default=200, help="examples of SHAP's limit")
    parser.add_argument("--repeats", type=int, default=2, help="of SHAP's limit")
    parser.add_argument("--auto", type=int, default=40, help="examples of the last table")
    parser.add_argument("--stock", type=int, default=4, help="of these, those of the slow arm")
    parser.add_argument("--one-core", action="store_true")
    parser.add_argument("--only", choices=["lime", "shap", "limit", "auto"])
    options = parser.parse_args()
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    warnings.filterwarnings("ignore")
    import torch
    import transformers

    transformers.logging.set_verbosity_error()
    if options.one_core:
        torch.set_num_threads(1)
    texts, _ = sentences(9000 if os.environ.get("AUDITKIT_DATA") else 400)
    texts = [text for text in texts if len(text.split()) >= 8]
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.model or random_model(Path(scratch, "model"), texts)
        bench = Bench(folder, texts[: options.examples], options.one_core)
        model = bench.model()
        length = statistics.mean(len(ids) for ids in model.tokenize(bench.texts))
        what = "CPU time, one core" if options.one_core else f"wall time, {available_cores()} cores"
        print(f"{len(bench.texts)} texts of {length:.0f} tokens in the mean; {what}", flush=True)
        if options.only in (None, "lime"):
            lime_table(bench, model)
        if options.only in (None, "shap"):
            shap_table(bench, model)
        if options.only in (None, "limit"):
            bench.ours(model, "shap", Effort(evaluations=20), texts[:2])
            many, repeats = texts[: options.many], range(options.repeats)
            show_limit("SHAP", [bench.limit(model, "shap", Effort(), many) for _ in repeats])
        if options.only in (None, "auto") and options.auto:
            auto_table(bench, model, texts[: options.auto], options.stock)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
