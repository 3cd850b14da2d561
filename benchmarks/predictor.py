"""The shared predictor side by side with `transformers.pipeline` on the same texts.

    python benchmarks/predictor.py [--model DIR] [--rows N] [--repeats N] [--workers | --onnx]

With --workers, one worker side by side with one per core, and with one that uses all cores inside
each operation. With --onnx, torch side by side with ONNX Runtime, in full batches and asked one
text at a time.

Texts are shuffled SST-2 sentences from $AUDITKIT_DATA/sst2/*.csv, or random words of the same
lengths. Without --model, a random BERT of MiniLM's size (6 layers, hidden size 384). Every arm is
warmed, the arms take turns, and they must answer the same labels. Where other programs use the
machine, set OMP_NUM_THREADS=1 and read the CPU ratio: wall time is theirs as much as ours.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import math
import os
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from auditkit.config import ModelConfig
from auditkit.cores import available_cores
from auditkit.models.transformers_text import load_transformers
from auditkit.predictor import SharedPredictor

GOALS = {"pipeline, default": 2.5, "pipeline, batch_size=32": 1.3}
WORDS = 20_000

Arm = Callable[[list[str]], list[str]]


def sentences(rows: int, seed: int = 0) -> tuple[list[str], str]:
    """Shuffled texts of natural lengths, and where they come from."""
    rng = random.Random(seed)
    folder = os.environ.get("AUDITKIT_DATA")
    if folder:
        found = []
        for file in sorted(Path(folder, "sst2").glob("*.csv")):
            with file.open(encoding="utf-8", newline="") as stream:
                found += [row["text"] for row in csv.DictReader(stream)]
        return rng.sample(found, rows), "SST-2"
    # SST-2 sentences have a median of 18 words, 90 % of them between 5 and 37.
    lengths = [min(60, max(1, round(math.exp(rng.gauss(math.log(17), 0.6))))) for _ in range(rows)]
    return [" ".join(f"w{rng.randrange(WORDS)}" for _ in range(n)) for n in lengths], "random words"


def random_model(folder: Path, texts: Sequence[str]) -> Path:
    """Save a random classifier of MiniLM's size whose vocabulary is that of the texts."""
    import torch
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
    from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

    specials = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    words = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    words.normalizer = normalizers.BertNormalizer()
    words.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(
        vocab_size=30_522, special_tokens=specials, show_progress=False
    )
    words.train_from_iterator(texts, trainer)
    words.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    names = dict(zip(("pad_token", "unk_token", "cls_token", "sep_token"), specials, strict=False))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, model_max_length=512, **names)
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=30_522,
        hidden_size=384,
        num_hidden_layers=6,
        num_attention_heads=12,
        intermediate_size=1536,
        # Larger than usual, so that the answers differ from text to text.
        initializer_range=0.1,
    )
    BertForSequenceClassification(config).save_pretrained(folder)
    return folder


def pipeline_arms(folder: Path) -> dict[str, Arm]:
    """The pipeline as documented, and with the batch size users pick."""
    from transformers import pipeline

    pipe = pipeline("text-classification", model=str(folder), device="cpu")
    return {
        "pipeline, default": lambda texts: [
            answer["label"] for answer in pipe(texts, truncation=True)
        ],
        "pipeline, batch_size=32": lambda texts: [
            answer["label"] for answer in pipe(texts, truncation=True, batch_size=32)
        ],
    }


class OurArm:
    """A fresh predictor each time, so that nothing is remembered; keeps the last one."""

    def __init__(
        self,
        folder: Path,
        workers: int | None = None,
        backend: Literal["torch", "onnx"] = "torch",
        batch_tokens: int = 1024,
    ) -> None:
        config = ModelConfig(path=str(folder), device="cpu", workers=workers, backend=backend)
        self.model = load_transformers(config, online=False)
        self.batch_tokens = batch_tokens

    def __call__(self, texts: list[str]) -> list[str]:
        self.predictor = SharedPredictor(self.model, batch_tokens=self.batch_tokens)
        labels = self.predictor.predict(texts).labels
        return [self.model.class_names[label] for label in labels]


