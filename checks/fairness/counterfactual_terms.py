"""Whether the model's answer depends on which group a text names."""

from __future__ import annotations

from collections.abc import Iterator

from auditkit.check import Context, Limit, check
from auditkit.finding import Measurement, Severity
from auditkit.metrics.counterfactual_terms import TermParams, counterfactual_measurements
from auditkit.model import Capability


@check(
    "fairness.counterfactual-terms",
    title="The answer stays when only the group that a text names is changed",
    severity=Severity.HIGH,
    needs={Capability.NEW_INPUTS},
    params=TermParams,
    limits=(
        Limit("flip_rate", "max", 0.05, means="a share of pairs whose class changes"),
        Limit("shift", "max", 0.05, means="the largest mean change of a score, in any direction"),
        Limit("absolute_shift", "max", None, means="the mean size of the change, either way"),
    ),
)
def counterfactual_terms(context: Context, params: TermParams) -> Iterator[Measurement]:
    """Answers to the audited texts, with the group they name exchanged for another.

    What it measures:
        Texts of the audited rows that name one group of an attribute (gender, names, religion,
        ethnicity, nationality, orientation, gender identity, disability, age) are rewritten for
        `params.counterparts` (2) other groups, grammar kept: he and his with she and her, a with
        an, capitals, plurals. The flip rate is the share of pairs that get another class. The shift
        is the mean change of the positive class's score (of each class when there is no positive
        one) from a group to the others; the largest, up or down, is judged. The absolute shift is
        the mean size of the change. Without probabilities only the flip rate is measured.

    Why it matters:
        A model that answers otherwise when "he" becomes "she" treats people by who they are. Group
        rates on the data as they are cannot show this: there the groups' texts differ in more.

    How to read it:
        Each attribute is judged on its own. 0 means that the words make no difference. The note
        says how many texts have a term, how many could be swapped and why the others could not.
        Groups with fewer than `params.minimum_texts` (20) texts share one direction, "another
        group"; an attribute with fewer is listed in the first table and not judged, unless it is
        named in `params.attributes`. About 60 texts in each direction without any change are needed
        for a pass at the default limits, and more when there are some.

    What to do:
        Look at the pairs shown: are answers of one direction worse? Then retrain with
        `fairness.counterfactual-augmentation`. Name your own groups and words in
        `params.terms_file` (columns attribute, group, text, form, slot, when, source).

    Limits of this check:
        English. The words decide, not their meaning: a text is left out where they do not tell what
        the swap would have to be, or would say something else (both groups named, fixed
        expressions, titles, people known by name, "black" before no word for persons). What is left
        is not a random part of the texts. Some answers may rightly differ, if the task is about
        the group. Words that give a group away without naming it stay.

    References:
        Garg et al. 2019, Counterfactual fairness in text classification through robustness;
        Kusner et al. 2017; Huang et al. 2020, Reducing sentiment bias. Terms: Greenwald et al.
        1998, Caliskan et al. 2017, Bertrand & Mullainathan 2004, Zhao et al. 2018, Dixon et al.
        2018, Hutchinson et al. 2020. Clopper & Pearson 1934, Zou & Donner 2008.
    """
    yield from counterfactual_measurements(context, params)
