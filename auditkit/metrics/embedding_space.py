"""What the model's embeddings tell: which group a row is of, and whether neighbours are alike."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from auditkit.data import MISSING, Attribute, AuditData
from auditkit.stats.auc import AucEstimate, auc_components

Vectors = NDArray[np.float32]
Rows = NDArray[np.intp]


@dataclass(frozen=True, slots=True, eq=False)
class Halves:
    """The rows in two parts that have no input, and no cluster, in common.

    Attributes:
        learnt: Row numbers of the part that something is learnt from.
        held: Row numbers of the part it is tried on.
    """

    learnt: Rows
    held: Rows

    @classmethod
    def of(cls, data: AuditData, embeddings: Vectors, rng: np.random.Generator) -> Halves:
        """Deal the units at random; rows with the same embedding or cluster are one unit."""
        units = joined_units(embeddings, data.clusters)
        members = np.unique(units)
        dealt = np.isin(units, rng.permutation(members)[: len(members) // 2])
        return cls(np.flatnonzero(dealt), np.flatnonzero(~dealt))

    def at_most(self, learnt: int, rng: np.random.Generator) -> Halves:
        """The same with no more rows to learn from than this."""
        if len(self.learnt) <= learnt:
            return self
        return Halves(np.sort(rng.choice(self.learnt, learnt, replace=False)), self.held)


def joined_units(embeddings: Vectors, clusters: NDArray[np.int64] | None) -> NDArray[np.int64]:
    """Number of each row's unit (n,): rows of one cluster or with equal embeddings are joined."""
    known: dict[bytes, int] = {}
    copies = np.array(
        [known.setdefault(row.tobytes(), len(known)) for row in embeddings], dtype=int
    )
    if clusters is None or not len(copies):
        return copies.astype(np.int64)
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    cluster = np.unique(clusters, return_inverse=True)[1]
    size = len(known) + int(cluster.max()) + 1
    links = coo_matrix((np.ones(len(copies)), (copies, len(known) + cluster)), shape=(size, size))
    return np.asarray(connected_components(links, directed=False)[1][copies], dtype=np.int64)


def group_probabilities(
    embeddings: Vectors, attribute: Attribute, halves: Halves
) -> NDArray[np.float64] | None:
    """Probability of every group for the held rows, shape (held, groups), by a linear probe.

    A multinomial logistic regression on standardised embeddings, learnt on the other rows whose
    group is known. A group it has not seen has probability 0. None when it has seen fewer than two.
    """
    from sklearn.linear_model import LogisticRegression

    fit = halves.learnt[attribute.codes[halves.learnt] != MISSING]
    if len(np.unique(attribute.codes[fit])) < 2:
        return None
    centre, scale = embeddings[fit].mean(axis=0), embeddings[fit].std(axis=0)
    scale[scale <= 1e-6 * np.abs(centre)] = np.inf  # a constant tells nothing
    probe = LogisticRegression(max_iter=2_000, tol=1e-3)
    probe.fit((embeddings[fit] - centre) / scale, attribute.codes[fit])
    found = np.zeros((len(halves.held), len(attribute.levels)))
    found[:, probe.classes_] = probe.predict_proba((embeddings[halves.held] - centre) / scale)
    return found


def group_aucs(
    probabilities: NDArray[np.float64], attribute: Attribute, held: Rows
) -> list[AucEstimate]:
    """How well each group of the held rows is told from the rest; rows of no known group aside."""
    codes = attribute.codes[held]
    return [
        auc_components(probabilities[:, g], codes == g, (codes != g) & (codes != MISSING))
        for g in range(len(attribute.levels))
    ]


def neighbour_agreement(
    embeddings: Vectors, predicted: NDArray[np.int64], halves: Halves, neighbours: int
) -> NDArray[np.float64]:
    """For each held row the share of its nearest learnt rows that are given the same class.

    For two classes this is one less the distance of a row's answer from the mean answer of its
    neighbours, whose mean over rows is the consistency of Zemel et al. (2013). Euclidean distance.
    There must be as many learnt rows as neighbours.
    """
    from sklearn.neighbors import NearestNeighbors

    if not len(halves.held):
        return np.zeros(0)
    search = NearestNeighbors(n_neighbors=neighbours, algorithm="brute")
    search.fit(embeddings[halves.learnt])
    nearest = search.kneighbors(embeddings[halves.held], return_distance=False)
    alike = predicted[halves.learnt][nearest] == predicted[halves.held][:, None]
    return np.asarray(alike.mean(axis=1), dtype=np.float64)
