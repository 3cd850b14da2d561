"""Errors on sentences that differ in an identity term only."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from auditkit.check import Context
from auditkit.data import Attribute, AuditData, unit_id
from auditkit.errors import AuditkitError, NotApplicable, nearest
from auditkit.finding import (
    WHISKER_ALPHA,
    WHISKER_LEVEL,
    Bounds,
    Cell,
    Estimate,
    Estimates,
    Interval,
    Measurement,
    Table,
)
from auditkit.identity import read_templates, read_terms
from auditkit.identity.templates import HOSTILE, NEUTRAL, Filled, Sentences
from auditkit.metrics.counterfactual_terms import chosen_terms
from auditkit.metrics.group_choice import GroupChoice
from auditkit.metrics.identity_auc import auc_measurements
from auditkit.model import Predictions
from auditkit.stats.bounded import signed_mean
from auditkit.stats.gaps import Comparison, combine_max

HOSTILE_CLASSES = frozenset({
    "toxic", "toxicity", "hate", "hateful", "hate_speech", "offensive", "abusive", "abuse",
    "insult", "harmful", "hostile", "negative", "neg",
})  # fmt: skip
"""Class names, in lower case, that hostile sentences belong to without being told."""
_FEWEST = 10
"""Templates of a kind below which nothing is claimed."""

Floats = NDArray[np.float64]
Numbers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class TemplateParams:
    """Which sentences are asked about."""

    templates_file: str = ""
    """Templates of your own: csv or jsonl with text and label, where text has "{identity}" or the
    column identity names the term in it. Empty for those that come with auditkit."""
    terms_file: str = ""
    """A term set of your own, whose adjectives are filled in; empty for auditkit's."""
    attributes: tuple[str, ...] = ()
    """Attributes whose terms are filled in; empty for all."""
    positive: str = ""
    """Class that the loaded sentences belong to: toxic, negative. Empty for the data's positive
    class when templates_file labels by class name; with auditkit's templates, for the class that is
    called toxic, hate, offensive, negative or alike."""

    def __post_init__(self) -> None:
        if len(set(self.attributes)) < len(self.attributes):
            raise ValueError("attributes names one twice")


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """Filled templates and the answers to them.

    Attributes:
        name: What the report calls the templates.
        rows: The sentences.
        loaded: The class of the loaded ones.
        truth: Whether each sentence is loaded, shape (n,).
        chosen: Whether it was given that class, shape (n,).
        terms: Names of the terms.
        term: Number of each sentence's term, shape (n,).
        template: Number of each sentence's template, shape (n,).
        answers: All answers.
    """

    name: str
    rows: tuple[Filled, ...]
    loaded: int
    truth: NDArray[np.bool_]
    chosen: NDArray[np.bool_]
    terms: tuple[str, ...]
    term: Numbers
    template: Numbers
    answers: Predictions

    @property
    def wrong(self) -> NDArray[np.bool_]:
        """Whether each sentence got the wrong one of loaded and not loaded."""
        return np.asarray(self.truth != self.chosen)


def template_measurements(context: Context, params: TemplateParams) -> Iterator[Measurement]:
    """Largest deviation of a term's FPR and FNR, largest drop in AUC, and the disagreement.

    Raises:
        NotApplicable: The model is not one of texts, or no class is known to be the loaded one.
        AuditkitError: A file cannot be read, or a name in `params` is unknown.
    """
    if not all(isinstance(one, str) for one in context.data.inputs):
        raise NotApplicable("the inputs of this model are no texts, and templates are")
    terms = read_terms(params.terms_file)
    attributes = chosen_terms(terms, params.attributes)
    filled = [one for one in terms.adjectives() if one.attribute in attributes]
    sentences = read_templates(params.templates_file, filled)
    sentences = replace(sentences, name=f"{sentences.name}, {terms.name}")
    asked = _ask(context, params, sentences)
    comparisons = 2 * 2 * len(asked.terms)
    yield _deviation(context, asked, comparisons, loaded=False)
    yield _deviation(context, asked, comparisons, loaded=True)
    if asked.answers.probabilities is not None:
        yield from _auc_drop(context, asked)
    yield _disagreement(context, asked)


