"""How many answers hang on one word, as a measurement with its evidence."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from auditkit.finding import (
    WHISKER_ALPHA,
    WHISKER_LEVEL,
    Bounds,
    Cell,
    Estimate,
    Estimates,
    Evidence,
    Example,
    Examples,
    Interval,
    Measurement,
    Table,
)
from auditkit.metrics.shortcuts import Association, Corpus, Removed, WordWeight
from auditkit.stats.intervals import mean_interval

CHARTED = 20
"""Words in the chart."""


def dependence(
    corpus: Corpus,
    tried: Sequence[Removed],
    said: str,
    evidence: tuple[Evidence, ...],
) -> Measurement:
    """Answers that change without the worst word, less those that change without another one.

    A pass needs every candidate to be inside the limit; a failure needs one that is beyond it and
    goes with its class, in the answers and in the labels.

    Args:
        corpus: All texts.
        tried: The candidates, at least one.
        said: How the candidates came to be, in sentences.
        evidence: Shown after the tables of the candidates.
    """
    leaking = [one for one in tried if one.candidate.leaks]
    worst = max(leaking or tried, key=lambda one: one.compared.value or 0.0)
    method = "paired Newcombe-Tango" if corpus.clusters is None else "exact bounds, by cluster"
    return Measurement(
        name="dependence",
        value=worst.compared.value,
        n=len(worst.rows),
        bounds=Bounds(
            Interval(
                _largest([one.compared.claim.lower for one in leaking]),
                _largest([one.compared.claim.upper for one in tried]),
            ),
            Interval(
                _largest([one.compared.corrected.lower for one in leaking]),
                _largest([one.compared.corrected.upper for one in tried]),
            ),
            method,
            len(tried),
        ),
        note=f"{_worst(worst, corpus)} {_shortcuts(tried, corpus)} {said}",
        evidence=(_table(tried, corpus), _classes(tried, corpus), *evidence),
        counted="texts",
    )


def _largest(ends: Sequence[float | None]) -> float:
    return max((end for end in ends if end is not None), default=-1.0)


def _worst(worst: Removed, corpus: Corpus) -> str:
    one, n = worst.candidate, len(worst.rows)
    name = corpus.class_names[one.answer]
    said = (
        f"Worst for “{one.weight.word}”: of {n:,} texts with it and the answer {name}, the answer "
        f"changes in {int(worst.changed.sum()):,} without it, and in "
        f"{int(worst.control.sum()):,} without other words."
    )
    if one.leaks:
        return said
    return f"{said} It is {_why(worst)}, so it fails nothing."


def _shortcuts(tried: Sequence[Removed], corpus: Corpus) -> str:
    names = [
        f"“{one.candidate.weight.word}” ({corpus.class_names[one.candidate.answer]})"
        for one in tried
        if one.candidate.leaks and one.confirmed
    ]
    if not names:
        return "No word is shown to be a shortcut."
    return f"Shown to be shortcuts, or to be cues: {', '.join(names)}."


def _why(one: Removed) -> str:
    """What a candidate lacks to be a shortcut."""
    if not one.candidate.of_answers.shown:
        return "not shown to go with the answer"
    if not one.candidate.leaks:
        return "not shown to go with the label"
    return "yes" if one.confirmed else "not missed when removed"


def _table(tried: Sequence[Removed], corpus: Corpus) -> Table:
    """What removing each candidate does."""
    rows: list[tuple[Cell, ...]] = [
        (
            one.candidate.weight.word,
            corpus.class_names[one.candidate.answer],
            _why(one),
            float(one.changed.mean()),
            float(one.control.mean()),
            len(one.rows),
            float(one.candidate.weight.shares.mean()),
        )
        for one in tried
    ]
    columns = (
        "word", "goes with", "shortcut or cue", "answers changed", "by other words", "of texts",
        "share of the weight",
    )  # fmt: skip
    return Table("Words with the most weight, and what removing them does", columns, tuple(rows))


def _classes(tried: Sequence[Removed], corpus: Corpus) -> Table:
    """How each candidate goes with its class."""
    rows: list[tuple[Cell, ...]] = []
    for one in tried:
        found = one.candidate
        lifts = _lifts(found.of_answers)
        if found.of_labels is not None:
            lifts += _lifts(found.of_labels)
        name = corpus.class_names[found.answer]
        rows.append((found.weight.word, name, found.found, *lifts))
    columns = ["word", "class", "texts", "lift of the answer", "z of the answer"]
    if corpus.labels is not None:
        columns += ["lift of the label", "z of the label"]
    return Table("How much more frequent a class is with the word", tuple(columns), tuple(rows))


def _lifts(one: Association) -> tuple[float, ...]:
    return one.lift, one.z


def importance_chart(weights: Sequence[WordWeight]) -> Estimates:
    """The words with the most weight over all explained texts, at most `CHARTED`."""
    return Estimates(
        "Share of the explanations' weight by word",
        tuple(
            Estimate(
                one.word,
                int((one.chance > 0).sum()),
                float(one.shares.mean()),
                mean_interval(one.shares, WHISKER_ALPHA),
                note=f"{one.chance.mean():.1%} of the words; "
                f"{'for' if one.toward.sum() > 0 else 'against'} the answer",
            )
            for one in weights[:CHARTED]
        ),
        WHISKER_LEVEL,
        "t",
        of="word",
    )


def changed_texts(corpus: Corpus, tried: Sequence[Removed], show: int) -> Iterator[Examples]:
    """Answers that hang on the worst word, shown with and without it; nothing if `show` is 0."""
    worst = max(tried, key=lambda one: (one.candidate.leaks, one.compared.value or 0.0))
    names = corpus.class_names
    rows = tuple(
        Example(
            corpus.texts[worst.rows[place]],
            worst.texts[place],
            names[worst.candidate.answer],
            names[worst.after[place]],
        )
        for place in np.flatnonzero(worst.changed)[:show].tolist()
    )
    if rows:
        yield Examples(f"Answers that change without “{worst.candidate.weight.word}”", rows)
