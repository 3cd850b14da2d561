"""The baseline of every search: the same changes, chosen by chance."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from auditkit.attacks.recipes import Recipe


class Allowance(NamedTuple):
    """What chance may spend on one example."""

    queries: int
    """Texts it may ask about, the original included."""
    words: int | None
    """Words it may change at once; None for as many as the constraints allow."""


def at_random(recipe: Recipe, allowances: Mapping[str, Allowance]) -> Recipe:
    """The recipe's goal, transformation and constraints, without its search.

    From the original text, words are changed one after the other: which one, and to which of its
    candidates, is drawn with equal chances, and every text on the way is asked about. When no more
    words may be changed it starts again from the original, until the queries are spent.

    Args:
        recipe: What to take the parts from.
        allowances: By original text; a text without one is not changed.
    """

    def build(textattack: Any, wrapper: Any, **options: Any) -> Any:
        attack = recipe.build(textattack, wrapper, **options)
        return textattack.Attack(
            attack.goal_function,
            [*attack.constraints, *attack.pre_transformation_constraints],
            attack.transformation,
            _chance(textattack)(dict(allowances)),
        )

    return replace(recipe, name=f"{recipe.name} at random", build=build, original=False)


def _chance(textattack: Any) -> Any:
    import numpy as np

    class Chance(textattack.search_methods.SearchMethod):  # type: ignore[misc]
        """Random walks from the original text."""

        is_black_box = True

        def __init__(self, allowances: dict[str, Allowance]) -> None:
            self.allowances = allowances

        def perform_search(self, initial_result: Any) -> Any:
            """The first text on the walks that reaches the goal; else the original."""
            original = initial_result.attacked_text
            allowed = self.allowances.get(original.text, Allowance(1, None))
            texts: list[Any] = []
            while len(texts) < allowed.queries - 1 and (walk := self._walk(original, allowed)):
                texts += walk
            results, _ = self.get_goal_results(texts[: allowed.queries - 1])
            reached = textattack.goal_function_results.GoalFunctionResultStatus.SUCCEEDED
            return next((r for r in results if r.goal_status == reached), initial_result)

        def _walk(self, original: Any, allowed: Allowance) -> list[Any]:
            walk: list[Any] = []
            longest = allowed.queries if allowed.words is None else allowed.words
            text = original
            while len(walk) < longest and (text := self._step(text, original)) is not None:
                walk.append(text)
            return walk

        def _step(self, text: Any, original: Any) -> Any:
            _, places = self.get_indices_to_order(text)
            for place in np.random.permutation(np.array(sorted(places), dtype=int)).tolist():
                candidates = self.get_transformations(
                    text, original_text=original, indices_to_modify=[place]
                )
                if candidates:
                    return candidates[np.random.randint(len(candidates))]
            return None

    return Chance
