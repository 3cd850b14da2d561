"""The data a model is audited on."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from auditkit.attribution import Span

MISSING = -1
"""Code of a row whose group is not known."""


def unit_id(text: str) -> str:
    """What a text is called in `Measurement.units`: 16 hex digits of the predictor's own digest."""
    body = text.encode("utf-8", "surrogatepass")
    return hashlib.sha256(b"str:%d:" % len(body) + body).hexdigest()[:16]


@dataclass(frozen=True, slots=True, eq=False)
class Attribute:
    """A sensitive attribute of n rows.

    Attributes:
        name: Column name, or names joined by " × " for an intersection.
        levels: Names of the groups, sorted.
        codes: Shape (n,): index into `levels`, or `MISSING`.
        parts: The attributes an intersection is of; empty for a single attribute.
        part_codes: Shape (len(levels), len(parts)): index of each level in the parts' levels.
    """

    name: str
    levels: tuple[str, ...]
    codes: NDArray[np.int64]
    parts: tuple[Attribute, ...] = ()
    part_codes: NDArray[np.int64] | None = None

    @classmethod
    def from_values(cls, name: str, values: Sequence[str | None]) -> Attribute:
        """An attribute from one value per row; None is a missing group."""
        levels = tuple(sorted({value for value in values if value is not None}))
        index = {level: code for code, level in enumerate(levels)}
        codes = np.array([MISSING if v is None else index[v] for v in values], dtype=np.int64)
        return cls(name, levels, codes)

    def values(self) -> list[str | None]:
        """The group of each row; None where it is not known."""
        return [None if code == MISSING else self.levels[code] for code in self.codes.tolist()]

    @property
    def missing(self) -> int:
        """Rows whose group is not known."""
        return int((self.codes == MISSING).sum())

    def sizes(self) -> NDArray[np.int64]:
        """Rows of each level, shape (len(levels),)."""
        known = self.codes[self.codes != MISSING]
        return np.bincount(known, minlength=len(self.levels)).astype(np.int64)

    def cross(self, other: Attribute) -> Attribute:
        """The intersection of two attributes; only combinations that occur become levels."""
        known = (self.codes != MISSING) & (other.codes != MISSING)
        pairs = self.codes * len(other.levels) + other.codes
        present = np.unique(pairs[known])
        levels = tuple(
            f"{self.levels[p // len(other.levels)]} × {other.levels[p % len(other.levels)]}"
            for p in present
        )
        codes = np.where(known, np.searchsorted(present, pairs), MISSING).astype(np.int64)
        part_codes = np.stack(np.divmod(present, max(len(other.levels), 1)), axis=1)
        return Attribute(
            f"{self.name} × {other.name}", levels, codes, (self, other), part_codes.astype(np.int64)
        )

    def could_be(self, level: int) -> NDArray[np.bool_]:
        """Rows of unknown group that may be of this one, shape (n,).

        A row of an intersection of which one part is known may be of the groups with that part.
        """
        possible: NDArray[np.bool_] = self.codes == MISSING
        if self.part_codes is not None:
            for part, code in zip(self.parts, self.part_codes[level].tolist(), strict=True):
                possible = possible & ((part.codes == code) | part.could_be(code))
        return possible

    def rows(self, index: NDArray[Any]) -> Attribute:
        """The attribute of some rows. Levels that no longer occur stay."""
        parts = tuple(part.rows(index) for part in self.parts)
        return replace(self, codes=self.codes[index], parts=parts)


