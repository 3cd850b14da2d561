"""A copy of a TextAttack attack that shares nothing an example could change."""

from __future__ import annotations

from types import MethodType
from typing import Any


def own_copy(attack: Any) -> Any:
    """A copy of the attack with its own components, caches and counters.

    Components (goal function, search, transformations, constraints), containers and caches are
    copied, and methods bound to a component are bound to its copy. What the components use (a
    masked language model, word vectors, a tokenizer) is shared: it answers, and remembers nothing
    that could change an answer.
    """
    import lru
    from textattack import Attack
    from textattack.constraints import Constraint, PreTransformationConstraint
    from textattack.goal_functions import GoalFunction
    from textattack.search_methods import SearchMethod
    from textattack.transformations import Transformation

    parts = (
        Attack,
        Constraint,
        PreTransformationConstraint,
        GoalFunction,
        SearchMethod,
        Transformation,
    )
    copies: dict[int, Any] = {}

    def copied(value: Any) -> Any:
        if id(value) in copies:
            return copies[id(value)]
        if isinstance(value, parts):
            twin = copies[id(value)] = object.__new__(type(value))
            vars(twin).update({name: copied(held) for name, held in vars(value).items()})
            return twin
        if isinstance(value, MethodType) and isinstance(value.__self__, parts):
            return MethodType(value.__func__, copied(value.__self__))
        return _container(value)

    def _container(value: Any) -> Any:
        if isinstance(value, lru.LRU):
            return lru.LRU(value.get_size())
        if type(value) in (list, tuple, set):
            return type(value)(map(copied, value))
        if type(value) is dict:
            return {name: copied(held) for name, held in value.items()}
        return value

    return copied(attack)
