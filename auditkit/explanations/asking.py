"""How a method of explanation asks the model."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Ask = Callable[[list[str]], NDArray[np.float64]]
"""From texts to the probability of every class, shape (texts, classes)."""
