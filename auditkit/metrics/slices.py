"""Slices of the data that are served worst: searched on one half of the rows, judged on the other.

Every level of the lattice of conjunctions is one matrix product (Sagadeeva & Boehm 2021,
SliceLine). What is found is the worst of thousands and looks bad on the half it was found on even
for a fair model, so nothing is claimed from that half.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from auditkit.data import AuditData
from auditkit.errors import AuditkitError, NotApplicable
from auditkit.finding import Interval
from auditkit.metrics.group_choice import GroupChoice, chosen_attributes
from auditkit.metrics.slice_features import Features, are_texts, features_of
from auditkit.model import Predictions
from auditkit.stats.differences import difference
from auditkit.stats.gaps import Comparison
from auditkit.stats.intervals import EffectiveCounts, Floats, critical_value, effective_counts

Mask = NDArray[np.bool_]

FEWEST = 20
"""Independent rows of a slice, or of the rest, in the judging half below which it cannot pass."""
ALIKE = 0.5
"""Jaccard index from which on two slices are one."""
WITHIN = 0.9
"""Share of a slice's rows in a better ranked one from which on it is a part of that."""
_BEAM = 100
"""Conjunctions of two that a third property is added to."""
_POOL = 1_000
"""Best conjunctions that are looked through for distinct ones."""
_LOOKED_AT = 10 * _POOL
"""Best products of a level; a conjunction of three comes up three times."""
_RANKED_AT = 0.005
"""One-sided error of the bound that slices are ranked by: about that of the verdict to come."""
_LEAST_PROBABILITY = 0.001
"""So that no single row's loss outweighs a slice."""
_CHUNK = 1 << 22
"""Rows times conjunctions looked at together: 16 MiB."""


@dataclass(frozen=True, slots=True)
class SliceParams:
    """Parameters of `fairness.worst-slice`."""

    attributes: tuple[str, ...] = ()
    """Sensitive attributes to slice by; empty for all."""
    words: int = 200
    """Frequent words of the texts to slice by."""
    depth: int = 3
    """Most properties that make up a slice."""
    candidates: int = 5
    """Worst slices of the searched half that are judged on the other."""
    minimum_rows: int = 100
    """Rows of a slice, and of the rest, in each half below which it is not looked at."""
    search_by: Literal["errors", "loss"] = "errors"
    """What the search looks for: wrong answers, or a high cross-entropy. Accuracy is judged."""
    seed: int = 0
    """Says which half a row is in."""

    def __post_init__(self) -> None:
        if not 1 <= self.depth <= 3:
            raise ValueError(f"depth must be 1, 2 or 3, not {self.depth}")
        if self.candidates < 1 or self.words < 0 or self.seed < 0:
            raise ValueError("candidates must be at least 1, words and seed at least 0")
        if self.minimum_rows < FEWEST:
            raise ValueError(f"minimum_rows must be at least {FEWEST}, not {self.minimum_rows}")


@dataclass(frozen=True, slots=True, eq=False)
class Slice:
    """A conjunction of properties.

    Attributes:
        features: Positions of the properties.
        words: What is true of its rows.
        rows: Shape (n,): which rows are in it.
        alike: Slices of nearly the same rows, or within it, that it stands for besides itself.
    """

    features: tuple[int, ...]
    words: str
    rows: Mask
    alike: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """A slice on the half of the rows that it was not searched on.

    Attributes:
        slice: The slice.
        right: Right answers in the slice, and in the rest.
        sizes: Rows of the slice, and of the rest.
        effective: The same counts as independent rows, slice first.
    """

    slice: Slice
    right: tuple[int, int]
    sizes: tuple[int, int]
    effective: tuple[EffectiveCounts, EffectiveCounts]

    @property
    def gap(self) -> float:
        """Accuracy of the rest less that of the slice; both have rows, or it were no slice."""
        return self.right[1] / self.sizes[1] - self.right[0] / self.sizes[0]

    def comparison(self, claim_alpha: float, corrected_alpha: float) -> Comparison:
        """The gap with bounds at both levels. Too few rows cannot show that a slice is fine."""
        (k, n), (rest_k, rest_n) = self.effective
        claim = difference(rest_k, rest_n, k, n, claim_alpha)
        if min(n, rest_n) < FEWEST:
            claim = Interval(-1.0, 1.0)
        return Comparison(self.gap, claim, difference(rest_k, rest_n, k, n, corrected_alpha))