class WholeMachine(OurArm):
    """One batch at a time, each computed by all cores together."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.model.asking = contextlib.nullcontext  # type: ignore[method-assign]


def worker_arms(folder: Path) -> dict[str, Arm]:
    """One worker and one per core, each on one core; one worker on all cores."""
    cores = available_cores()
    return {
        f"{cores} workers, 1 core each": OurArm(folder, cores),
        f"1 worker on {cores} cores": WholeMachine(folder),
    }


def backend_arms(folder: Path) -> dict[str, Arm]:
    """ONNX Runtime, and both backends asked one text at a time."""
    onnx = OurArm(folder, backend="onnx")
    print(onnx.model.assumptions["backend"])
    return {
        "ONNX Runtime": onnx,
        "torch, single texts": OurArm(folder, batch_tokens=1),
        "ONNX Runtime, single": OurArm(folder, backend="onnx", batch_tokens=1),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path)
    parser.add_argument("--rows", type=int, default=1800)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--workers", action="store_true", help="compare numbers of workers")
    parser.add_argument("--onnx", action="store_true", help="compare torch and ONNX Runtime")
    options = parser.parse_args()
    texts, source = sentences(options.rows)
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.model or random_model(Path(scratch), texts)
        ours = OurArm(folder, 1 if options.workers else None)
        make = pipeline_arms
        if options.workers or options.onnx:
            make = worker_arms if options.workers else backend_arms
        others = make(folder)
        arms: dict[str, Arm] = {"auditkit": ours, **others}
        laps = race(arms, texts, options.repeats)
    import torch

    print(f"{len(texts)} texts ({source}), {torch.get_num_threads()} threads, median of", end=" ")
    print(f"{options.repeats} interleaved repeats")
    return report(laps, ours)


class Lap(NamedTuple):
    """Seconds of one arm's turn."""

    wall: float
    cpu: float


def race(arms: dict[str, Arm], texts: list[str], repeats: int) -> dict[str, list[Lap]]:
    """The laps of each arm, which take turns after a warm-up on the first texts."""
    laps: dict[str, list[Lap]] = {name: [] for name in arms}
    for arm in arms.values():
        arm(texts[:100])
    for _ in range(repeats):
        labels = {}
        for name, arm in arms.items():
            began, worked = time.perf_counter(), time.process_time()
            labels[name] = arm(texts)
            lap = Lap(time.perf_counter() - began, time.process_time() - worked)
            laps[name].append(lap)
        for name, answered in labels.items():
            differing = sum(a != b for a, b in zip(answered, labels["auditkit"], strict=True))
            assert not differing, f"{name}: {differing} of {len(texts)} labels differ"
    return laps


def report(laps: dict[str, list[Lap]], ours: OurArm) -> int:
    """Print the figures; 1 when a goal is missed in wall and in CPU time."""
    missed = 0
    for name, theirs in laps.items():
        pairs = list(zip(theirs, laps["auditkit"], strict=True))
        wall = statistics.median(lap.wall / mine.wall for lap, mine in pairs)
        cpu = statistics.median(lap.cpu / mine.cpu for lap, mine in pairs)
        goal = GOALS.get(name, 0.0)
        missed += max(wall, cpu) < goal
        seconds = statistics.median(lap.wall for lap in theirs)
        print(f"{name:24} {seconds:7.2f} s wall  ×{wall:.2f} wall  ×{cpu:.2f} CPU", end="")
        print(f"  goal ×{goal}" if goal else "")
    last, cost = laps["auditkit"][-1].wall, ours.predictor.statistics
    predictor = ours.predictor
    print(f"last auditkit run: forward {predictor.seconds / last:.1%} of wall,", end=" ")
    print(f"tokenizer {predictor.tokenize_seconds / last:.1%};", end=" ")
    print(f"{cost.tokens} tokens, {cost.padding / cost.tokens:.1%} padding, {cost.batches} batches")
    return int(missed > 0)


if __name__ == "__main__":
    raise SystemExit(main())
