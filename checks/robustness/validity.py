"""How often an attack succeeds by a text that still means the same."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from auditkit.attacks import (
    AttackOutcome,
    AttackSettings,
    Status,
    antonyms,
    example_id,
    find_recipe,
    meaning_similarity,
    perplexity_of,
)
from auditkit.check import Context, Limit, check
from auditkit.finding import Example, Examples, Measurement, Severity
from auditkit.metrics.robustness import Sampled
from auditkit.metrics.validity import Change, Judged, Rules, change, validity_measurements
from auditkit.model import Capability
from auditkit.resources import WORDNET, Resource

from ._attacking import Campaign, Record, drawn, in_range, outcome_record, runnable, texts_only


@dataclass(frozen=True, slots=True)
class Params:
    """Parameters of `robustness.validity`."""

    recipe: str = "deepwordbug"
    """The attack. `auditkit resources` lists what others than deepwordbug and pruthi need."""
    examples: int = 100
    """Examples to attack, drawn by the seed in proportion to the classes."""
    minimum_examples: int = 50
    """Right answers attacked below which nothing is decided."""
    budget: int = 1000
    """Most texts an attack may ask about for one example."""
    timeout: float = 300.0
    """Seconds for one example; one that takes longer counts as neither held nor broken."""
    negations: bool = True
    """An added or removed English negation word changes the meaning."""
    contraries: bool = True
    """A word replaced by an antonym of WordNet changes it, if WordNet is in the resource folder."""
    least_similarity: float = 0.7
    """Likeness of characters (1 less the share edited) below which the meaning is lost; 0 for
    none."""
    most_changed_words: float = 0.5
    """Share of words changed above which the meaning is lost; 1 for none."""
    encoder_folder: str = ""
    """Folder of a transformers encoder (safetensors) to compare meanings with."""
    least_meaning: float = 0.8
    """Cosine of its embeddings below which the meaning is lost; -1 for none."""
    language_model_folder: str = ""
    """Folder of a causal language model (safetensors) to compare perplexities with."""
    most_perplexity: float = 0.0
    """Ratio of perplexities, after to before, above which the text no longer counts as language;
    0 reports the ratio only, as every typing error raises it."""
    show: int = 10
    """Successes shown, those judged to mean something else first. 0 keeps the texts of the data
    out of the run directory."""

    def __post_init__(self) -> None:
        runnable("recipe", self.recipe)
        in_range(self.examples, self.minimum_examples, self.budget, self.timeout)
        if not 0 <= self.least_similarity <= 1 or not 0 <= self.most_changed_words <= 1:
            raise ValueError("least_similarity and most_changed_words must lie between 0 and 1")
        if not -1 <= self.least_meaning <= 1 or not self.most_perplexity >= 0 or self.show < 0:
            raise ValueError(
                "least_meaning must lie between -1 and 1, most_perplexity and show be at least 0"
            )

    @property
    def rules(self) -> Rules:
        """When a success no longer counts."""
        return Rules(
            negations=self.negations,
            antonyms=self.contraries,
            least_similarity=self.least_similarity,
            most_changed_words=self.most_changed_words,
            least_meaning=self.least_meaning,
            most_perplexity=self.most_perplexity,
        )


def needed(params: Params) -> Iterable[Resource]:
    """Files the attack and the judgement read."""
    named = {"encoder": params.encoder_folder, "language model": params.language_model_folder}
    folders = (Resource(name, "a folder", (path,)) for name, path in named.items() if path)
    words = (replace(WORDNET, optional=True),) if params.contraries else ()
    return dict.fromkeys((*find_recipe(params.recipe).resources, *folders, *words))


@check(
    "robustness.validity",
    title="Few attacks succeed by a text that still means the same",
    severity=Severity.LOW,
    needs={Capability.LABELS, Capability.PROBABILITIES, Capability.NEW_INPUTS},
    params=Params,
    limits=(
        Limit("adjusted_success_rate", "max", 0.5, means="a share of right answers"),
        Limit("raw_success_rate", "max", None, means="a share of right answers"),
    ),
    extras=("textattack", "greenlet"),
    resources=needed,
    grows_with="examples",
)
def validity(context: Context, params: Params) -> Iterator[Measurement]:
    """Success rate of an attack, counting only texts whose meaning is judged kept.

    What it measures:
        Right answers among `params.examples` drawn texts are attacked. The raw success rate is the
        share that becomes wrong. A success counts in the adjusted rate only if no rule objects:
        `negations` (a negation word added or removed), `contraries` (a word replaced by a WordNet
        antonym, where WordNet is installed), `least_similarity` (characters edited),
        `most_changed_words`, `least_meaning` (cosine by the encoder in `encoder_folder`) and
        `most_perplexity` (ratio of perplexities by the model in `language_model_folder`). What
        was not looked at is said.

    Why it matters:
        An attack that writes "not good" for "good" has found no weakness: the model is right to
        change its mind. A success rate that counts such texts blames the model for the attack.

    How to read it:
        Compare the two rates. Close together, the attack's successes are real. Far apart, the
        attack cheats, and the raw rate, and the accuracy of `robustness.adversarial-attack`, make
        the model look worse than it is. The examples give the reason for each text judged changed.

    What to do:
        Read the examples and set the rules so that they agree with you. Where many are rightly
        rejected, choose a recipe with tighter constraints.

    Limits of this check:
        Rules see signs of another meaning, not meaning: a word misspelt into another, or an
        antonym far from its place, passes, and a long insertion that says nothing is rejected.
        Negation words and WordNet are English. Without an encoder nothing compares whole texts.
        Perplexity tells unusual language, not another meaning. The interval does not cover errors
        of judgement.

    References:
        Morris et al. 2020, Reevaluating adversarial examples in natural language; Miller 1995,
        WordNet; Levenshtein 1966; Clopper & Pearson 1934.
    """
    data = context.data
    texts_only(data.inputs)
    assert data.labels is not None
    rows = drawn(data.inputs, data.labels, params.examples, context.rng)
    right = (
        context.predictor.predict([data.inputs[row] for row in rows]).labels == data.labels[rows]
    )
    rows = rows[right]
    texts = [data.inputs[row] for row in rows]
    campaign = Campaign(context, texts, data.labels[rows], _Recorder(params))
    settings = AttackSettings(int(context.rng.integers(2**32)), params.budget, params.timeout)
    found = campaign.run(find_recipe(params.recipe), range(len(rows)), settings, params.recipe)
    sample = Sampled(
        ids=tuple(map(example_id, texts)),
        right=np.ones(len(rows), dtype=bool),
        clusters=None if data.clusters is None else data.clusters[rows],
        least=params.minimum_examples,
    )
    yield from validity_measurements(context, sample, _judged(campaign, found, params))


@dataclass(frozen=True, slots=True)
class _Recorder:
    """Keeps of an outcome what its judgement needs."""

    params: Params

    def __call__(self, outcome: AttackOutcome) -> Record:
        record = outcome_record(outcome)
        if outcome.status is not Status.SUCCEEDED:
            return record
        after = outcome.perturbed or ""
        record["change"] = self._change(outcome.original, after).to_record()
        record["after"] = outcome.perturbed_label
        if self.params.show:
            record["text"] = after
        return record

    def _change(self, before: str, after: str) -> Change:
        params = self.params
        look = params.contraries and not WORDNET.obstacle()
        meaning = ratio = None
        if params.encoder_folder:
            meaning = meaning_similarity(before, after, Path(params.encoder_folder))
        if params.language_model_folder:
            perplexity = perplexity_of(Path(params.language_model_folder))
            old, new = perplexity(before), perplexity(after)
            ratio = new / old if old and new else None
        return change(before, after, antonyms if look else None, meaning, ratio)


def _judged(campaign: Campaign, found: dict[int, Record], params: Params) -> Judged:
    broken = campaign.ended(found, Status.SUCCEEDED)
    rows = np.flatnonzero(broken).tolist()
    changes = [Change.from_record(found[row]["change"]) for row in rows]
    objections = [one.objections(params.rules) for one in changes]
    kept = broken.copy()
    kept[[row for row, said in zip(rows, objections, strict=True) if said]] = False
    return Judged(
        name=params.recipe,
        broken=broken,
        kept=kept,
        unknown=campaign.ended(found, Status.TIMEOUT, Status.ERROR),
        changes=changes,
        objections=objections,
        examples=_shown(campaign, found, dict(zip(rows, objections, strict=True)), params.show),
        not_looked_at=_not_looked_at(params),
    )


def _not_looked_at(params: Params) -> tuple[str, ...]:
    said = []
    if params.contraries and WORDNET.obstacle():
        said.append(f"contraries, as {WORDNET.obstacle()}")
    if not params.encoder_folder:
        said.append("embeddings, as no params.encoder_folder is set")
    if not params.language_model_folder:
        said.append("perplexity, as no params.language_model_folder is set")
    return tuple(said)


def _shown(
    campaign: Campaign, found: dict[int, Record], objections: dict[int, dict[str, str]], show: int
) -> Examples:
    names = campaign.context.data.class_names
    rows = sorted(objections, key=lambda row: (not objections[row], row))[:show]
    return Examples(
        "Successes, those judged to mean something else first",
        tuple(
            Example(
                campaign.texts[row],
                found[row]["text"],
                names[campaign.labels[row]],
                names[found[row]["after"]],
                "; ".join(objections[row].values()) or "meaning judged kept",
            )
            for row in rows
        ),
    )