def units_of(data: AuditData) -> NDArray[np.int64]:
    """Number of each row's unit, shape (n,): rows of one cluster, or with the same input, share it.

    Texts are the same when they differ in case and spaces only.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    n = len(data)
    keys = [_content(value) for value in data.inputs]
    number = {key: i for i, key in enumerate(dict.fromkeys(keys))}
    linked = [np.array([number[key] for key in keys], dtype=np.int64)]
    if data.clusters is not None:
        linked.append(np.unique(data.clusters, return_inverse=True)[1] + len(number))
    rows = np.tile(np.arange(n), len(linked))
    others = n + np.concatenate(linked)
    size = int(others.max(initial=-1)) + 1
    graph = coo_array((np.ones(len(rows)), (rows, others)), shape=(size, size))
    found: NDArray[np.int64] = connected_components(graph, directed=False)[1][:n].astype(np.int64)
    return found


def searched_half(data: AuditData, units: NDArray[np.int64], seed: int) -> Mask:
    """Which rows are searched, shape (n,): half of the units of every class and group."""
    _, first, number = np.unique(units, return_index=True, return_inverse=True)
    shuffled = np.random.default_rng(seed).permutation(len(first))
    order = shuffled[np.argsort(data.strata()[first][shuffled], kind="stable")]
    chosen = np.zeros(len(first), dtype=bool)
    chosen[order[::2]] = True
    return np.asarray(chosen[number])


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """The worst slices, and how they were found.

    Attributes:
        judged: The slices on the half that was not searched.
        half: Shape (n,): the rows that were searched.
        right: Shape (n,): which answers are right.
        units: Shape (n,): rows that are not independent share a number.
    """

    judged: tuple[Judged, ...]
    half: Mask
    right: Mask
    units: NDArray[np.int64]


def find_slices(
    data: AuditData, answers: Predictions, params: SliceParams, alpha: float = 0.05
) -> Found:
    """Search one half of the rows for the slices served worst, and count them on the other.

    Args:
        data: Rows with labels.
        answers: The model's answers to them.
        params: How to search.
        alpha: Smallest one-sided error that bounds will be asked for.

    Raises:
        NotApplicable: There is nothing to slice by.
        AuditkitError: An attribute does not exist, or there are no probabilities for a loss.
    """
    assert data.labels is not None
    chosen = chosen_attributes(data, GroupChoice(params.attributes, intersections=False))
    if not chosen and not are_texts(data):
        raise NotApplicable("there are neither sensitive attributes nor texts to slice by.")
    names = [attribute.name for attribute in chosen]
    features = features_of(data, names, params.words, 2 * params.minimum_rows)
    right, units = answers.labels == data.labels, units_of(data)
    half = searched_half(data, units, params.seed)
    badness = _loss(answers, data.labels) if params.search_by == "loss" else 1.0 - right
    slices = worst_slices(features, badness, half, params)
    return Found(
        tuple(_judged(one, right, half, units, alpha) for one in slices), half, right, units
    )


def worst_slices(
    features: Features, badness: Floats, half: Mask, params: SliceParams
) -> list[Slice]:
    """The distinct slices whose badness, on the searched half, is most surely above the rest's.

    Slices are ranked by a lower bound of the difference of means, so that their size counts as it
    will when they are judged.

    Args:
        features: Properties of the n rows.
        badness: Shape (n,): how bad each answer is, 1 for an error and 0 for a right answer.
        half: Shape (n,): the rows that are searched. Of the others only sizes are looked at.
        params: How to search.
    """
    if not features.each:
        return []
    lattice = _Lattice(features, badness, half, params)
    return _distinct(lattice.best(), features, params.candidates)


def _judged(one: Slice, right: Mask, half: Mask, units: NDArray[np.int64], alpha: float) -> Judged:
    inside, outside = one.rows & ~half, ~one.rows & ~half
    return Judged(
        slice=one,
        right=(int(right[inside].sum()), int(right[outside].sum())),
        sizes=(int(inside.sum()), int(outside.sum())),
        effective=(
            effective_counts(right[inside], units[inside], alpha),
            effective_counts(right[outside], units[outside], alpha),
        ),
    )


def _loss(answers: Predictions, labels: NDArray[np.int64]) -> Floats:
    if answers.probabilities is None:
        raise AuditkitError(
            "the model gives no probabilities to take a loss from.",
            'Set params.search_by = "errors".',
        )
    of_truth = answers.probabilities[np.arange(len(labels)), labels]
    loss: Floats = -np.log(np.maximum(of_truth, _LEAST_PROBABILITY))
    return loss


class _Lattice:
    """Conjunctions of properties, level by level."""

    def __init__(
        self, features: Features, badness: Floats, half: Mask, params: SliceParams
    ) -> None:
        self._kinds = np.unique([one.kind for one in features.each], return_inverse=True)[1]
        # Counts of rows are exact in 32 bits up to 16 million.
        self._searched = features.member[half].astype(np.float32)
        self._others = features.member[~half].astype(np.float32)
        self._badness = badness[half]
        self._params = params

    def best(self) -> list[tuple[int, ...]]:
        """The best conjunctions of every level, best first."""
        pool: list[tuple[float, tuple[int, ...]]] = []
        frontier: list[tuple[int, ...]] = [()]
        for depth in range(self._params.depth):
            found = sorted(self._children(frontier), reverse=True)
            pool += found[:_POOL]
            # Every single property is combined with every other; only the best pairs go on.
            frontier = [features for _, features in (found if depth == 0 else found[:_BEAM])]
            if not frontier:
                break
        return [features for _, features in sorted(pool, reverse=True)[:_POOL]]

    def _children(self, frontier: Sequence[tuple[int, ...]]) -> list[tuple[float, tuple[int, ...]]]:
        """Score of each conjunction with one more property than those in the frontier."""
        size = max(1, _CHUNK // max(len(self._searched), 1))
        blocks = [frontier[start : start + size] for start in range(0, len(frontier), size)]
        scores = np.concatenate([self._scores(block) for block in blocks])
        found: dict[tuple[int, ...], float] = {}
        for position in np.argsort(-scores, axis=None, kind="stable")[:_LOOKED_AT].tolist():
            parent, child = divmod(position, scores.shape[1])
            if scores[parent, child] == -np.inf:
                break
            chosen = frontier[parent]
            if all(self._kinds[child] != self._kinds[i] for i in chosen):
                found[tuple(sorted((*chosen, child)))] = float(scores[parent, child])
        return [(score, features) for features, score in found.items()]

    def _scores(self, parents: Sequence[tuple[int, ...]]) -> Floats:
        """Lower bound of the mean badness of each slice less that of the rest (Welch's error).

        Of every parent with every property, shape (parents, properties); -inf if it is too small.
        """
        searched = _members(self._searched, parents)
        n, elsewhere = searched @ self._searched, _members(self._others, parents) @ self._others
        badness = self._badness.astype(np.float32)
        total = ((searched * badness) @ self._searched).astype(np.float64)
        squares = ((searched * badness**2) @ self._searched).astype(np.float64)
        rest = len(badness) - n.astype(np.float64)
        with np.errstate(divide="ignore", invalid="ignore"):
            mean, rest_mean = total / n, (self._badness.sum() - total) / rest
            variance = np.maximum(squares / n - mean**2, 0.0)
            rest_square = ((self._badness**2).sum() - squares) / rest
            rest_variance = np.maximum(rest_square - rest_mean**2, 0.0)
            error = np.sqrt(variance / n + rest_variance / rest)
        scores = mean - rest_mean - critical_value(_RANKED_AT) * error
        parts = np.stack([n, rest, elsewhere, len(self._others) - elsewhere])
        usable = parts.min(axis=0) >= self._params.minimum_rows
        return np.where(usable, scores, -np.inf)


def _members(columns: NDArray[np.float32], slices: Sequence[tuple[int, ...]]) -> Any:
    """1 where a row is in a slice, shape (slices, rows)."""
    return np.stack([columns[:, list(one)].prod(axis=1) for one in slices])


def _distinct(
    ranked: Sequence[tuple[int, ...]], features: Features, candidates: int
) -> list[Slice]:
    """The best slices, each standing for those ranked below it that it is nearly the same as."""
    kept: list[Slice] = []
    alike: list[int] = []
    for chosen in ranked:
        rows: Mask = np.logical_and.reduce(features.member[:, list(chosen)], axis=1)
        like = next((i for i, one in enumerate(kept) if _is_part(rows, one.rows)), None)
        if like is not None:
            alike[like] += 1
        elif len(kept) < candidates:
            words = " and ".join(features.each[i].words for i in chosen)
            kept.append(Slice(chosen, words, rows))
            alike.append(0)
    return [replace(one, alike=more) for one, more in zip(kept, alike, strict=True)]


def _is_part(rows: Mask, of: Mask) -> bool:
    """Whether these rows are nearly the same as others, or nearly all among them."""
    common, size = int((rows & of).sum()), int(rows.sum())
    return common >= ALIKE * (size + int(of.sum()) - common) or common >= WITHIN * size


def _content(value: object) -> object:
    if isinstance(value, str):
        return " ".join(value.casefold().split())
    if isinstance(value, np.ndarray):
        return value.dtype.str, value.shape, value.tobytes()
    return repr(value)
