"""The recipes by name: TextAttack's own, and counterparts that need less.

A counterpart has the search and the constraints of a well-known recipe with another source of
replacement words. Its name says which; its results are not those of the original.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from auditkit.errors import ConfigError, nearest
from auditkit.resources import (
    BERT,
    COUNTER_FITTED,
    GOOGLE_LM,
    GPT2,
    HOMOGLYPHS,
    MASKED_LM,
    SENTENCE_ENCODER,
    STOP_WORDS,
    TAGGER,
    TAGSET,
    UNIVERSAL_ENCODER,
    VECTORS,
    WORDNET,
    Resource,
)

Build = Callable[..., Any]
"""From TextAttack's module, a model wrapper and the recipe's options to a `textattack.Attack`."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """An attack by name, with what it needs.

    Attributes:
        name: TextAttack's name for its own recipes.
        summary: What it does, in one line.
        build: See `Build`. Options it takes are its keyword arguments.
        resources: Files it reads.
        packages: Importable packages it needs besides TextAttack.
        obstacle: Why it cannot run here at all; empty for most.
        changes_label: Whether success means another answer of the model. False for input
            reduction, which looks for the shortest text with the same answer.
        original: False for auditkit's counterparts.
        must_say: Options without which it cannot be built.
        options: Arguments for `build`.
    """

    name: str
    summary: str
    build: Build
    resources: tuple[Resource, ...] = ()
    packages: tuple[str, ...] = ()
    obstacle: str = ""
    changes_label: bool = True
    original: bool = True
    must_say: tuple[str, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)

    def built(self, wrapper: Any) -> Any:
        """The `textattack.Attack` on a model wrapper. Imports TextAttack.

        Raises:
            ConfigError: It does not take these options, or a file it reads is not usable.
            MissingExtraError: TextAttack is not installed.
        """
        from auditkit.attacks.library import load_textattack
        from auditkit.attacks.supplied import in_use

        textattack = load_textattack()
        with in_use(textattack):
            try:
                return self.build(textattack, wrapper, **self.options)
            except (TypeError, ValueError) as error:
                raise ConfigError(f"attack recipe {self.name!r}: {error}") from error


def find_recipe(name: str, options: Mapping[str, Any] | None = None) -> Recipe:
    """The recipe of this name; `options` are those of TextAttack's `build`.

    Raises:
        ConfigError: There is none; the hint names the nearest.
    """
    if name not in RECIPES:
        raise ConfigError(f"no attack recipe is called {name!r}.", nearest(name, RECIPES))
    recipe = replace(RECIPES[name], options=dict(options or {}))
    if recipe.options.get("perturbation_type", "homoglyphs") not in (None, "homoglyphs"):
        recipe = replace(recipe, resources=())  # only look-alikes are read from a file
    return recipe


def blocked(recipe: Recipe) -> tuple[str, ...]:
    """Why the recipe cannot run here even with all its files, in one clause each."""
    if recipe.obstacle:
        return (recipe.obstacle,)
    unsaid = [name for name in recipe.must_say if name not in recipe.options]
    absent = [name for name in recipe.packages if importlib.util.find_spec(name) is None]
    return (
        *(f"it needs the option {name}" for name in unsaid),
        *(f"the package {name} is not installed" for name in absent),
    )


def obstacles(recipe: Recipe) -> tuple[str, ...]:
    """Why the recipe cannot run here, in one clause each; empty when it can."""
    if recipe.obstacle:
        return blocked(recipe)
    missing = (resource.obstacle() for resource in recipe.resources)
    return (*filter(None, missing), *blocked(recipe))


def require(recipe: Recipe) -> None:
    """Refuse a recipe that cannot run here.

    Raises:
        ConfigError: The message says everything it lacks.
    """
    lacking = obstacles(recipe)
    if lacking:
        raise ConfigError(
            f"attack recipe {recipe.name!r}: {'; '.join(lacking)}.",
            "auditkit resources lists what each recipe needs and where it goes.",
        )


def _shipped(class_name: str) -> Build:
    """TextAttack's recipe of this class."""

    def build(textattack: Any, wrapper: Any, **options: Any) -> Any:
        return getattr(textattack.attack_recipes, class_name).build(wrapper, **options)

    return build


