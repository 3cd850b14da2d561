"""The temperature is the one that was planted, the best there is, and changes no label."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import log_softmax, softmax
from sklearn.metrics import log_loss

from auditkit.metrics.temperature import (
    fit_temperature,
    log_probabilities,
    negative_log_likelihood,
    scaled,
)


def planted(temperature: float, n: int = 20_000, classes: int = 4) -> tuple[np.ndarray, np.ndarray]:
    """Logits that are `temperature` times what the labels were drawn from."""
    rng = np.random.default_rng(0)
    true = rng.normal(scale=2.0, size=(n, classes))
    cumulative = np.cumsum(softmax(true, axis=1), axis=1)
    return temperature * true, (rng.random((n, 1)) > cumulative).sum(axis=1)


@pytest.mark.parametrize("temperature", [0.3, 1.0, 2.5, 8.0])
def test_the_planted_temperature_is_found(temperature):
    logits, labels = planted(temperature)
    assert fit_temperature(logits, labels) == pytest.approx(temperature, rel=0.03)


def test_likelihood_and_probabilities_are_those_of_scipy_and_sklearn():
    logits, labels = planted(2.0, 500)
    assert scaled(logits, 1.7) == pytest.approx(softmax(logits / 1.7, axis=1), abs=1e-12)
    found = negative_log_likelihood(logits, labels, 1.7)
    assert found == pytest.approx(log_loss(labels, softmax(logits / 1.7, axis=1)), abs=1e-9)
    assert log_probabilities(softmax(logits, axis=1)) == pytest.approx(
        log_softmax(logits, axis=1), abs=1e-9
    )


def test_no_other_temperature_is_more_likely():
    logits, labels = planted(3.0, 300)
    best = fit_temperature(logits, labels)
    least = negative_log_likelihood(logits, labels, best)
    for other in np.geomspace(0.05, 40, 400):
        assert negative_log_likelihood(logits, labels, other) >= least - 1e-9


def test_probabilities_do_as_well_as_logits_and_no_label_changes():
    logits, labels = planted(3.0, 2000)
    same = fit_temperature(log_probabilities(softmax(logits, axis=1)), labels)
    assert same == pytest.approx(fit_temperature(logits, labels), rel=1e-5)
    assert (scaled(logits, same).argmax(axis=1) == logits.argmax(axis=1)).all()
    assert fit_temperature(logits[:0], labels[:0]) == 1.0