@dataclass(frozen=True, slots=True, eq=False)
class AuditData:
    """n rows to audit a model on.

    Attributes:
        inputs: What the model is asked about (texts; row numbers for recorded predictions;
            pairs of text and group for thresholds by group).
        labels: True class of each row, shape (n,), index into the model's class names; None
            when the data has none.
        class_names: Names of the classes.
        positive: Index of the class that counts as the favourable or detected one; None when
            every class is looked at in turn (one versus rest).
        groups: Sensitive attributes by name.
        factors: Other columns within whose values groups may be compared (seniority), by name.
        splits: Row numbers of each named split.
        clusters: Shape (n,): rows with one number belong together (one person, one document);
            None when every row is independent.
        pairs: Id that ties each row to its contrasts (the same text, changed on purpose), None for
            a row without; None when the data has no such ids.
        rationales: Characters of each row's text that people marked as the reason for its label,
            spans in order that do not touch: empty where they marked nothing, None where nobody
            was asked; None when the data has none at all.
    """

    inputs: tuple[Any, ...]
    labels: NDArray[np.int64] | None
    class_names: tuple[str, ...]
    positive: int | None = None
    groups: Mapping[str, Attribute] = field(default_factory=dict)
    splits: Mapping[str, NDArray[np.int64]] = field(default_factory=dict)
    clusters: NDArray[np.int64] | None = None
    factors: Mapping[str, Attribute] = field(default_factory=dict)
    pairs: tuple[str | None, ...] | None = None
    rationales: tuple[tuple[Span, ...] | None, ...] | None = None

    def __len__(self) -> int:
        return len(self.inputs)

    def rows(self, index: NDArray[np.int64]) -> AuditData:
        """The data of some rows, without splits. Group levels that no longer occur stay."""
        return replace(
            self,
            inputs=tuple(self.inputs[i] for i in index),
            labels=None if self.labels is None else self.labels[index],
            groups={name: one.rows(index) for name, one in self.groups.items()},
            splits={},
            clusters=None if self.clusters is None else self.clusters[index],
            factors={name: one.rows(index) for name, one in self.factors.items()},
            pairs=None if self.pairs is None else tuple(self.pairs[i] for i in index),
            rationales=None
            if self.rationales is None
            else tuple(self.rationales[i] for i in index),
        )

    def viewed_classes(self) -> tuple[int, ...]:
        """Classes a one-versus-rest metric looks at: the positive one, or all of them."""
        return (
            (self.positive,) if self.positive is not None else tuple(range(len(self.class_names)))
        )

    def strata(self) -> NDArray[np.int64]:
        """One number per row, shape (n,); rows of one class and the same groups share it."""
        columns = [attribute.codes for attribute in self.groups.values()]
        if self.labels is not None:
            columns.append(self.labels)
        if not columns:
            return np.zeros(len(self), dtype=np.int64)
        _, inverse = np.unique(np.column_stack(columns), axis=0, return_inverse=True)
        return inverse.reshape(-1).astype(np.int64)

    @property
    def digest(self) -> str:
        """SHA-256 over everything above, in row order."""
        hasher = hashlib.sha256()

        def add(part: object) -> None:
            text = part.tobytes() if isinstance(part, np.ndarray) else repr(part).encode()
            hasher.update(len(text).to_bytes(8, "little"))
            hasher.update(text)

        for part in (self.inputs, self.labels, self.class_names, self.positive, self.clusters):
            add(part)
        for name in sorted(self.groups):
            add(name)
            add(self.groups[name].levels)
            add(self.groups[name].codes)
        for name in sorted(self.splits):
            add(name)
            add(self.splits[name])
        for name in sorted(self.factors):
            add(("factor", name))
            add(self.factors[name].levels)
            add(self.factors[name].codes)
        if self.pairs is not None:
            add(("pairs", self.pairs))
        if self.rationales is not None:
            add(("rationales", self.rationales))
        return hasher.hexdigest()


@dataclass(frozen=True, slots=True, eq=False)
class Shift:
    """A named set of rows that are out of distribution.

    Attributes:
        data: Its rows. Where the audited rows have clusters, so have these, numbered together.
        origin: Audited row that each of them is, or was made from, shape (len(data),); -1 for a
            row of a file of its own.
        taken: Audited rows that are no longer in distribution, ascending: those of the set, and
            those that were set aside to make it.
        said: How it was made, in a sentence.
    """

    data: AuditData
    origin: NDArray[np.int64]
    taken: NDArray[np.int64]
    said: str

    @property
    def digest(self) -> str:
        """SHA-256 over the rows and what they were taken from."""
        parts = (self.data.digest.encode(), self.origin.tobytes(), self.taken.tobytes())
        return hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()


def in_distribution(rows: int, shifts: Mapping[str, Shift]) -> NDArray[np.int64]:
    """Of so many audited rows those that no set has taken, ascending."""
    left = np.ones(rows, dtype=bool)
    for shift in shifts.values():
        left[shift.taken] = False
    return np.flatnonzero(left)
