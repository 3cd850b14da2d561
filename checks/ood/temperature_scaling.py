"""A temperature, written into the last layer."""

from __future__ import annotations

from pathlib import Path

from auditkit.check import NoParams
from auditkit.metrics.temperature import HOTTEST, fit_temperature, negative_log_likelihood
from auditkit.remedy import RemedyContext, RemedyError, remedy

FEWEST = 50
"""Validation rows below which a temperature is mostly chance."""


@remedy(
    "ood.temperature-scaling",
    title="Divide the logits by a temperature, which changes no label",
    improves=("quality.calibration", "ood.calibration-shift"),
    params=NoParams,
)
def temperature_scaling(context: RemedyContext, _: NoParams) -> Path:
    """Fits one number on the validation rows and writes it into the last layer.

    What it does:
        The temperature with the smallest negative log-likelihood on the validation rows is sought,
        and the weights and the bias of the last layer are divided by it. The result is a plain
        model folder. The order of the classes, and with it every label, stays as it was; that is
        checked on the validation rows. Nothing is trained.

    When to use it:
        When the model is right often enough and too sure, or not sure enough, of it.

    What it costs:
        Three passes over the validation rows.

    Limits of this remedy:
        One number cannot mend a model that is too sure of one class and not sure enough of another,
        or of one group. What it mends in distribution need not hold out of it
        (`ood.calibration-shift`). Rows that a threshold other than one half decides are decided
        anew: choose the threshold again.

    References:
        Guo et al. 2017, On calibration of modern neural networks; Platt 1999.
    """
    validation = context.validation
    if len(validation) < FEWEST:
        raise RemedyError(
            f"there are {len(validation)} rows to choose by, and a temperature needs {FEWEST}.",
            "Give more of them, in training.validation or by training.hold_out.",
        )
    assert validation.labels is not None
    head = context.head()
    texts = [str(text) for text in validation.inputs]
    logits = head.features(texts) @ head.weight.T + head.bias
    if (logits.argmax(axis=1) == validation.labels).all():
        raise RemedyError(
            "the model makes no mistake on the validation rows, so that no temperature is best.",
            "Give more of them, in training.validation or by training.hold_out.",
        )
    temperature = fit_temperature(logits, validation.labels)
    if temperature > HOTTEST / 1.01:
        raise RemedyError("the model's scores say nothing about the validation rows.")
    folder = head.replaced(head.weight / temperature, head.bias / temperature)
    before, after = context.predictor.predict(texts), context.ask(folder).predict(texts)
    moved = int((before.labels != after.labels).sum())
    if moved:
        raise RemedyError(
            f"{moved} of {len(texts)} rows would get another label by rounding: their two highest "
            "logits are equal to about seven digits."
        )
    context.note(
        f"Temperature {temperature:.4g}, fitted on {len(validation)} rows: negative log-likelihood "
        f"{negative_log_likelihood(logits, validation.labels):.4g} before, "
        f"{negative_log_likelihood(logits, validation.labels, temperature):.4g} after. No label of "
        "theirs has changed."
    )
    return folder
