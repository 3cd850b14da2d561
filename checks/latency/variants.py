"""What variants of the model would save, and what they would answer otherwise."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace

from auditkit.check import Context, Limit, check
from auditkit.errors import NotApplicable
from auditkit.finding import Measurement, Severity
from auditkit.metrics.latency import bench_of
from auditkit.metrics.variants import (
    disagreement_of,
    each_input,
    not_made,
    ratio_chart,
    ratio_of,
    variants_table,
)
from auditkit.model import Capability

from ._beside import Beside, VariantParams
from ._timed import MOST


@check(
    "latency.variants",
    title="Variants of the model are faster and answer the same",
    severity=Severity.LOW,
    needs={Capability.TIMED},
    uses={Capability.LABELS, Capability.GROUPS},
    params=VariantParams,
    limits=(
        Limit("ratio", "max", None, highest=MOST, means="a ratio of latencies"),
        Limit("disagreement", "max", None, means="a share of the texts"),
    ),
    related=("latency.single-stream",),
)
def variants(context: Context, params: VariantParams) -> Iterator[Measurement]:
    """Time of variants of the model over its own, asked in turn, and what they answer otherwise.

    What it measures:
        Variants are copies of the model that compute the same weights in another way: in fewer
        bits, compiled, by ONNX Runtime, with other attention. Each request, drawn from the audited
        texts, is put to the audited model and to every variant, one right after the other, in
        random order. `ratio` is the median over requests of the variant's time for a text over the
        audited model's, tokenising included. `disagreement` is the share of texts that the variant
        labels otherwise. The table has both beside the accuracy, the largest change of a
        probability and the change of the largest gap of selection rates between groups.

    Why it matters:
        What makes a model faster often makes it another model. A comparison of times alone does not
        show it, and two runs at different times measure the machine as much as the models.

    How to read it:
        0.5 is twice as fast as the audited model. Differences from the audited model are paired:
        the same texts, with 95 % intervals. The time to make a variant, such as to compile it, is
        not in the ratio; it is in the table. No limit is set by default: this shows what a change
        would bring before it is made. A variant that is far slower is asked no more after 30
        requests.

    What to do:
        Take what is faster and within the interval of no change in accuracy and fairness, and audit
        that: robustness and the rest are not looked at here. A variant that labels texts otherwise
        has to be audited as a model of its own.

    Limits of this check:
        All variants are in memory at once, and each finds caches and threads as the others left
        them. Answers are compared on a sample if there are more texts than `params.texts`, in
        requests as large as those that are timed. The largest change of a probability is that of
        these texts; others may change more. Only models of transformers have variants.

    References:
        Conover 1999, 3.2 (order statistics); Kalibera & Jones 2013 (ratios in turn); Tango 1998
        (paired differences); Rubin 1981 (paired intervals of gaps).
    """
    bench = bench_of(context)
    if bench.variants is None:
        raise NotApplicable("the model is no text model of transformers, so it has no variants.")
    found = Beside(context, bench, params)
    with ExitStack() as kept:
        found.make(kept)
        run, compared = found.timed() if found.made else (None, [])
    found.made.clear()  # with the copies they hold
    if run is not None:
        confidence, comparisons = context.confidence, len(compared)
        own = each_input(run.timings) / 1e6
        table = variants_table(own, compared, found.missing, context.rng)
        first, *others = [ratio_of(one, confidence, comparisons) for one in compared]
        yield replace(first, evidence=(ratio_chart(compared), table, run.machine()))
        yield from others
        for one in compared:
            yield disagreement_of(one, confidence, comparisons)
    for name, why in found.missing.items():
        yield not_made(name, why)
