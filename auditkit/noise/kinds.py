"""The noises by name."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from auditkit.noise import layout, lookalikes, slips, wording
from auditkit.noise.words import STRENGTHS, Strength

Write = Callable[[str, Strength, Random], str]


@dataclass(frozen=True, slots=True)
class Noise:
    """One kind of everyday noise.

    Attributes:
        name: For parameters and reports, in kebab case.
        means: What it does, in a line.
        write: The noise itself; the same text when it finds nothing to change.
        strengths: How strong it can be.
    """

    name: str
    means: str
    write: Write
    strengths: tuple[Strength, ...] = STRENGTHS


NOISES: dict[str, Noise] = {
    noise.name: noise
    for noise in (
        Noise("keyboard", "a letter beside the right one on the keyboard", slips.keyboard),
        Noise("letter-swap", "two neighbouring letters change places", slips.letter_swap),
        Noise("letter-drop", "a letter is left out", slips.letter_drop),
        Noise("repeated-letter", "a letter twice, or held down", slips.repeated_letter),
        Noise("ocr", "letters as a scanner misreads them", slips.misread),
        Noise("case", "other capitals: none, sentence, or all caps", layout.case),
        Noise("punctuation", "final stop off or on, or no marks at all", layout.punctuation),
        Noise("whitespace", "wider gaps, tabs, line breaks, no-break spaces", layout.whitespace),
        Noise("contraction", "do not and don't exchanged", wording.contraction),
        Noise("spelling-variant", "British and American spelling", wording.spelling),
        Noise("homoglyph", "Cyrillic letters that look Latin", lookalikes.homoglyph),
        Noise("zero-width", "a character of no width between letters", lookalikes.zero_width),
        Noise("address", "a made-up handle in front or URL at the end", wording.address),
    )
}
"""Every noise by name, in the order of the report."""


def noisy(noise: Noise, strength: Strength, text: str, seed: int) -> str:
    """The text with noise on it; the text itself when the noise finds nothing to change.

    What is drawn depends on the seed, the noise, the strength and this text only, so that neither
    the order of the rows nor what else is asked matters.
    """
    said = f"{seed}\0{noise.name}\0{strength}\0{text}".encode("utf-8", "surrogatepass")
    entropy = int.from_bytes(hashlib.sha256(said).digest()[:8], "little")
    return noise.write(text, strength, Random(entropy))  # noqa: S311 - reproducible, not secret
