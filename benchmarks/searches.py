"""Two attacks that search otherwise than TextAttack's recipes, to compare outcomes on."""

from __future__ import annotations

from typing import Any


def beam(textattack: Any, wrapper: Any, words: int = 3) -> Any:
    """Swapped and missing letters in at most so many words, by beam search."""
    before, parts = textattack.constraints.pre_transformation, textattack.transformations
    limit = before.MaxNumWordsModified(words)
    return textattack.Attack(
        textattack.goal_functions.UntargetedClassification(wrapper),
        [before.RepeatModification(), before.StopwordModification(), limit],
        parts.CompositeTransformation(
            [parts.WordSwapNeighboringCharacterSwap(), parts.WordSwapRandomCharacterDeletion()]
        ),
        textattack.search_methods.BeamSearch(beam_width=3),
    )


def genetic(textattack: Any, wrapper: Any, population: int = 10, generations: int = 5) -> Any:
    """Other letters, by a genetic search."""
    before, parts = textattack.constraints.pre_transformation, textattack.transformations
    return textattack.Attack(
        textattack.goal_functions.UntargetedClassification(wrapper),
        [before.RepeatModification(), before.StopwordModification()],
        parts.WordSwapRandomCharacterSubstitution(random_one=True),
        textattack.search_methods.AlzantotGeneticAlgorithm(
            pop_size=population, max_iters=generations, post_crossover_check=False
        ),
    )
