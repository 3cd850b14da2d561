"""Sets out of distribution that are made from the audited rows."""

from __future__ import annotations

import hashlib
import importlib.util
import math
import re
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from auditkit.content import content_digest, content_key
from auditkit.data import AuditData
from auditkit.errors import ConfigError, DataError, nearest

Rows = NDArray[np.int64]
SHARE = 0.2
"""Share of the rows that length or a topic takes by default."""
_TOPIC_WORDS = 5
_FACTORS = 50


class Chosen(NamedTuple):
    """Rows of a set, and how they were chosen, in a sentence."""

    rows: Rows
    said: str


def longest(texts: Sequence[str], share: float) -> Chosen:
    """The longest texts, by characters; all that are as long as the shortest of them.

    Raises:
        DataError: So many texts are equally long that these would be all.
    """
    lengths = np.array([len(text) for text in texts], dtype=np.int64)
    cut = np.sort(lengths)[-max(1, math.ceil(share * len(lengths)))]
    rows = np.flatnonzero(lengths >= cut)
    if len(rows) == len(lengths):
        raise DataError(f"a share of {share:g} of the longest texts is all of them.")
    return Chosen(rows, f"{len(rows):,} texts of {cut:,} characters or more")


def with_words(texts: Sequence[str], words: Sequence[str]) -> Chosen:
    """Texts in which one of the words occurs, as a whole word in any case."""
    either = "|".join(re.escape(_folded(word)) for word in words)
    pattern = re.compile(rf"(?<!\w)(?:{either})(?!\w)")
    rows = [row for row, text in enumerate(texts) if pattern.search(_folded(text))]
    shown = ", ".join(map(repr, words))
    return Chosen(np.array(rows, dtype=np.int64), f"{len(rows):,} texts with {shown}")


def one_topic(texts: Sequence[str], share: float, seed: int) -> Chosen:
    """A cluster of the texts by their words, of about this share.

    Latent semantic analysis (Deerwester et al. 1990) of tf-idf weights, then k-means; of as many
    clusters as the share asks for, the one nearest to it in size.

    Raises:
        DataError: The texts have too few words in common.
    """
    from sklearn.cluster import KMeans
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.preprocessing import normalize

    counter = TfidfVectorizer(min_df=3, max_df=0.5, sublinear_tf=True)
    clusters = max(2, round(1 / share))
    try:
        weights = counter.fit_transform(texts)
    except ValueError:
        weights = np.zeros((len(texts), 0))
    factors = min(_FACTORS, weights.shape[1] - 1, len(texts) - 1)
    if factors < 2 or len(texts) < clusters:
        raise DataError(
            "the texts have too few words in common to find topics.",
            "Name the words of the topic to hold out.",
        )
    reduced = normalize(TruncatedSVD(factors, random_state=seed).fit_transform(weights))
    found = KMeans(clusters, n_init=4, random_state=seed).fit_predict(reduced)
    sizes = np.bincount(found, minlength=clusters)
    chosen = int(np.argmin(np.abs(sizes - share * len(texts))))
    rows = np.flatnonzero(found == chosen)
    excess = np.asarray(weights[rows].mean(axis=0) - weights.mean(axis=0)).ravel()
    names = counter.get_feature_names_out()[np.argsort(-excess)[:_TOPIC_WORDS]]
    return Chosen(rows, f"{len(rows):,} texts of one topic ({', '.join(names)})")


def set_aside(data: AuditData, rows: Rows, seed: int) -> Rows:
    """About half of some rows; which, depends on their content and the seed only.

    Rows of one cluster, and copies of one text, stay together.
    """
    salt = f"{seed}:ood:".encode()

    def key(row: int) -> bytes:
        if data.clusters is not None:
            return str(data.clusters[row]).encode()
        return content_digest(content_key(data.inputs[row]))

    return np.array(
        [row for row in rows.tolist() if hashlib.sha256(salt + key(row)).digest()[0] % 2],
        dtype=np.int64,
    )


def with_class_shares(
    data: AuditData, pool: Rows, shares: Mapping[str, float], seed: int
) -> Chosen:
    """As many rows of the pool as have the given class shares, drawn without replacement.

    Raises:
        DataError: The rows have no labels, or there are too few of a class.
        ConfigError: A share is of no class.
    """
    if data.labels is None:
        raise DataError("label-prior needs the true labels of the rows.", "Set data.label.")
    for name in shares:
        if name not in data.class_names:
            raise ConfigError(
                f"shares: {name!r} is no class of the model.", nearest(name, data.class_names)
            )
    wanted = np.array([shares.get(name, 0.0) for name in data.class_names])
    there = [pool[data.labels[pool] == label] for label in range(len(wanted))]
    total = min(
        (math.floor(len(own) / share) for own, share in zip(there, wanted, strict=True) if share),
        default=0,
    )
    rng = np.random.default_rng(seed)
    drawn = [
        rng.permutation(own)[: round(share * total)]
        for own, share in zip(there, wanted, strict=True)
    ]
    rows = np.sort(np.concatenate(drawn)).astype(np.int64)
    shown = ", ".join(f"{name} {share:.0%}" for name, share in shares.items())
    return Chosen(rows, f"{len(rows):,} of {len(pool):,} rows set aside, drawn to {shown}")


def changed_by(file: Path, texts: Sequence[str], labels: list[str] | None, seed: int) -> list[str]:
    """What the function `shift` of a file makes of some texts. The file's code is run.

    Raises:
        ConfigError: The file cannot be loaded or has no such function.
        DataError: The function fails, or returns other than as many texts.
    """
    function = _function(file)
    try:
        changed = function(list(texts), labels, seed)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a user's code
        raise DataError(f"{file.name}: shift failed: {type(error).__name__}: {error}") from None
    if not isinstance(changed, Sequence) or isinstance(changed, str):
        raise DataError(f"{file.name}: shift returned no list of texts.")
    if len(changed) != len(texts) or not all(isinstance(one, str) for one in changed):
        raise DataError(
            f"{file.name}: shift was given {len(texts)} texts and returned {len(changed)} values "
            "that are not all texts, or not as many."
        )
    return list(changed)


def _function(file: Path) -> Any:
    if not file.is_file():
        raise ConfigError(f"shift_file: {file}: no such file.")
    spec = importlib.util.spec_from_file_location("auditkit_shift", file)
    if spec is None or spec.loader is None:
        raise ConfigError(f"shift_file: {file} is no Python file.")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a user's code
        raise ConfigError(
            f"shift_file: {file} cannot be loaded: {type(error).__name__}: {error}"
        ) from None
    if not callable(getattr(module, "shift", None)):
        raise ConfigError(f"shift_file: {file} has no function shift(texts, labels, seed).")
    return module.shift


def _folded(text: str) -> str:
    return unicodedata.normalize("NFC", text).casefold()
