"""Training on noisy and reworded copies of the training rows."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from random import Random

from auditkit.attacks.stop_words import ENGLISH
from auditkit.errors import nearest
from auditkit.metrics.choosing import clean_and_noisy
from auditkit.noise import NOISES, Strength, noisy
from auditkit.noise.synonyms import Thesaurus, read_wordnet
from auditkit.remedy import RemedyContext, RemedyError, TrainingParams, TrainingRows, remedy
from auditkit.resources import WORDNET, Resource

_TRIES = 4
"""Noises tried on a text before it is left without a copy."""


@dataclass(frozen=True, slots=True)
class Params(TrainingParams):
    """Parameters of `robustness.augmentation`."""

    copies: int = 1
    """Changed copies of each training row, beside the row itself."""
    noises: tuple[str, ...] = ()
    """Noises to put on the copies; empty for all."""
    strength: Strength = "mild"
    """How strong: mild touches one word of ten, strong one of three."""
    synonyms: float = 0.5
    """Share of the copies whose words are exchanged for synonyms instead. It needs WordNet in the
    resource folder; without, every copy gets noise, and the record says so."""

    def __post_init__(self) -> None:
        TrainingParams.__post_init__(self)
        if not 1 <= self.copies <= 20:
            raise ValueError(f"copies must lie between 1 and 20, not {self.copies}")
        if not 0 <= self.synonyms <= 1:
            raise ValueError(f"synonyms is a share from 0 to 1, not {self.synonyms}")
        for name in self.noises:
            if name not in NOISES:
                raise ValueError(f"there is no noise {name!r}; {nearest(name, NOISES)}")


def read(params: Params) -> tuple[Resource, ...]:
    """WordNet, where it is there and wanted."""
    return (WORDNET,) if params.synonyms and WORDNET.found() and not WORDNET.obstacle() else ()


@remedy(
    "robustness.augmentation",
    title="Retrain on copies of the training rows with typing errors and synonyms",
    improves=("robustness.natural-noise", "robustness.adversarial-attack"),
    params=Params,
    score=clean_and_noisy,
    resources=read,
)
def augmentation(context: RemedyContext, params: Params) -> Path:
    """Data augmentation: no search and no model is asked, so it is quick and general.

    What it does:
        Each training row gets copies with the same label: some with one of the everyday noises
        that `robustness.natural-noise` tries, some with words exchanged for WordNet synonyms. The
        model is trained further on the rows and their copies.

    When to use it:
        When typing errors, capitals or odd characters cost accuracy, and as the first thing to try
        before the dearer adversarial training.

    What it costs:
        One epoch over (1 + copies) times the rows.

    Limits of this remedy:
        It teaches the noises it knows. An attacker who searches finds others. Judged by
        `robustness.natural-noise`, the model has seen the kinds of noise, though not the texts; set
        `params.noises` to leave some of them for judging. A synonym can change what a text means.

    References:
        Belinkov & Bisk 2018; Wei & Zou 2019, EDA; Miller 1995, WordNet.
    """
    thesaurus = _thesaurus(context, params)
    rows = TrainingRows.of(context.train)
    texts, labels = [], []
    for copy in range(params.copies):
        for row, (text, label) in enumerate(zip(rows.texts, rows.labels.tolist(), strict=True)):
            rng = Random(f"{context.seed} {copy} {row}")  # noqa: S311 - reproducible, not secret
            changed = _changed(text, rng, params, thesaurus)
            if changed != text:
                texts.append(changed)
                labels.append(label)
    if not texts:
        raise RemedyError(
            "no noise and no synonym finds anything to change in the rows to train on."
        )
    shown = ", ".join(params.noises or NOISES)
    context.note(
        f"{len(texts)} changed copies were added to {len(rows)} rows. The model has been shown "
        f"these kinds of noise: {shown}. A gain on them says nothing of other kinds."
    )
    return context.fine_tune(rows.and_also(texts, labels), params)


def _thesaurus(context: RemedyContext, params: Params) -> Thesaurus | None:
    if not read(params):
        if params.synonyms:
            context.note(f"No synonyms: {WORDNET.obstacle()}. Every copy got noise.")
        return None
    place = WORDNET.place()
    try:
        return read_wordnet(place)
    except (OSError, ValueError) as error:
        raise RemedyError(f"{place} cannot be read: {error}", "Set params.synonyms = 0.") from None


def _changed(text: str, rng: Random, params: Params, thesaurus: Thesaurus | None) -> str:
    """A copy of a text; the text itself when nothing that was tried changes it."""
    if thesaurus is not None and rng.random() < params.synonyms:
        reworded = thesaurus.exchanged(text, params.strength, rng, frozenset(ENGLISH))
        if reworded != text:
            return reworded
    names = list(params.noises or NOISES)
    for _ in range(_TRIES):
        name = names[int(rng.random() * len(names))]
        new = noisy(NOISES[name], params.strength, text, int(rng.random() * 2**32))
        if new != text:
            return new
    return text
