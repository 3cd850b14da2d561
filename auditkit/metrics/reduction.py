"""A classifier under a fairness constraint by reduction, as linear functions of the features.

Agarwal, Beygelzimer, Dudík, Langford & Wallach 2018, A reductions approach to fair classification,
as fairlearn implements it, with logistic regression answering its cost-sensitive problems.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from auditkit.metrics.group_training import Constraint

Floats = NDArray[np.float64]
_NAMES: Mapping[Constraint, str] = {
    "demographic-parity": "DemographicParity",
    "equalized-odds": "EqualizedOdds",
    "true-positive-rate": "TruePositiveRateParity",
    "false-positive-rate": "FalsePositiveRateParity",
    "error-rate": "ErrorRateParity",
}
_CERTAIN = 10.0
"""Log-odds of a member that answers the same to every row."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How to solve.

    Attributes:
        constraint: Which rates the groups are to share.
        slack: Largest difference of such a rate between two groups.
        iterations: Most rounds.
        strength: Inverse strength of the logistic regression's L2 penalty.
    """

    constraint: Constraint
    slack: float
    iterations: int = 50
    strength: float = 1.0


@dataclass(frozen=True, slots=True, eq=False)
class Mixture:
    """Linear classifiers one of which is drawn for each decision.

    Attributes:
        slopes: Shape (members, width).
        offsets: Shape (members,). A row is chosen where slope · features + offset > 0.
        weights: Probability of each member, shape (members,).
    """

    slopes: Floats
    offsets: Floats
    weights: Floats

    def margins(self, features: Floats) -> Floats:
        """Slope · features + offset of each row and member, shape (n, members)."""
        found: Floats = features @ self.slopes.T + self.offsets
        return found

    def share_chosen(self, features: Floats) -> Floats:
        """Probability that each row is chosen, shape (n,)."""
        found: Floats = (self.margins(features) > 0) @ self.weights
        return found

    def mean(self) -> tuple[Floats, float]:
        """Slope and offset of the weighted mean of the members."""
        return self.weights @ self.slopes, float(self.weights @ self.offsets)


def reduce(
    features: Floats, truth: NDArray[np.bool_], groups: NDArray[np.int64], settings: Settings
) -> Mixture:
    """The mixture that exponentiated gradient comes to.

    Args:
        features: Shape (n, width).
        truth: Whether each row is positive, shape (n,); both occur.
        groups: Group of each row, shape (n,).
        settings: How to solve.
    """
    import fairlearn.reductions
    from sklearn.linear_model import LogisticRegression

    middle, spread = features.mean(axis=0), features.std(axis=0)
    spread = np.where(spread > 0, spread, 1.0)
    kind = getattr(fairlearn.reductions, _NAMES[settings.constraint])
    solver = fairlearn.reductions.ExponentiatedGradient(
        # Exact in a few steps where rows are many and features correlated, as an encoder's are.
        LogisticRegression(C=settings.strength, solver="newton-cholesky", max_iter=100),
        # Its bound is on the difference from all rows, on either side of which a group may lie.
        constraints=kind(difference_bound=max(settings.slack / 2, 1e-4)),
        eps=max(settings.slack / 2, 1e-3),
        max_iter=settings.iterations,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of pandas and of linprog, about fairlearn's use of them
        solver.fit((features - middle) / spread, truth.astype(int), sensitive_features=groups)
    weights = np.asarray(solver.weights_, dtype=np.float64)
    used = np.flatnonzero(weights > 1e-9)
    members = [_linear(solver.predictors_[i], features.shape[1]) for i in used]
    slopes = np.stack([slope for slope, _ in members]) / spread
    offsets = np.array([offset for _, offset in members]) - slopes @ middle
    return Mixture(slopes, offsets, weights[used] / weights[used].sum())


def _linear(predictor: Any, width: int) -> tuple[Floats, float]:
    if hasattr(predictor, "coef_"):
        return predictor.coef_[0], float(predictor.intercept_[0])
    constant = float(predictor.predict(np.zeros((1, width)))[0])
    return np.zeros(width), _CERTAIN if constant else -_CERTAIN


def scale(margins: Floats, truth: NDArray[np.bool_]) -> float:
    """The factor by which margins become the log-odds that fit the truth best; it is positive.

    Between 1/100 and 100: labels do not change, probabilities do.
    """
    from scipy.optimize import minimize_scalar

    signed = np.where(truth, margins, -margins)

    def loss(exponent: float) -> float:
        return float(np.logaddexp(0.0, -(10.0**exponent) * signed).mean())

    return float(10.0 ** minimize_scalar(loss, bounds=(-2.0, 2.0), method="bounded").x)
