"""Training on copies of the training rows that name another group."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from auditkit.identity import Excluded, Swapper, TermSet, read_templates, read_terms
from auditkit.identity.templates import NEUTRAL
from auditkit.metrics.counterfactual_terms import chosen_terms
from auditkit.remedy import RemedyContext, RemedyError, TrainingParams, TrainingRows, remedy

_TEMPLATES = "fairness.template-bias"


@dataclass(frozen=True, slots=True)
class Params(TrainingParams):
    """Parameters of `fairness.counterfactual-augmentation`."""

    attributes: tuple[str, ...] = ()
    """Attributes of the term set whose terms are exchanged, such as gender; empty for all."""
    terms_file: str = ""
    """A term set of your own, as for `fairness.counterfactual-terms`."""
    counterparts: int = 1
    """Swapped copies of each row and attribute, each for another group drawn by the seed."""
    neutral_rows: float = 0.0
    """Neutral sentences with the terms to add beside, as a share of the training rows. They are
    auditkit's templates, so that `fairness.template-bias` must then be given others."""
    neutral_class: str = ""
    """Class that neutral sentences belong to; needed with `neutral_rows`."""

    def __post_init__(self) -> None:
        TrainingParams.__post_init__(self)
        if not 1 <= self.counterparts <= 20:
            raise ValueError(f"counterparts must lie between 1 and 20, not {self.counterparts}")
        if not 0 <= self.neutral_rows <= 1:
            raise ValueError(f"neutral_rows is a share from 0 to 1, not {self.neutral_rows}")
        if self.neutral_rows and not self.neutral_class:
            raise ValueError("neutral_rows needs neutral_class, the class of neutral sentences")


def conflict(params: Params, suite: Mapping[str, Mapping[str, Any]]) -> str:
    """Sentences that were trained on cannot judge."""
    judged = suite.get(_TEMPLATES)
    if params.neutral_rows and judged is not None and not judged.get("templates_file"):
        return (
            f"{_TEMPLATES} asks about the sentences that neutral_rows trains on; name templates of "
            "your own in its params.templates_file, or set neutral_rows = 0"
        )
    return ""


@remedy(
    "fairness.counterfactual-augmentation",
    title="Retrain on copies of the training rows that name another group",
    improves=("fairness.counterfactual-terms", "fairness.template-bias"),
    params=Params,
    conflict=conflict,
)
def counterfactual_augmentation(context: RemedyContext, params: Params) -> Path:
    """Counterfactual data augmentation: the same label whoever the text is about.

    What it does:
        Each training row that names one group of an attribute gets copies with the same label in
        which another group is named, grammar kept, as `fairness.counterfactual-terms` does it. With
        `neutral_rows` neutral sentences with every term are added, too (Dixon's balancing). The
        model is trained further on the rows and what was added.

    When to use it:
        When the answer depends on who a text is about. Neutral rows help where the term itself
        became a sign of the loaded class and the training rows have few harmless texts with it.

    What it costs:
        One epoch over the rows and at most `counterparts` more for each row and attribute with a
        term; usually a few per cent of the rows have one.

    Limits of this remedy:
        It teaches the words of the term set, English only; words it lacks stay as they were. A row
        that cannot be swapped safely gets no copy, so that a bias learnt from such rows remains.
        The label of a copy is taken to be that of the row, which is wrong where the label is about
        the group. Judged by the same term set, the model has seen the words, though not the texts.

    References:
        Zmigrod et al. 2019, Counterfactual data augmentation for mitigating gender stereotypes; Lu
        et al. 2020, Gender bias in neural natural language processing; Dixon et al. 2018.
    """
    rows = TrainingRows.of(context.train)
    terms = read_terms(params.terms_file)
    attributes = chosen_terms(terms, params.attributes)
    texts, labels, left_out = _copies(context, params, rows, terms, attributes)
    if not texts:
        found = f"; left out because {_listed(left_out)}" if left_out else ""
        raise RemedyError(
            f"no training row has a term of {', '.join(attributes)} that can be exchanged{found}.",
            "Name terms that occur in params.terms_file.",
        )
    context.note(
        f"{len(texts)} copies with another group were added to {len(rows)} rows, by {terms.name}. "
        + (f"Left out: {_listed(left_out)}." if left_out else "No row with a term was left out.")
    )
    more = _neutral(context, params, terms, len(rows))
    return context.fine_tune(
        rows.and_also([*texts, *more], [*labels, *(_neutral_class(context, params) for _ in more)]),
        params,
    )


def _copies(
    context: RemedyContext,
    params: Params,
    rows: TrainingRows,
    terms: TermSet,
    attributes: tuple[str, ...],
) -> tuple[list[str], list[int], Counter[str]]:
    swapper = Swapper(terms)
    texts, labels = [], []
    left_out: Counter[str] = Counter()
    for text, label in zip(rows.texts, rows.labels.tolist(), strict=True):
        for attribute, outcome in swapper.swap(text).items():
            if attribute not in attributes:
                continue
            if isinstance(outcome, Excluded):
                left_out[outcome.reason.value] += 1
                continue
            others = [*outcome.texts.values()]
            picked = context.rng.permutation(len(others))[: params.counterparts]
            texts += [others[i] for i in sorted(picked.tolist())]
            labels += [label] * len(picked)
    return texts, labels, left_out


def _neutral(context: RemedyContext, params: Params, terms: TermSet, rows: int) -> list[str]:
    """Neutral sentences, drawn so that each term has about as many."""
    wanted = round(params.neutral_rows * rows)
    if not wanted:
        return []
    chosen = chosen_terms(terms, params.attributes)
    filled = [term for term in terms.adjectives() if term.attribute in chosen]
    sentences = [one for one in read_templates("", filled).rows if one.label == NEUTRAL]
    order = context.rng.permutation(len(sentences))
    turn: Counter[str] = Counter()
    ranked: list[tuple[int, int]] = []
    for position in order.tolist():
        ranked.append((turn[sentences[position].term], position))
        turn[sentences[position].term] += 1
    added = [sentences[position].text for _, position in sorted(ranked)[:wanted]]
    context.note(f"{len(added)} neutral sentences with the terms were added.")
    return added


def _neutral_class(context: RemedyContext, params: Params) -> int:
    names = context.train.class_names
    if params.neutral_class not in names:
        raise RemedyError(
            f"neutral_class: the model has no class {params.neutral_class!r}.",
            f"Its classes: {', '.join(names[:12])}.",
        )
    return int(np.flatnonzero(np.array(names) == params.neutral_class)[0])


def _listed(left_out: Counter[str]) -> str:
    return ", ".join(f"{reason} ({count:,})" for reason, count in left_out.most_common())
