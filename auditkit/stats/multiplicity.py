"""Correcting for many comparisons."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from auditkit.stats.intervals import Floats


def holm(p: ArrayLike) -> Floats:
    """Holm's adjusted p values (Holm 1979), in the order given: family-wise error, for claims."""
    return _adjusted(p, "holm")


def benjamini_hochberg(p: ArrayLike) -> Floats:
    """Adjusted p values of Benjamini & Hochberg (1995): false discovery rate, for exploring."""
    return _adjusted(p, "fdr_bh")


def bonferroni_alpha(alpha: float, comparisons: int) -> float:
    """Error of each of `comparisons` bounds that keeps the error of all together at `alpha`.

    No comparison at all counts as one. Raises ValueError unless comparisons >= 0.
    """
    if comparisons < 0:
        raise ValueError(f"comparisons must be at least 0, not {comparisons}")
    return alpha / max(comparisons, 1)


def _adjusted(p: ArrayLike, method: str) -> Floats:
    from statsmodels.stats.multitest import multipletests

    values = np.asarray(p, dtype=np.float64)
    if values.ndim != 1 or not ((values >= 0) & (values <= 1)).all():
        raise ValueError("p must be a vector of numbers between 0 and 1")
    if values.size == 0:
        return values
    return np.asarray(multipletests(values, method=method)[1], dtype=np.float64)
