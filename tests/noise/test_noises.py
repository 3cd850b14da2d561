"""Noise keeps its promises on any text, and reads as people write."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from auditkit.noise import NOISES, STRENGTHS, noisy
from auditkit.noise.tables import HOMOGLYPHS, MISREAD, NEIGHBOURS, SPELLINGS, ZERO_WIDTH
from auditkit.noise.words import how_many, is_address, words

REVIEW = (
    "I don't think it is a great film, although the colour of every scene was carefully "
    "organised and nobody in the audience seemed bored until the very long ending."
)
OTHERS = (
    "مرحبا، هذا فيلم جيد جدا",
    "זה סרט טוב מאוד",
    "这部电影非常好看",
    "यह एक अच्छी फिल्म है",
    "👩‍👩‍👧‍👦 🇩🇪 👍🏽",
    "12 345 6.7",
)
LETTER_NOISES = (
    "keyboard", "letter-swap", "letter-drop", "repeated-letter", "ocr", "homoglyph", "zero-width",
)  # fmt: skip
WORDING = ("contraction", "spelling-variant")
ANY = st.text(st.characters(exclude_categories=()), max_size=80)
LATIN = st.text("abcdefgh EFGH'’.,!?-éß1 \t\nn't@#/:", max_size=80)
SENTENCES = st.lists(
    st.sampled_from([*REVIEW.split(), "WON'T", "@anna", "https://t.co/Ab3", "it’s", ":-)", "3.5"]),
    max_size=20,
).map(" ".join)
every = pytest.mark.parametrize("strength", STRENGTHS)


def put(name: str, text: str, strength: str = "mild", seed: int = 0) -> str:
    return noisy(NOISES[name], strength, text, seed)


@pytest.mark.parametrize("name", NOISES)
@every
@settings(max_examples=60, deadline=None)
@given(text=ANY | LATIN | SENTENCES, seed=st.integers(0, 2**32))
@example(text="¹¹¼", seed=0)
def test_any_text_is_survived_repeatably_and_grows_little(name, strength, text, seed):
    new = put(name, text, strength, seed)
    assert new == put(name, text, strength, seed)
    assert len(new) <= 4 * len(text) + 50
    assert bool(new.strip()) == bool(text.strip())


@pytest.mark.parametrize("name", NOISES)
@every
@settings(max_examples=60, deadline=None)
@given(text=SENTENCES | ANY)
def test_addresses_are_left_alone_and_in_order(name, strength, text):
    kept = [chunk for chunk in text.split() if is_address(chunk)]
    new = [chunk for chunk in put(name, text, strength).split() if is_address(chunk)]
    added = len(new) - len(kept) if name == "address" else 0
    assert any(new[i : i + len(kept)] == kept for i in range(added + 1))


@pytest.mark.parametrize(
    "chunk",
    ["https://t.co/a", "(http://x.y/z)", "www.a.de", "WWW.a.de", "@anna", ".@anna", "#film",
     "me@example.org", "bit.ly/2x", "“@anna”"],
)  # fmt: skip
def test_an_address_is_known(chunk):
    assert is_address(chunk)
    assert not words(chunk)


@pytest.mark.parametrize("chunk", ["end.", "and/or", "3/4", "a.b", "film:", "it's", "e.g.", "No.1"])
def test_what_only_looks_like_an_address_is_none(chunk):
    assert not is_address(chunk)


@pytest.mark.parametrize("name", [*LETTER_NOISES, *WORDING])
@pytest.mark.parametrize("text", ["", " ", "g", "?", "👍", *OTHERS])
@every
def test_what_has_no_words_to_change_comes_back_as_it_was(name, text, strength):
    assert put(name, text, strength) == text


@pytest.mark.parametrize("name", NOISES)
@every
def test_an_ordinary_sentence_is_changed_by_every_noise(name, strength):
    assert put(name, REVIEW, strength) != REVIEW


@pytest.mark.parametrize("name", LETTER_NOISES)
@pytest.mark.parametrize("seed", range(20))
def test_a_mild_noise_touches_a_tenth_of_the_words_and_a_strong_one_a_third(name, seed):
    written = REVIEW.split()
    for strength in STRENGTHS:
        new = put(name, REVIEW, strength, seed).split()
        touched = sum(a != b for a, b in zip(written, new, strict=True))
        assert touched == how_many(len(words(REVIEW)), strength)


@pytest.mark.parametrize("name", [*LETTER_NOISES, "whitespace", "address"])
@every
def test_another_seed_or_strength_draws_otherwise(name, strength):
    drawn = [put(name, REVIEW, strength, seed) for seed in range(10)]
    assert len(set(drawn)) > 1
    other = STRENGTHS[1 - STRENGTHS.index(strength)]
    assert drawn != [put(name, REVIEW, other, seed) for seed in range(10)]


def changed_words(name: str, strength: str = "strong", seed: int = 0) -> list[tuple[str, str]]:
    pairs = zip(REVIEW.split(), put(name, REVIEW, strength, seed).split(), strict=True)
    return [(a, b) for a, b in pairs if a != b]


@pytest.mark.parametrize("seed", range(10))
def test_a_slip_on_the_keyboard_hits_a_key_beside_the_right_one(seed):
    for old, new in changed_words("keyboard", seed=seed):
        assert len(new) == len(old)
        wrong = [(a, b) for a, b in zip(old, new, strict=True) if a != b]
        assert len(wrong) == 1
        assert wrong[0][1].lower() in NEIGHBOURS[wrong[0][0].lower()]
        assert new[0] == old[0]


@pytest.mark.parametrize("seed", range(10))
def test_swapped_dropped_and_repeated_letters_are_just_that(seed):
    for old, new in changed_words("letter-swap", seed=seed):
        assert Counter(old) == Counter(new)
        i = next(i for i in range(len(old)) if old[i] != new[i])
        assert old[:i] + old[i + 1] + old[i] + old[i + 2 :] == new
        assert i > 0
    for old, new in changed_words("letter-drop", seed=seed):
        assert any(old[:i] + old[i + 1 :] == new for i in range(1, len(old)))
    for strength, more in (("mild", 1), ("strong", 3)):
        for old, new in changed_words("repeated-letter", strength, seed):
            assert any(old[:i] + old[i] * more + old[i:] == new for i in range(len(old)))


@pytest.mark.parametrize("seed", range(10))
def test_a_misread_letter_is_one_of_the_listed_confusions(seed):
    for old, new in changed_words("ocr", seed=seed):
        assert any(
            old[:i] + other + old[i + len(seen) :] == new
            for seen, others in MISREAD.items()
            for other in others
            for i in range(len(old))
            if old.startswith(seen, i)
        )


@pytest.mark.parametrize("seed", range(10))
@every
def test_lookalikes_and_characters_of_no_width_can_be_undone(strength, seed):
    back = {cyrillic: latin for latin, cyrillic in HOMOGLYPHS.items()}
    new = put("homoglyph", REVIEW, strength, seed)
    assert "".join(back.get(one, one) for one in new) == REVIEW
    new = put("zero-width", REVIEW, strength, seed)
    assert "".join(one for one in new if one not in ZERO_WIDTH) == REVIEW
    for place in re.finditer(f"[{''.join(ZERO_WIDTH)}]", new):
        assert new[place.start() - 1].isalpha() or new[place.start() - 1] == "'"


@settings(max_examples=60, deadline=None)
@given(text=SENTENCES | LATIN | ANY)
def test_white_space_never_joins_or_splits_words(text):
    for strength in STRENGTHS:
        assert put("whitespace", text, strength).split() == text.split()


@settings(max_examples=60, deadline=None)
@given(text=SENTENCES | LATIN)
def test_capitals_change_nothing_but_capitals(text):
    for strength in STRENGTHS:
        new = put("case", text, strength)
        assert new.casefold() == text.casefold()
    assert put("case", new, "strong") == new


@settings(max_examples=60, deadline=None)
@given(text=SENTENCES | LATIN)
def test_leaving_punctuation_out_twice_is_leaving_it_out_once(text):
    once = put("punctuation", text, "strong")
    if any(one.isalnum() for one in once):
        assert put("punctuation", once, "strong") == once
    letters = [one for one in text if one.isalnum()]
    assert [one for one in once if one.isalnum()] == letters


def test_a_spelling_exchanged_twice_is_the_old_one():
    text = "The COLOUR was grey, Realized by a marvelous theater."
    new = put("spelling-variant", text, "strong")
    assert new == "The COLOR was gray, Realised by a marvellous theatre."
    assert put("spelling-variant", new, "strong") == text
    assert all(SPELLINGS[other] == word for word, other in SPELLINGS.items())


@pytest.mark.parametrize(
    ("name", "strength", "text", "new"),
    [
        ("case", "mild", "Really Good", "really good"),
        ("case", "mild", "good. really! yes", "Good. Really! Yes"),
        ("case", "strong", "Straße, see https://t.co/aB", "STRAßE, SEE https://t.co/aB"),
        ("punctuation", "mild", "Great film", "Great film."),
        ("punctuation", "mild", "Great film!!! ", "Great film "),
        ("punctuation", "mild", "Great :)", "Great :)"),
        ("punctuation", "mild", "see https://t.co/a", "see https://t.co/a"),
        ("punctuation", "strong", 'It\'s "good", 3.5 of 5 :)', "Its good 3.5 of 5 :)"),
        ("punctuation", "strong", "film , really ... !", "film really"),
        ("punctuation", "strong", "...", "..."),
        ("whitespace", "mild", "one", "one "),
        ("contraction", "strong", "I'm sure you don't.", "I am sure you do not."),
        ("contraction", "strong", "DO NOT go, it is bad", "DON'T go, it's bad"),
        ("contraction", "strong", "Can’t say", "Cannot say"),
        ("contraction", "strong", "we will not stop", "we won't stop"),
        ("contraction", "strong", "it is not bad", "it isn't bad"),
        ("contraction", "strong", "Don't you like it? So it is.", "Don't you like it? So it is."),
        ("contraction", "strong", "They've a dog, I have a cat", "They have a dog, I have a cat"),
        ("contraction", "strong", "@don't #don't donut", "@don't #don't donut"),
        ("spelling-variant", "strong", "honours #colour", "honors #colour"),
    ],
)
def test_examples(name, strength, text, new):
    assert put(name, text, strength) == new


def test_an_address_is_put_around_the_text():
    for seed in range(10):
        mild, strong = put("address", "good", "mild", seed), put("address", "good", "strong", seed)
        assert re.fullmatch(
            r"@user\d{4} good|good https://example\.(com|org|net)/[A-Za-z0-9]{6}", mild
        )
        assert re.fullmatch(
            r"@user\d{4} good https://example\.(com|org|net)/[A-Za-z0-9]{6}", strong
        )


def test_keys_touch_both_ways_and_no_key_touches_itself():
    assert all(
        letter in NEIGHBOURS[other] and letter != other
        for letter, others in NEIGHBOURS.items()
        for other in others
    )
    assert set(NEIGHBOURS["g"]) == set("fhtyvb")


HUGE = """
from auditkit.noise import NOISES, STRENGTHS, noisy
for part in ("x", "no ", "@", "-", "a.b", " ", "it is ", "I'"):
    for noise in NOISES.values():
        for strength in STRENGTHS:
            noisy(noise, strength, part * (100_000 // len(part)), 0)
"""


def test_no_noise_takes_the_square_of_the_length():
    # Seconds; anything quadratic would take most of an hour.
    subprocess.run([sys.executable, "-c", HUGE], check=True, timeout=300)
