"""Turns the values of a label column into class indices, and never guesses silently."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from auditkit.errors import ConfigError, DataError, nearest
from auditkit.sources.table import Column, shown_rows

_INTEGER = re.compile(r"\+?(\d{1,9})(?:\.0+)?")


class Labels(NamedTuple):
    """Class indices of n rows, shape (n,), and how the label values were read, in a sentence."""

    codes: NDArray[np.int64]
    note: str


def read_labels(
    where: str,
    values: Column,
    class_names: Sequence[str],
    label_map: Mapping[str, str],
    missing: Sequence[str],
) -> Labels:
    """Class index of each label.

    Values are matched by `label_map`, then as exact class names, then as class names in another
    case; or, if none of them is a class name and all are integers 0..k-1, as class indices.

    Args:
        where: File and column, for messages.
        values: The label column.
        class_names: The model's class names, in index order.
        label_map: Label value -> class name.
        missing: Values that mean "not known".

    Raises:
        DataError: Rows without a label, or labels that match no class.
        ConfigError: `label_map` names an unknown class.
    """
    unlabelled = [row for row, value in enumerate(values) if value is None or value in missing]
    if unlabelled:
        raise DataError(
            f"{where} is missing in {len(unlabelled)} of {len(values)} rows: "
            f"{shown_rows(unlabelled)}.",
            "Leave out the rows without a true label.",
        )
    for value, name in label_map.items():
        if name not in class_names:
            raise ConfigError(
                f"data.label_map: {value!r} is mapped to {name!r}, which is no class of the model.",
                nearest(name, class_names),
            )
    distinct = sorted({value for value in values if value is not None})
    index, note = _match(distinct, class_names, label_map)
    unmatched = [value for value in distinct if value not in index]
    if unmatched:
        raise _unmatched(where, unmatched, class_names)
    codes = np.array([index[value] for value in values if value is not None], dtype=np.int64)
    return Labels(codes, note)


def _match(
    distinct: Sequence[str], class_names: Sequence[str], label_map: Mapping[str, str]
) -> tuple[dict[str, int], str]:
    position = {name: i for i, name in enumerate(class_names)}
    mapped = {v: position[label_map[v]] for v in distinct if v in label_map}
    exact = {v: position[v] for v in distinct if v not in mapped and v in position}
    rest = [v for v in distinct if v not in mapped and v not in exact]
    if not rest:
        return mapped | exact, _exact_note(mapped, class_names)
    if not exact:
        integers = {v: int(found[1]) for v in rest if (found := _INTEGER.fullmatch(v))}
        if len(integers) == len(rest) and max(integers.values()) < len(class_names):
            return mapped | integers, _shown(
                "Labels are taken as class numbers", integers, class_names
            )
    folded = _unambiguous(class_names)
    inexact = {v: folded[v.strip().casefold()] for v in rest if v.strip().casefold() in folded}
    note = _shown("Labels differ from class names in case or space", inexact, class_names)
    return mapped | exact | inexact, note


def _unambiguous(class_names: Sequence[str]) -> dict[str, int]:
    """Index by name without case, where that still names one class."""
    names = [name.strip().casefold() for name in class_names]
    return {name: i for i, name in enumerate(names) if names.count(name) == 1}


def _exact_note(mapped: Mapping[str, int], class_names: Sequence[str]) -> str:
    if mapped:
        return _shown("Labels are read as configured", mapped, class_names)
    return "Labels are the model's class names."


def _shown(how: str, index: Mapping[str, int], class_names: Sequence[str]) -> str:
    pairs = [f"{value!r} = {class_names[i]!r}" for value, i in list(index.items())[:12]]
    return f"{how}: {', '.join(pairs)}{', …' if len(index) > 12 else ''}."


def _unmatched(where: str, unmatched: Sequence[str], class_names: Sequence[str]) -> DataError:
    shown = ", ".join(repr(value[:80]) for value in unmatched[:12])
    more = f" and {len(unmatched) - 12} more" if len(unmatched) > 12 else ""
    classes = ", ".join(repr(name) for name in class_names[:30])
    example = "{" + f"{unmatched[0][:40]!r} = {class_names[0]!r}" + "}"
    return DataError(
        f"{where}: the labels {shown}{more} match no class of the model ({classes}).",
        f"Say which class each label is: data.label_map = {example.replace(chr(39), chr(34))}.",
    )