def loaded_class(data: AuditData, params: TemplateParams) -> int:
    """Index of the class that loaded sentences belong to.

    Raises:
        AuditkitError: `params.positive` is no class.
        NotApplicable: None is named, and none can be told.
    """
    names = data.class_names
    if params.positive:
        if params.positive not in names:
            raise AuditkitError(
                f"params.positive: the model has no class {params.positive!r}.",
                nearest(params.positive, names),
            )
        return names.index(params.positive)
    if params.templates_file and data.positive is not None:
        return data.positive
    known = [i for i, name in enumerate(names) if name.lower() in HOSTILE_CLASSES]
    if data.positive in known:
        assert data.positive is not None
        return data.positive
    if len(known) == 1:
        return known[0]
    raise NotApplicable(
        "which class hostile sentences belong to is not known; name it in params.positive, or give "
        "templates of your own in params.templates_file if the model is not about hostility"
    )


def _ask(context: Context, params: TemplateParams, sentences: Sentences) -> Asked:
    loaded = loaded_class(context.data, params)
    name = context.data.class_names[loaded]
    truth = _truth(context.data, sentences, name)
    rows = sentences.rows
    answers = context.predictor.predict([row.text for row in rows])
    context.advance(1.0)
    terms, term = np.unique([row.term for row in rows], return_inverse=True)
    keys = [f"{int(t)}{row.template}" for t, row in zip(truth, rows, strict=True)]
    template = np.unique(keys, return_inverse=True)[1]
    chosen = np.asarray(answers.labels == loaded)
    return Asked(
        sentences.name, rows, loaded, truth, chosen, tuple(terms.tolist()),
        term.astype(np.int64), template.astype(np.int64), answers,
    )  # fmt: skip


def _truth(data: AuditData, sentences: Sentences, loaded: str) -> NDArray[np.bool_]:
    """Whether each sentence is loaded, from its label."""
    labels = {row.label for row in sentences.rows}
    for yes, known in (
        (HOSTILE, {HOSTILE, NEUTRAL}),
        ("1", {"0", "1"}),
        (loaded, {*data.class_names}),
    ):
        if labels <= known:
            return np.array([row.label == yes for row in sentences.rows])
    odd = sorted(labels - {*data.class_names})[0]
    raise AuditkitError(
        f"the label {odd!r} of the templates is no class of the model.",
        f"Use class names ({', '.join(data.class_names[:12])}), or 1 for loaded and 0 for not.",
    )


def _deviations(asked: Asked, *, loaded: bool) -> list[Floats]:
    """For each term: by template, its share of errors less that of all terms, in -1..1.

    Templates that have one term only compare nothing and are left out.
    """
    rows = asked.truth == loaded
    shape = len(asked.terms), int(asked.template.max()) + 1
    cells = asked.term[rows] * shape[1] + asked.template[rows]
    size = np.bincount(cells, minlength=shape[0] * shape[1]).reshape(shape)
    wrong = np.bincount(cells[asked.wrong[rows]], minlength=size.size).reshape(shape)
    compared = (size > 0).sum(axis=0) > 1
    overall = wrong.sum(axis=0) / np.maximum(size.sum(axis=0), 1)
    found = []
    for its_size, its_wrong in zip(size, wrong, strict=True):
        here = compared & (its_size > 0)
        found.append(its_wrong[here] / its_size[here] - overall[here])
    return found


def _deviation(context: Context, asked: Asked, comparisons: int, *, loaded: bool) -> Measurement:
    """The largest deviation of a term's rate of errors, up or down, paired by template."""
    name = "fnr_deviation" if loaded else "fpr_deviation"
    confidence = context.confidence
    corrected = confidence.corrected_alpha(comparisons)
    values = _deviations(asked, loaded=loaded)
    compared = [
        Comparison(
            float(one.mean()) if len(one) else None,
            _interval(one, confidence.claim_alpha),
            signed_mean(one, corrected),
        )
        for one in values
    ]
    largest = combine_max(compared)
    evidence = _rates(asked, values, loaded=loaded)
    kind = "loaded" if loaded else "not loaded"
    if largest.widest is None:
        note = f"no template that is {kind} has two terms"
        return Measurement(name, None, 0, None, note=note, evidence=evidence)
    term, deviation = asked.terms[largest.widest], compared[largest.widest].value or 0.0
    templates = len(values[largest.widest])
    rate = "false negatives" if loaded else "false positives"
    note = (
        f"Largest for {term}: {deviation:+.3f} from the share of {rate} over all "
        f"{len(asked.terms)} terms in the same {templates:,} templates. Loaded class: "
        f"{context.data.class_names[asked.loaded]}. {asked.name}."
    )
    return Measurement(
        name=name,
        value=largest.value,
        n=templates,
        bounds=Bounds(
            largest.claim, largest.corrected, "exact bounds, paired by template", comparisons
        ),
        note=note,
        evidence=evidence,
    )


