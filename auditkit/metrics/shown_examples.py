"""Which explained examples a report shows, by a rule that leaves nobody a choice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from auditkit.attribution import Attribution, words_of
from auditkit.data import Attribute
from auditkit.finding import ScoredText, Scores


class Chosen(NamedTuple):
    """An example that is shown, by its position, and why it is, as the report says it."""

    position: int
    why: str


@dataclass(frozen=True, slots=True)
class Shown:
    """What a report shows of examples, whichever of them it shows.

    Attributes:
        said: What the model says of each.
        labels: Name of the class that is explained, for each.
        most: Texts shown at most.
    """

    said: tuple[str, ...]
    labels: tuple[str, ...]
    most: int


def examples_to_show(
    scores: NDArray[np.float64],
    right: NDArray[np.bool_] | None,
    groups: Mapping[str, Attribute] | None,
    show: int,
) -> list[Chosen]:
    """The surest errors, the median, and an example of each group that has none among them.

    Errors take half the places, the median one, groups the rest, the largest first; a group's
    example is its surest error, or its surest answer where all are right. Places that stay empty go
    to further errors, then to the surest answers. Without labels the least sure answers stand for
    the errors, in half the places. Equal scores are taken in the order they stand in, so that the
    same examples give the same choice.

    Args:
        scores: Probability of each answer, shape (n,).
        right: Whether it is right, shape (n,); None without labels.
        groups: Sensitive attributes of the same n examples.
        show: Most examples.

    Returns:
        At most `show` of them, none twice, in the order of the rule.
    """
    n = len(scores)
    if n == 0 or show < 1:
        return []
    surest = np.argsort(-scores, kind="stable")
    if right is None:
        doubtful, name = surest[::-1], "least sure answer"
    else:
        doubtful, name = surest[~right[surest]], "surest error"
    chosen: dict[int, str] = {}
    _take(chosen, doubtful, name, -(-show // 2))
    middle = int(surest[(n - 1) // 2])
    if len(chosen) < show:
        chosen.setdefault(middle, "median of the answers by their probability")
    for position, why in _of_groups(groups or {}, surest, right, chosen):
        if len(chosen) >= show:
            break
        chosen[position] = why
    _take(chosen, doubtful if right is not None else doubtful[:0], name, show)
    _take(chosen, surest, "surest answer", show)
    return [Chosen(position, why) for position, why in chosen.items()]


def scores_of(attribution: Attribution, class_name: str) -> Scores:
    """What an attribution says of each word of its text, for a heat map."""
    spans = words_of(attribution.text) if attribution.features else ()
    weights = attribution.of_words(spans).tolist() if spans else []
    return Scores(attribution.method, class_name, spans, tuple(weights), attribution.note)


def heat_map(said: str, attributions: Sequence[Attribution], class_name: str) -> ScoredText:
    """One text with what each method says of it.

    Args:
        said: What the report says above it: answer, truth, and why it is shown.
        attributions: One of each method, at least one, all of the same text and class.
        class_name: Name of the class whose score is explained.
    """
    text = attributions[0].text
    return ScoredText(text, said, tuple(scores_of(one, class_name) for one in attributions))


def _take(chosen: dict[int, str], order: NDArray[np.int64], name: str, most: int) -> None:
    """Add positions in this order until so many are chosen."""
    for place, position in enumerate(order.tolist(), start=1):
        if len(chosen) >= most:
            return
        chosen.setdefault(position, name if place == 1 else f"{name}, number {place}")


def _of_groups(
    groups: Mapping[str, Attribute],
    surest: NDArray[np.int64],
    right: NDArray[np.bool_] | None,
    chosen: Mapping[int, str],
) -> list[tuple[int, str]]:
    """One example of each group that has none among the chosen, largest groups first."""
    found, taken = [], set(chosen)
    sized = [
        (-int(size), name, level)
        for name, attribute in groups.items()
        for level, size in enumerate(attribute.sizes().tolist())
        if size
    ]
    for _, name, level in sorted(sized):
        attribute = groups[name]
        if any(attribute.codes[position] == level for position in taken):
            continue
        rows = surest[attribute.codes[surest] == level]
        wrong = rows[:0] if right is None else rows[~right[rows]]
        kind = "surest error" if len(wrong) else "surest answer"
        position = int((wrong if len(wrong) else rows)[0])
        taken.add(position)
        found.append((position, f"{kind} with {name} = {attribute.levels[level]}"))
    return found
