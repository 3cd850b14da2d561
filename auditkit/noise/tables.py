"""Which characters and words noise exchanges, written down or derived here."""

from __future__ import annotations

from itertools import product

_ROWS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")


def _neighbours() -> dict[str, str]:
    """Letters whose keys touch on a QWERTY keyboard, where each row stands half a key further in.

    The key `i` of a row touches `i` and `i + 1` of the row above, `i - 1` and `i` of that below.
    """
    at = {letter: (row, i) for row, keys in enumerate(_ROWS) for i, letter in enumerate(keys)}
    touching = {(0, -1), (0, 1), (-1, 0), (-1, 1), (1, -1), (1, 0)}
    return {
        letter: "".join(
            other for other, (r, j) in at.items() if (r - row, j - i) in touching
        )
        for letter, (row, i) in at.items()
    }  # fmt: skip


NEIGHBOURS = _neighbours()
"""Lower-case letters beside each on a QWERTY keyboard."""

MISREAD: dict[str, tuple[str, ...]] = {
    "l": ("1", "I", "i"),
    "I": ("l", "1"),
    "i": ("l", "j"),
    "o": ("0",),
    "O": ("0", "D", "Q"),
    "D": ("O",),
    "S": ("5",),
    "s": ("5",),
    "B": ("8",),
    "Z": ("2",),
    "z": ("2",),
    "G": ("6", "C"),
    "C": ("G",),
    "g": ("9", "q"),
    "q": ("g", "9"),
    "e": ("c",),
    "c": ("e",),
    "h": ("b",),
    "b": ("h", "6"),
    "t": ("f",),
    "f": ("t",),
    "E": ("F",),
    "T": ("I",),
    "u": ("ii", "v"),
    "v": ("y",),
    "n": ("ri",),
    "m": ("rn",),
    "w": ("vv",),
    "d": ("cl",),
    "rn": ("m",),
    "ri": ("n",),
    "cl": ("d",),
    "vv": ("w",),
    "nn": ("rm",),
    "ii": ("u",),
}
"""What a scanner takes a letter, or two, for."""

HOMOGLYPHS = {
    latin: chr(cyrillic)
    for latin, cyrillic in {
        "a": 0x430, "c": 0x441, "e": 0x435, "i": 0x456, "j": 0x458, "o": 0x43E, "p": 0x440,
        "s": 0x455, "x": 0x445, "y": 0x443, "A": 0x410, "B": 0x412, "C": 0x421, "E": 0x415,
        "H": 0x41D, "I": 0x406, "J": 0x408, "K": 0x41A, "M": 0x41C, "O": 0x41E, "P": 0x420,
        "S": 0x405, "T": 0x422, "X": 0x425,
    }.items()
}  # fmt: skip
"""Latin letters and the Cyrillic letters that most fonts draw the same."""

ZERO_WIDTH = ("\u00ad", "\u200b", "\u200c", "\u200d", "\u2060", "\ufeff")
"""Soft hyphen, zero-width space, non-joiner and joiner, word joiner, byte order mark."""

CONTRACTIONS = {
    "aren't": "are not", "can't": "cannot", "couldn't": "could not", "didn't": "did not",
    "doesn't": "does not", "don't": "do not", "hadn't": "had not", "hasn't": "has not",
    "haven't": "have not", "isn't": "is not", "mustn't": "must not", "shouldn't": "should not",
    "wasn't": "was not", "weren't": "were not", "won't": "will not", "wouldn't": "would not",
    "he'll": "he will", "i'll": "i will", "i'm": "i am", "it'll": "it will",
    "she'll": "she will", "they'll": "they will", "they're": "they are", "we'll": "we will",
    "we're": "we are", "you'll": "you will", "you're": "you are",
}  # fmt: skip
"""Short and long forms that mean the same either way."""

ALWAYS_EXPAND = {
    "i've": "i have", "they've": "they have", "we've": "we have", "you've": "you have",
}  # fmt: skip
"""Short forms whose long form may not be shortened: `I have a car`."""

