"""Adversarial attacks: TextAttack's recipes, unmodified, with many examples in flight.

    settings = AttackSettings(budget=500)
    for outcome in attack(texts, labels, predictor.predict, "deepwordbug", settings):
        ...

`attack` needs no check and no audit: any function that answers a list of texts will do. TextAttack
is imported when the first example is attacked, not before.
"""

from auditkit.attacks.antonyms import antonyms
from auditkit.attacks.chance import Allowance, at_random
from auditkit.attacks.encoder import meaning_similarity
from auditkit.attacks.hub import AttackSettings, attack
from auditkit.attacks.language_model import perplexity_of
from auditkit.attacks.outcome import AttackOutcome, Status, example_id
from auditkit.attacks.recipes import RECIPES, Recipe, blocked, find_recipe, obstacles

__all__ = [
    "RECIPES",
    "Allowance",
    "AttackOutcome",
    "AttackSettings",
    "Recipe",
    "Status",
    "antonyms",
    "at_random",
    "attack",
    "blocked",
    "example_id",
    "find_recipe",
    "meaning_similarity",
    "obstacles",
    "perplexity_of",
]