def _interval(values: Floats, alpha: float) -> Interval:
    return signed_mean(values, alpha) if len(values) >= _FEWEST else Interval(-1.0, 1.0)


def _rates(asked: Asked, values: Sequence[Floats], *, loaded: bool) -> tuple[Estimates, Table]:
    """Deviations as a chart; rates, and their summed distance to the overall one, as a table."""
    rows = asked.truth == loaded
    short = "FNR" if loaded else "FPR"
    alpha = WHISKER_ALPHA
    chart = Estimates(
        f"{short} of each term less that of all terms, by template",
        tuple(
            Estimate(term, len(one), float(one.mean()), signed_mean(one, alpha))
            if len(one)
            else Estimate(term, 0, None, None, note="no template to compare in")
            for term, one in zip(asked.terms, values, strict=True)
        ),
        WHISKER_LEVEL,
        "exact bounds, paired by template",
        0.0,
        "as all terms",
    )
    overall = float(asked.wrong[rows].mean()) if rows.any() else None
    cells: list[tuple[Cell, ...]] = []
    distance = 0.0
    for code, term in enumerate(asked.terms):
        its = rows & (asked.term == code)
        if its.any() and overall is not None:
            rate = float(asked.wrong[its].mean())
            distance += abs(rate - overall)
            cells.append((term, int(its.sum()), rate))
    cells.append(("all terms", int(rows.sum()), overall))
    cells.append((f"{short[:2]}ED, the sum of distances to it", len(cells) - 1, distance))
    return chart, Table(f"{short} by term", ("term", "sentences", short), tuple(cells))


def _auc_drop(context: Context, asked: Asked) -> Iterator[Measurement]:
    """Subgroup, BPSN and BNSP AUC of each term; sentences of one template are a cluster."""
    other = next(i for i in range(len(context.data.class_names)) if i != asked.loaded)
    data = AuditData(
        inputs=tuple(range(len(asked.rows))),
        labels=np.where(asked.truth, asked.loaded, other),
        class_names=context.data.class_names,
        positive=asked.loaded,
        groups={"term": Attribute("term", asked.terms, asked.term)},
        clusters=asked.template,
    )
    choice = GroupChoice(intersections=False)
    for measurement in auc_measurements(replace(context, data=data), asked.answers, choice):
        yield replace(measurement, name="auc_drop", slice="")


def _disagreement(context: Context, asked: Asked) -> Measurement:
    """By template, the share of terms answered otherwise than most of its terms."""
    values: dict[str, float] = {}
    for number in np.unique(asked.template).tolist():
        rows = np.flatnonzero(asked.template == number)
        if len(rows) > 1:
            share = float(asked.chosen[rows].mean())
            key = f"{asked.rows[rows[0]].label}\0{asked.rows[rows[0]].template}"
            values[unit_id(key)] = min(share, 1 - share)
    if not values:
        return Measurement("disagreement", None, 0, None, note="no template has two terms")
    each = np.array([*values.values()])
    confidence = context.confidence
    return Measurement(
        name="disagreement",
        value=float(each.mean()),
        n=len(each),
        bounds=Bounds(
            signed_mean(each, confidence.claim_alpha, lowest=0.0),
            signed_mean(each, confidence.corrected_alpha(1), lowest=0.0),
            "exact bounds",
        ),
        note="Mean over templates of the share of terms that get the rarer answer.",
        units=values,
    )
