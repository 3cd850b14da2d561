"""Whether an identity term alone makes a sentence right or wrong for the model."""

from __future__ import annotations

from collections.abc import Iterator

from auditkit.check import Context, Limit, check
from auditkit.finding import Measurement, Severity
from auditkit.metrics.template_bias import TemplateParams, template_measurements
from auditkit.model import Capability


@check(
    "fairness.template-bias",
    title="No identity term makes errors on template sentences more frequent",
    severity=Severity.HIGH,
    needs={Capability.NEW_INPUTS},
    params=TemplateParams,
    limits=(
        Limit("fpr_deviation", "max", 0.1, means="a term's distance to the overall FPR"),
        Limit("fnr_deviation", "max", 0.1, means="a term's distance to the overall FNR"),
        Limit("auc_drop", "max", 0.1, lowest=-1.0, means="a term's AUC below that of all"),
        Limit("disagreement", "max", None, means="a mean share of terms answered otherwise"),
    ),
)
def template_bias(context: Context, params: TemplateParams) -> Iterator[Measurement]:
    """False positive and negative rates, and AUCs, of identity terms in the same sentences.

    What it measures:
        50 neutral and 50 hostile sentences, each with one term of every group (`params.attributes`
        for some of them), or templates of yours in `params.templates_file`. Loaded sentences belong
        to one class: `params.positive`; else, with auditkit's hostile sentences, the class called
        toxic, hate, offensive or negative, and with yours the data's positive class. For each term
        the share of neutral sentences given that class (FPR) and of loaded ones not given it (FNR),
        less the share over all terms in the same templates. The largest distance, up or down, is
        judged. FPED and FNED, the sums of distances, are in the tables. AUCs: subgroup, BPSN and
        BNSP of each term, the largest drop below the AUC of all sentences. The disagreement is the
        mean share of a template's terms that get the rarer answer.

    Why it matters:
        Classifiers of toxicity learn that a group's name is toxic, because it often stands in toxic
        texts. Then peaceful sentences of these people are taken down.

    How to read it:
        0 means that the terms make no difference. A model that knows nothing of the task has no
        deviation either: read it beside the overall rates in the tables. Low BPSN: neutral
        sentences with the term score like hostile ones without. Fewer than 10 templates decide
        nothing.

    What to do:
        Add neutral texts with the terms to the training rows
        (`fairness.counterfactual-augmentation` with `neutral_rows`), or check a threshold by group.

    Limits of this check:
        Short made-up English sentences, which are not the model's traffic. A neutral sentence may
        belong to no class of a model that was trained on something else. Sentences of one template
        are compared with each other, so that templates, not sentences, are counted as independent;
        the same adjective stands for a whole group.

    References:
        Dixon et al. 2018, Measuring and mitigating unintended bias in text classification; Borkan
        et al. 2019, Nuanced metrics for measuring unintended bias. Clopper & Pearson 1934, Zou &
        Donner 2008, DeLong 1988 with clusters (Obuchowski 1997).
    """
    yield from template_measurements(context, params)
