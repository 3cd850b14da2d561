"""Everyday noise in texts, as pure functions: text, strength and random numbers in, text out.

Every noise keeps what a reader understands. Addresses (URLs, e-mail addresses, @handles, #tags) are
left as they are, letters are changed in alphabetic scripts only, and a text in which a noise finds
nothing to change comes back as it was: the caller has to look.
"""

from auditkit.noise.kinds import NOISES, Noise, noisy
from auditkit.noise.words import STRENGTHS, Strength

__all__ = ["NOISES", "STRENGTHS", "Noise", "Strength", "noisy"]
