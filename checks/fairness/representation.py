"""Who is in the audited rows, compared with the training rows or a population."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from auditkit.check import Context, Limit, check
from auditkit.errors import NotApplicable
from auditkit.finding import Measurement, Severity
from auditkit.metrics.representation import (
    ShareParams,
    shares_against_population,
    shares_against_rows,
)
from auditkit.model import Capability

from ._population import read_shares


@dataclass(frozen=True, slots=True)
class Params(ShareParams):
    """Parameters of `fairness.representation`."""

    reference_split: str = "train"
    """The split to compare with, where no file is given."""
    shares_file: str = ""
    """A csv with the columns attribute, group and share: the population to compare with. The shares
    of an attribute add up to 1; "sex × race" names an intersection, "f × x" its group."""


@check(
    "fairness.representation",
    title="Every group has the share of the audited rows that it has in the reference",
    severity=Severity.LOW,
    needs={Capability.GROUPS},
    params=Params,
    limits=(Limit("share_difference", "max", 0.1, means="a difference of a group's shares"),),
)
def representation(context: Context, params: Params) -> Iterator[Measurement]:
    """The largest difference between a group's share of the audited rows and of a reference.

    What it measures:
        The share of each group among the audited rows less its share in the reference: the
        population in `params.shares_file`, or else the rows of `params.reference_split`. The
        measurement is the largest absolute difference, per sensitive attribute and for every two
        crossed. A population's shares are taken as exact; a split is a sample as the audited rows
        are.

    Why it matters:
        A number over all rows is a number over who is in them. A group that the audit hardly holds
        is hardly audited, and one that training hardly held is usually served worse.

    How to read it:
        0 means the same mix of groups. Against a training split it says whether the audit looks at
        those the model learnt from, against a population whether it looks at those it will meet.

    What to do:
        Add rows of the groups that are short, or weight rows. Where the audit is meant to hold more
        of a small group, switch the limit off.

    Limits of this check:
        Equal shares are no equal treatment. A population's shares are as good as their source. With
        `data.sample` small groups are kept whole, which shifts shares. Rows are taken as drawn at
        random from whom they stand for.

    References:
        Clopper & Pearson 1934 and Newcombe 1998 for the intervals. Manski 2003 for rows of unknown
        group.
    """
    if params.shares_file:
        population = read_shares(params.shares_file)
        yield from shares_against_population(context, population, params)
        return
    reference = context.splits.get(params.reference_split)
    if reference is None:
        raise NotApplicable(
            f"there is no split {params.reference_split!r} to compare with, and params.shares_file "
            "names no population."
        )
    if reference.inputs == context.data.inputs:
        raise NotApplicable(f"the split {params.reference_split!r} is the one under audit.")
    yield from shares_against_rows(context, reference, params)
