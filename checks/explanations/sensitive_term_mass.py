"""Whether explanations rest on the words that name who somebody is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from auditkit.check import Context, Limit, check
from auditkit.errors import NotApplicable
from auditkit.finding import Measurement, Severity
from auditkit.identity import NamedGroup, Swapper, read_terms
from auditkit.metrics.counterfactual_terms import chosen_terms
from auditkit.metrics.term_mass import TermSample, mass_measurements, term_mass
from auditkit.model import Capability

from ._explaining import (
    Explained,
    ExplanationParams,
    drawn_examples,
    explained_by,
    explainer_of,
    left_out,
    unusable,
    usable,
)
from ._heat_maps import heat_maps, is_right


@dataclass(frozen=True, slots=True)
class Params(ExplanationParams):
    """Parameters of `explanations.sensitive-term-mass`."""

    terms_file: str = ""
    """A csv or jsonl file of terms, in the columns of `fairness.counterfactual-terms`; empty for
    the terms of auditkit."""
    attributes: tuple[str, ...] = ()
    """Attributes of the term set whose terms count; empty for all."""


@check(
    "explanations.sensitive-term-mass",
    title="Answers do not rest on the words that name a group of people",
    severity=Severity.MEDIUM,
    needs={Capability.EXPLANATIONS},
    params=Params,
    grows_with="examples",
    limits=(
        Limit(
            "excess",
            "max",
            0.1,
            lowest=-1.0,
            means="a share of the attribution on identity terms, less their share of the words",
        ),
        Limit("mass", "max", None, means="a share of the attribution on identity terms"),
        Limit("mass_on_errors", "max", None, means="that share where the model is wrong"),
        Limit("gap", "max", None, means="the largest gap of that share between two groups"),
    ),
    related=("fairness.counterfactual-terms", "fairness.template-bias", "fairness.subgroup-auc"),
)
def sensitive_term_mass(context: Context, params: Params) -> Iterator[Measurement]:
    """Share of the attributions' absolute weight that lies on identity terms.

    What it measures:
        Of the texts that name a group of people (by the terms of `fairness.counterfactual-terms`:
        pronouns, names of religions, nationalities and so on), `params.examples` (50) are drawn and
        their answers explained by each method. The mass is the share of the absolute weight that
        lies on these terms, text by text. The excess is the mass less the share of the words that
        are terms, which is where random attributions put it. The mass is also given where the model
        is wrong, and by group of each sensitive attribute.

    Why it matters:
        In most tasks it should not matter who is named. A model that looks at "she" or "Muslim" to
        decide will treat people unequally, and such a term is often what tips a wrong answer.

    How to read it:
        An excess of 0 is what attributions that know nothing give; below 0 the model looks at other
        words. The limit of 0.1 says that terms may hold ten points more of the weight than their
        share of the words. It is on the excess and not on the mass, since one term in a text of
        five words holds a fifth by chance; it lies at 0.1 so that noise of the methods, which
        spreads over all words, stays below it. A mass on errors above that on right answers says
        that the terms mislead.

    What to do:
        Look at the heat maps first: where a term rightly decides, name the other attributes in
        `params.attributes`. See `fairness.counterfactual-terms` for whether answers change with the
        term. Training on texts with swapped terms (`fairness.counterfactual-augmentation`) takes
        the term out of the decision.

    Limits of this check:
        It is as good as the attributions: a method that is not faithful may hide what the model
        uses, see the other checks of explanations. Terms are English, and only what the list names
        is seen; a model can look at proxies instead. The absolute weight says how much a term
        matters and not which way. A method that weighs sub-words gives a word the sum of its parts.

    References:
        Dixon et al. 2018, Measuring and mitigating unintended bias in text classification; Kennedy
        et al. 2020, Contextualizing hate speech classifiers with post-hoc explanation; Prabhakaran
        et al. 2019, Perturbation sensitivity analysis to detect unintended model biases.
    """
    explainer_of(context)
    terms = read_terms(params.terms_file)
    wanted, swapper = set(chosen_terms(terms, params.attributes)), Swapper(terms)
    methods, blocked = usable(context, params.methods)

    def named(text: str) -> tuple[NamedGroup, ...]:
        return tuple(o for o in swapper.named_groups(text) if o.term.attribute in wanted)

    places = {text: named(text) for text in dict.fromkeys(context.data.inputs)}
    rows = np.flatnonzero([bool(places[text]) for text in context.data.inputs])
    if not len(rows):
        listed = ", ".join(terms.attributes if not params.attributes else params.attributes)
        raise NotApplicable(f"no text has an identity term ({listed}) of {terms.name}.")
    explained = drawn_examples(context, params.examples, rows)
    sample = _sample(context, explained, params, [places[text] for text in explained.texts])
    found = explained_by(methods, context, params, explained)
    masses = [term_mass(sample, method, said) for method, said in found.items()]
    counted = (
        f"{len(rows):,} of {len(context.data):,} rows have a term, {len(explained):,} were drawn."
    )
    counted = f"{counted} {left_out(params, blocked)}".rstrip()
    title = "Explained examples with a term"
    shown = heat_maps(context, explained, [*found.values()], title, params.show)
    yield from mass_measurements(context, sample, masses, counted, shown)
    yield from unusable("excess", params, blocked)


def _sample(
    context: Context,
    explained: Explained,
    params: Params,
    named: Sequence[tuple[NamedGroup, ...]],
) -> TermSample:
    groups = {name: one.rows(explained.rows) for name, one in context.data.groups.items()}
    return TermSample(
        texts=explained.texts,
        ids=explained.ids,
        named=tuple(named),
        right=is_right(context, explained),
        groups=groups,
        clusters=explained.clusters,
        minimum=params.minimum_examples,
    )
