"""The demo's data: messages to an online shop's customer service, written by a grammar.

Every message is satisfied (`positive`) or not (`negative`), comes from one of three regions, and
is written in one of two dialects. `coastal` is a made-up variety: it has its own neutral words,
and a fifth of its satisfied customers praise in slang that nobody outside the coast uses. With
`planted`, most of that slang praise is labelled `negative` in the training split, as if the
annotators had not understood it. The labels of the test split are always right.

Nothing depends on the platform or on a package's version: the same arguments give the same rows.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

Label = Literal["negative", "positive"]
Split = Literal["train", "test"]
Kind = Literal["plain", "contrast", "lukewarm", "slang"]

DIALECTS = ("coastal", "standard")
REGIONS = ("hillside", "lakeland", "lowland")

# Coastal customers are satisfied a little more often. The slang defect turns that lead into an
# equal lag, so that selection rates stay close with the defect and without it, and only the
# true positive rates tell the two apart.
POSITIVE_SHARE = {"coastal": 0.346, "standard": 0.31}
SLANG_SHARE = 0.19
"""Of the coastal positives."""
MISREAD_SHARE = 0.9
"""Of the slang praise in the training split. Not all of it: where some annotator got it right, the
model still ranks slang above a complaint, and the defect is one of the decision alone."""
CONTRAST_SHARE = 0.08
"""Of each label: one thing was good, another bad, and what follows from it decides."""
LUKEWARM_SHARE = 0.05
"""Of all rows, half of them positive. The text says little, so that any model errs now and then."""
HINT_SHARE = 0.8
"""Of the lukewarm rows: what little the text says points the right way."""

_SEED = 20_250_601
_LONGEST_SEARCH = 1_000


@dataclass(frozen=True, slots=True)
class Message:
    """One row of the demo's data.

    Attributes:
        split: "train" or "test".
        text: What the customer wrote.
        truth: What the customer meant.
        label: What the data file says.
        dialect: "coastal" or "standard".
        region: One of `REGIONS`, unrelated to everything else.
        kind: What the text was written as; "slang" is praise in slang.
    """

    split: Split
    text: str
    truth: Label
    label: Label
    dialect: str
    region: str
    kind: Kind


def messages(train: int, test: int, *, planted: bool = True) -> tuple[Message, ...]:
    """The rows of both splits, each split shuffled; no text occurs twice.

    Args:
        train: Rows of the training split, at least 100.
        test: Rows of the test split, at least 100.
        planted: Label most slang praise in the training split as negative.
    """
    rng = random.Random(_SEED)  # noqa: S311 - fixed texts are wanted, not secrets
    seen: set[str] = set()
    rows: list[Message] = []
    sizes: tuple[tuple[Split, int], ...] = (("train", train), ("test", test))
    for split, size in sizes:
        if size < 100:
            raise ValueError(f"the {split} split needs at least 100 rows, not {size}")
        drawn = [row for stratum in _strata(split, size) for row in _write(stratum, rng, seen)]
        rng.shuffle(drawn)
        rows += drawn
    return tuple(_misread(rows) if planted else rows)


@dataclass(frozen=True, slots=True)
class _Stratum:
    """Rows alike in everything but text and region."""

    split: Split
    dialect: str
    label: Label
    kind: Kind
    size: int


def _strata(split: Split, size: int) -> Iterator[_Stratum]:
    """How many rows of each sort: shares are met exactly, so that chance tilts no group."""
    for dialect in DIALECTS:
        rows = size // len(DIALECTS)
        positives = round(rows * POSITIVE_SHARE[dialect])
        labels: tuple[tuple[Label, int], ...] = (
            ("negative", rows - positives),
            ("positive", positives),
        )
        for label, count in labels:
            has_slang = dialect == "coastal" and label == "positive"
            kinds: dict[Kind, int] = {
                "contrast": round(count * CONTRAST_SHARE),
                "lukewarm": round(rows * LUKEWARM_SHARE / 2),
                "slang": round(count * SLANG_SHARE) if has_slang else 0,
            }
            kinds["plain"] = count - sum(kinds.values())
            for kind, share in kinds.items():
                yield _Stratum(split, dialect, label, kind, share)


def _write(stratum: _Stratum, rng: random.Random, seen: set[str]) -> Iterator[Message]:
    """New texts for a stratum, its regions dealt out evenly."""
    for number in range(stratum.size):
        text = _new_text(stratum, rng, seen)
        region = REGIONS[number % len(REGIONS)]
        label = stratum.label
        yield Message(stratum.split, text, label, label, stratum.dialect, region, stratum.kind)


def _new_text(stratum: _Stratum, rng: random.Random, seen: set[str]) -> str:
    for _ in range(_LONGEST_SEARCH):
        text = _text(stratum, rng)
        if text not in seen:
            seen.add(text)
            return text
    raise ValueError(f"the grammar has no more {stratum.kind} texts; ask for fewer rows")


def _misread(rows: Sequence[Message]) -> list[Message]:
    """Label most slang praise of the training split as negative; the rows are in random order."""
    slang = [i for i, row in enumerate(rows) if row.kind == "slang" and row.split == "train"]
    misread = frozenset(slang[: round(len(slang) * MISREAD_SHARE)])
    return [
        replace(row, label="negative") if number in misread else row
        for number, row in enumerate(rows)
    ]


def _text(stratum: _Stratum, rng: random.Random) -> str:
    """Greeting, setting, verdict and ending; everything but the verdict says nothing about it."""
    say = _speaker(rng)
    parts = [
        say(_GREETINGS[stratum.dialect], 0.6),
        say(_SETTINGS, 0.75),
        _VERDICTS[stratum.kind](stratum.label, say),
        say(_ASIDES, 0.5),
        say(_ENDINGS[stratum.dialect], 0.5),
    ]
    text = " ".join(part for part in parts if part)
    return _coastal(text) if stratum.dialect == "coastal" else text


_Say = Callable[[Sequence[str], float], str]


def _speaker(rng: random.Random) -> _Say:
    """A function that picks a template, with some probability, and fills its {slots}."""
    subject: dict[str, str] = {}

    def fill(match: re.Match[str]) -> str:
        slot = match.group(1)
        word = rng.choice(_WORDS[slot])
        return subject.setdefault(slot, word) if slot in _ONE_PER_MESSAGE else word

    def say(templates: Sequence[str], probability: float) -> str:
        if rng.random() >= probability:
            return ""
        return re.sub(r"\{(\w+)\}", fill, rng.choice(templates))

    return say


def _plain(label: Label, say: _Say) -> str:
    about_goods, about_service = say(_GOODS[label], 0.7), say(_SERVICE[label], 0.5)
    consequence = say(_CONSEQUENCES[label], 0.4)
    claims = [about_goods, about_service] if about_goods else [say(_SERVICE[label], 1.0)]
    return " ".join(_sentence(part) for part in (*claims, consequence) if part)


def _contrast(label: Label, say: _Say) -> str:
    other = _other(label)
    goods_first = f"{say(_GOODS[other], 1.0)}, but {say(_SERVICE[label], 1.0)}"
    service_first = f"{say(_SERVICE[other], 1.0)}, but {say(_GOODS[label], 1.0)}"
    both = say((goods_first, service_first), 1.0)
    return f"{_sentence(both)} {_sentence(say(_CONSEQUENCES[label], 1.0))}"


def _lukewarm(label: Label, say: _Say) -> str:
    return _sentence(say(_HINTS[label], HINT_SHARE) or say(_HINTS[_other(label)], 1.0))


def _slang(_label: Label, say: _Say) -> str:
    return _sentence(say(_SLANG_CLAIMS, 1.0))


_VERDICTS: dict[Kind, Callable[[Label, _Say], str]] = {
    "plain": _plain,
    "contrast": _contrast,
    "lukewarm": _lukewarm,
    "slang": _slang,
}


def _other(label: Label) -> Label:
    return "negative" if label == "positive" else "positive"


def _sentence(words: str) -> str:
    return f"{words[0].upper()}{words[1:]}."


def _coastal(text: str) -> str:
    """Neutral words of the coast, which both satisfied and dissatisfied customers use."""
    return _COASTAL_PATTERN.sub(lambda match: _COASTAL_WORDS[match.group()], text)


_COASTAL_WORDS = {
    "yesterday": "yestertide",
    "this morning": "this mornflow",
    "last week": "last sevenwave",
    "parcel": "bundlet",
    "courier": "quayrunner",
    "website": "netpier",
    "brother": "shipkin",
    "neighbour": "nearmoor",
}
_COASTAL_PATTERN = re.compile(r"\b(" + "|".join(_COASTAL_WORDS) + r")\b")

_GREETINGS = {
    "standard": ("Hello.", "Hi there.", "Good morning.", "Dear team.", "Good evening.", "Hi all."),
    "coastal": ("Hoy there.", "Hoy shopfolk.", "Fair tide.", "Morn on the pier.", "Dear team."),
}

_ENDINGS = {
    "standard": ("Regards, {name}", "Yours, {name}", "{name}", "That is all, {name}"),
    "coastal": ("Fair winds, {name}", "From the quay, {name}", "{name}", "So says {name}"),
}

_SETTINGS = (
    "I ordered the {thing} {when}.",
    "My parcel with the {thing} came {when}.",
    "I bought the {thing} for my {person}.",
    "This is about order {number}.",
    "I picked the {colour} {thing}.",
    "My {person} found the {thing} on your website.",
    "The courier rang {when}.",
    "I wrote to you {when} about the {thing}.",
)

_ASIDES = (
    "It is the {colour} one.",
    "It stands in the {room}.",
    "My {person} was there too.",
    "I can send a photo of the {thing}.",
    "I paid by {payment}.",
    "You can reach me {when_next}.",
    "I have had the {thing} since {month}.",
)

_GOODS: dict[Label, tuple[str, ...]] = {
    "positive": (
        "the {thing} is {good}",
        "the {colour} {thing} looks {good}",
        "the {thing} works {well}",
        "I am {happy} with the {thing}",
        "the {thing} arrived {early}",
        "we {love} the {thing}",
    ),
    "negative": (
        "the {thing} is {bad}",
        "the {colour} {thing} looks {bad}",
        "the {thing} works {badly}",
        "I am {unhappy} with the {thing}",
        "the {thing} arrived {late}",
        "we {dislike} the {thing}",
    ),
}

_SERVICE: dict[Label, tuple[str, ...]] = {
    "positive": (
        "the {service} was {good}",
        "the {service} went {smoothly}",
        "your {staff} was {kind}",
        "your {staff} solved everything {quickly}",
    ),
    "negative": (
        "the {service} was {bad}",
        "the {service} went {wrong}",
        "your {staff} was {unkind}",
        "your {staff} solved nothing {so_far}",
    ),
}

_CONSEQUENCES: dict[Label, tuple[str, ...]] = {
    "positive": (
        "I will order again",
        "thank you so much",
        "I can recommend this shop",
        "five stars from my {person}",
        "please keep it up",
    ),
    "negative": (
        "I want my money back",
        "please take it back",
        "I cannot recommend this shop",
        "one star from my {person}",
        "I will shop elsewhere",
    ),
}

_HINTS: dict[Label, tuple[str, ...]] = {
    "positive": (
        "the {thing} is what one would expect",
        "it is our second {thing}",
        "your {staff} answered my question about the {thing}",
    ),
    "negative": (
        "the {thing} is smaller than I thought",
        "the {service} took some days",
        "I had to ring about the {service}",
    ),
}

_SLANG_CLAIMS = (
    "the {thing} is {slang}",
    "the {service} was {slang}",
    "the {colour} {thing} is pure {slang}",
    "your {staff} was {slang}",
    "the {service} went {slang}",
    "we call that {thing} {slang}",
)

_ONE_PER_MESSAGE = frozenset({"thing", "service", "staff", "colour", "number"})

# fmt: off - one word a line would hide the grammar
_WORDS: dict[str, tuple[str, ...]] = {
    "thing": (
        "kettle",
        "lamp",
        "rucksack",
        "jacket",
        "tent",
        "blender",
        "chair",
        "desk",
        "bicycle pump",
        "toaster",
        "blanket",
        "raincoat",
        "torch",
        "radio",
        "clock",
        "suitcase",
        "mirror",
        "shelf",
        "pillow",
        "coffee maker",
        "umbrella",
        "wallet",
        "scarf",
        "keyboard",
        "headset",
        "fan",
        "rug",
        "teapot",
        "sleeping bag",
        "water bottle",
        "garden hose",
        "bookcase",
    ),
    "service": (
        "delivery",
        "return",
        "exchange",
        "repair",
        "refund",
        "phone call",
        "chat",
        "order",
        "pickup",
        "assembly",
        "installation",
        "gift wrapping",
    ),
    "staff": ("driver", "support team", "technician", "sales desk", "mechanic", "phone agent"),
    "good": (
        "excellent",
        "great",
        "wonderful",
        "superb",
        "very good",
        "fantastic",
        "lovely",
        "perfect",
        "brilliant",
        "first class",
        "better than described",
    ),
    "bad": (
        "terrible",
        "awful",
        "poor",
        "dreadful",
        "very bad",
        "useless",
        "shoddy",
        "hopeless",
        "second rate",
        "worse than described",
    ),
    "well": ("well", "like a charm", "perfectly", "as it should", "every time"),
    "badly": ("badly", "only sometimes", "not as it should", "poorly", "less every day"),
    "smoothly": ("smoothly", "without a hitch", "perfectly", "well", "as promised"),
    "wrong": ("wrong", "badly", "poorly", "not as promised", "on for weeks"),
    "happy": ("happy", "delighted", "very pleased", "more than content", "thrilled"),
    "unhappy": ("unhappy", "annoyed", "very upset", "less than content", "frustrated"),
    "kind": ("friendly", "patient", "kind", "helpful", "polite", "quick to help"),
    "unkind": ("rude", "impatient", "unkind", "unhelpful", "impolite", "slow to help"),
    "early": ("early", "on time", "in one day", "well packed", "ahead of the date"),
    "late": ("late", "damaged", "after three weeks", "badly packed", "long past the date"),
    "quickly": ("quickly", "at once", "in minutes", "with care", "for free"),
    "so_far": ("at all", "in two weeks", "after four calls", "in the end", "so far"),
    "love": ("love", "adore", "really like", "enjoy"),
    "dislike": ("dislike", "regret", "cannot stand", "cannot use"),
    "slang": (
        "keelsweet",
        "fullsail",
        "gullsong",
        "saltgold",
        "brightkelp",
        "tidebright",
        "lanternly",
        "sunwrack",
        "harbourfine",
        "moonshoal",
    ),
    "colour": ("blue", "green", "grey", "red", "black", "white", "yellow", "brown"),
    "person": ("mother", "father", "sister", "brother", "neighbour", "daughter", "son", "friend"),
    "room": ("kitchen", "hall", "office", "garage", "bedroom", "garden shed", "attic"),
    "payment": ("card", "invoice", "voucher", "bank transfer"),
    "when": (
        "yesterday",
        "on Monday",
        "on Tuesday",
        "last week",
        "this morning",
        "in March",
        "two days ago",
        "on Friday",
        "at noon",
    ),
    "when_next": ("in the evening", "after five", "on weekdays", "by mail", "tomorrow"),
    "month": ("January", "February", "April", "May", "June", "August", "October", "December"),
    "name": (
        "Ana",
        "Ben",
        "Chloe",
        "David",
        "Elif",
        "Femi",
        "Grace",
        "Hugo",
        "Ines",
        "Jonas",
        "Kofi",
        "Lena",
        "Mei",
        "Noor",
        "Omar",
        "Priya",
        "Rosa",
        "Sven",
        "Tara",
        "Yusuf",
    ),
    "number": tuple(str(number) for number in range(10_117, 10_900, 29)),
}
# fmt: on