def _counterpart(function: str, **settings: Any) -> Build:
    """A composition in `auditkit.attacks.counterparts`."""

    def build(textattack: Any, wrapper: Any, **options: Any) -> Any:
        from auditkit.attacks import counterparts

        compose = getattr(counterparts, function)
        return compose(textattack, wrapper, **settings, **options)

    return build


_TEXT_OUTPUT = "it attacks models that answer with a text, not classifiers"
_PICKLED_TAGGER = "its flair tagger is a pickled file, which auditkit does not load"
_POS = (TAGGER, TAGSET)

_ALL = (
    Recipe(
        "deepwordbug",
        "swaps, replaces, deletes and inserts characters, most important words first",
        _shipped("DeepWordBugGao2018"),
        (STOP_WORDS,),
    ),
    Recipe(
        "pruthi",
        "one typing error: a swap, deletion, insertion or neighbouring key inside a word",
        _shipped("Pruthi2019"),
        (STOP_WORDS,),
    ),
    Recipe(
        "input-reduction",
        "removes words as long as the answer stays the same",
        _shipped("InputReductionFeng2018"),
        (STOP_WORDS,),
        changes_label=False,
    ),
    Recipe(
        "pwws",
        "WordNet synonyms, words ordered by saliency times gain",
        _shipped("PWWSRen2019"),
        (STOP_WORDS, WORDNET),
    ),
    Recipe(
        "leap",
        "WordNet synonyms by particle swarm with Lévy flights",
        _shipped("LEAP2023"),
        (STOP_WORDS, WORDNET),
    ),
    Recipe(
        "bad-characters",
        "invisible, deleted, reordered or look-alike characters; needs the options "
        "goal_function_type and perturbation_type",
        _shipped("BadCharacters2021"),
        (HOMOGLYPHS,),
        must_say=("goal_function_type",),
    ),
    Recipe(
        "textfooler",
        "nearest words in counter-fitted vectors, greedily, with sentence similarity",
        _shipped("TextFoolerJin2019"),
        (COUNTER_FITTED, *_POS, UNIVERSAL_ENCODER),
        ("tensorflow", "tensorflow_hub"),
    ),
    Recipe(
        "textbugger",
        "character errors, look-alike characters and nearest words",
        _shipped("TextBuggerLi2018"),
        (STOP_WORDS, HOMOGLYPHS, COUNTER_FITTED, UNIVERSAL_ENCODER),
        ("tensorflow", "tensorflow_hub"),
    ),
    Recipe(
        "bae",
        "words a masked language model proposes",
        _shipped("BAEGarg2019"),
        (STOP_WORDS, BERT, *_POS, UNIVERSAL_ENCODER),
        ("tensorflow", "tensorflow_hub"),
    ),
    Recipe(
        "bert-attack",
        "words a masked language model proposes, sub-word by sub-word",
        _shipped("BERTAttackLi2020"),
        (STOP_WORDS, BERT, UNIVERSAL_ENCODER),
        ("tensorflow", "tensorflow_hub"),
    ),
    Recipe(
        "clare",
        "replaces, inserts and merges words with a masked language model",
        _shipped("CLARE2020"),
        obstacle=_PICKLED_TAGGER,
    ),
    Recipe(
        "alzantot",
        "genetic search over nearest words that a language model accepts",
        _shipped("GeneticAlgorithmAlzantot2018"),
        (STOP_WORDS, COUNTER_FITTED, GOOGLE_LM),
        ("tensorflow",),
    ),
    Recipe(
        "iga",
        "improved genetic search over nearest words",
        _shipped("IGAWang2019"),
        (STOP_WORDS, COUNTER_FITTED),
    ),
    Recipe(
        "kuleshov",
        "greedy search over nearest words that GPT-2 accepts",
        _shipped("Kuleshov2017"),
        (STOP_WORDS, COUNTER_FITTED, GPT2),
    ),
    Recipe(
        "faster-alzantot",
        "genetic search over nearest words with a small language model",
        _shipped("FasterGeneticAlgorithmJia2019"),
        obstacle="its language model is a pickled file, which auditkit does not load",
    ),
    Recipe(
        "pso",
        "HowNet synonyms by particle swarm",
        _shipped("PSOZang2020"),
        obstacle="its synonyms and its tagger are pickled files, which auditkit does not load",
    ),
    Recipe(
        "checklist",
        "names, places, numbers and contractions exchanged",
        _shipped("CheckList2020"),
        obstacle=_PICKLED_TAGGER,
    ),
    Recipe(
        "french",
        "French synonyms, names and places",
        _shipped("FrenchRecipe"),
        obstacle=_PICKLED_TAGGER,
    ),
    Recipe(
        "spanish",
        "Spanish synonyms, names and places",
        _shipped("SpanishRecipe"),
        obstacle=_PICKLED_TAGGER,
    ),
    Recipe(
        "chinese",
        "Chinese synonyms, homophones and look-alikes",
        _shipped("ChineseRecipe"),
        obstacle="OpenHowNet, which it uses, downloads its data itself",
    ),
    Recipe(
        "a2t",
        "nearest words, most important first by gradient",
        _shipped("A2TYoo2021"),
        obstacle="it needs gradients, and auditkit asks a model for its answers only",
    ),
    Recipe(
        "hotflip",
        "characters by gradient",
        _shipped("HotFlipEbrahimi2017"),
        obstacle="it accepts only TextAttack's own LSTM",
    ),
    Recipe(
        "morpheus",
        "inflections of words",
        _shipped("MorpheusTan2020"),
        obstacle=_TEXT_OUTPUT,
    ),
    Recipe(
        "seq2sick",
        "nearest words, until no word of the answer is left",
        _shipped("Seq2SickCheng2018BlackBox"),
        obstacle=_TEXT_OUTPUT,
    ),
    Recipe(
        "textfooler-wordnet",
        "TextFooler's search and stop words over WordNet synonyms; neither its vectors, its "
        "tagger nor its sentence encoder",
        _counterpart("textfooler", synonyms="wordnet"),
        (WORDNET,),
        original=False,
    ),
    Recipe(
        "textfooler-vectors",
        "TextFooler's search, stop words and word distance over your word vectors; neither its "
        "tagger nor its sentence encoder",
        _counterpart("textfooler", synonyms="vectors"),
        (VECTORS,),
        original=False,
    ),
    Recipe(
        "textfooler-vectors-encoder",
        "as textfooler-vectors, with your sentence encoder in place of Google's",
        _counterpart("textfooler", synonyms="vectors", encoder=True),
        (VECTORS, SENTENCE_ENCODER),
        original=False,
    ),
    Recipe(
        "alzantot-wordnet",
        "Alzantot's genetic search over WordNet synonyms; neither its vectors nor its language "
        "model",
        _counterpart("alzantot_wordnet"),
        (STOP_WORDS, WORDNET),
        original=False,
    ),
    Recipe(
        "bae-local-mlm",
        "BAE with your masked language model; neither its tagger nor its sentence encoder",
        _counterpart("bae"),
        (STOP_WORDS, MASKED_LM),
        original=False,
    ),
    Recipe(
        "clare-local-mlm",
        "CLARE's replacements and insertions with your masked language model; neither its merges, "
        "which need a tagger, nor its sentence encoder",
        _counterpart("clare"),
        (STOP_WORDS, MASKED_LM),
        original=False,
    ),
)

RECIPES: dict[str, Recipe] = {recipe.name: recipe for recipe in _ALL}
"""Every recipe by name."""