ALWAYS_CONTRACT = {
    "he is": "he's", "here is": "here's", "it is": "it's", "she is": "she's",
    "that is": "that's", "there is": "there's", "what is": "what's", "who is": "who's",
}  # fmt: skip
"""Long forms whose short form may stand for another: `it's been`."""

_NOUN = ("", "s")
_REGULAR = ("", "s", "ed", "ing")
_OUR = {
    "col": (*_REGULAR, "ful", "less"), "fav": (*_REGULAR, "able", "ably", "ite", "ites"),
    "flav": _REGULAR, "hon": (*_REGULAR, "able", "ably"), "harb": _REGULAR, "hum": _REGULAR,
    "lab": _REGULAR, "neighb": (*_NOUN, "ing", "hood", "hoods"), "rum": (*_NOUN, "ed"),
    "behavi": (*_NOUN, "al"), "endeav": _REGULAR, "od": _NOUN, "sav": (*_REGULAR, "y"),
    "splend": ("",), "vig": ("",), "arm": _REGULAR, "parl": _NOUN, "ranc": ("",), "cand": ("",),
    "glam": ("",), "val": ("",),
}  # fmt: skip
_ISE = (
    "agon", "apolog", "author", "character", "civil", "critic", "custom", "emphas",
    "energ", "final", "general", "hospital", "jeopard", "legal", "maxim", "memor", "minim",
    "modern", "normal", "optim", "organ", "popular", "priorit", "public", "real",
    "recogn", "scrutin", "special", "stabil", "standard", "summar", "symbol", "sympath",
    "terror", "util", "visual",
)  # fmt: skip
_DOUBLED = ("cancel", "dial", "fuel", "label", "level", "marvel", "model", "signal", "travel")
_PAIRS = (
    ("aluminium", "aluminum"), ("analyse", "analyze"), ("analysed", "analyzed"),
    ("analysing", "analyzing"), ("catalogue", "catalog"), ("catalogues", "catalogs"),
    ("centre", "center"), ("centres", "centers"), ("centred", "centered"),
    ("cosy", "cozy"), ("defence", "defense"), ("offence", "offense"), ("pretence", "pretense"),
    ("fibre", "fiber"), ("fibres", "fibers"), ("theatre", "theater"),
    ("theatres", "theaters"), ("litre", "liter"), ("litres", "liters"), ("fulfil", "fulfill"),
    ("skilful", "skillful"), ("wilful", "willful"), ("enrol", "enroll"), ("grey", "gray"),
    ("greyer", "grayer"), ("jewellery", "jewelry"), ("mould", "mold"), ("mouldy", "moldy"),
    ("moustache", "mustache"), ("pyjamas", "pajamas"), ("sceptic", "skeptic"),
    ("sceptical", "skeptical"), ("marvellous", "marvelous"), ("woollen", "woolen"),
    ("ageing", "aging"), ("plough", "plow"), ("sombre", "somber"), ("manoeuvre", "maneuver"),
    ("traveller", "traveler"), ("travellers", "travelers"), ("counsellor", "counselor"),
)  # fmt: skip


def _spellings() -> dict[str, str]:
    pairs = list(_PAIRS)
    pairs += [(f"{stem}our{end}", f"{stem}or{end}") for stem, ends in _OUR.items() for end in ends]
    pairs += [
        (f"{stem}is{end}", f"{stem}iz{end}")
        for stem, end in product(_ISE, ("e", "es", "ed", "ing", "ation", "ations"))
    ]
    pairs += [(f"{stem}l{end}", f"{stem}{end}") for stem, end in product(_DOUBLED, ("ed", "ing"))]
    return {one: other for pair in pairs for one, other in (pair, pair[::-1])}


SPELLINGS = _spellings()
"""Lower-case words spelt otherwise in British and American English, each with the other's."""
