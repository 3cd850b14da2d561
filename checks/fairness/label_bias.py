"""The labels' own differences between groups, and what the model adds to them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from auditkit.check import Context, Limit, check
from auditkit.finding import Measurement, Severity
from auditkit.metrics.amplification import amplification_table, label_rates
from auditkit.metrics.disparity import rate_gaps
from auditkit.metrics.group_choice import GroupParams
from auditkit.model import Capability


@check(
    "fairness.label-bias",
    title="Every group is labelled with each class at a similar rate",
    severity=Severity.LOW,
    needs={Capability.GROUPS, Capability.LABELS},
    params=GroupParams,
    limits=(Limit("gap", "max", None, means="a difference of base rates in the labels"),),
)
def label_bias(context: Context, params: GroupParams) -> Iterator[Measurement]:
    """The largest difference between two groups in how often a class is their label.

    What it measures:
        The share of rows labelled with the positive class (each class in turn when there is no
        positive one), per group of every sensitive attribute and of every two attributes crossed.
        The measurement is the largest difference between two groups. It is about the data; the
        model's own difference for the same two groups, and how much it adds to that of the labels,
        stand beside it.

    Why it matters:
        A difference in what the model selects can come from the labels or from the model. A model
        that copies its labels is repaired in the data, one that widens their difference in
        training.

    How to read it:
        No limit is set: whether a difference of base rates is a fault depends on how the labels
        came about. In the table, amplification is the model's difference less that of the labels,
        between the same two groups, with a paired interval: above 0 the model widens what it was
        given, below 0 it narrows it.

    What to do:
        Where the labels differ, ask who gave them and on what ground before training on them. Where
        the model amplifies, compare `fairness.equalized-odds` to see which errors do it.

    Limits of this check:
        Labels that are wrong in the same share for every group look fair, and true differences
        between groups look unfair. Only audited rows are looked at, not those trained on. The
        intervals of the amplification are each for itself, of the known rows, all strata together.

    References:
        Zhao et al. 2017, Men also like shopping (bias amplification). Wang & Russakovsky 2021,
        Directional bias amplification. Kamiran & Zliobaite 2013 for differences given a factor.
    """
    rates = label_rates(context.data)
    for measured in rate_gaps(context, rates, params):
        table = amplification_table(context, rates, params, measured.slice)
        yield replace(measured, evidence=(*measured.evidence, table))
