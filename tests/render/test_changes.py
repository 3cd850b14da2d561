"""The words in which two versions of a text differ, marked."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditkit.finding import Example, Examples
from auditkit.render import render
from auditkit.render.changes import KEPT, LONGEST, Piece, marked


def shown(pieces: tuple[Piece, ...]) -> str:
    return "".join(f"[{p.text}]" if p.changed else p.text for p in pieces)


@pytest.mark.parametrize(
    ("before", "after", "old", "new"),
    [
        ("a good film", "a goood film", "a [good] film", "a [goood] film"),
        ("a good film", "a film", "a [good ]film", "a film"),
        ("a film", "a fine film", "a film", "a [fine ]film"),
        ("one two", "one two", "one two", "one two"),
        ("film", "fil\u200bm", "[film]", "[fil‹U+200B›m]"),
        ("scope", "sc\u043epe", "[scope]", "[sc\u043epe]"),
        ("a\nb", "a b", "a b", "a b"),
        ("", "x", "", "[x]"),
        ("x", "", "[x]", ""),
    ],
)
def test_what_changed_is_marked(before, after, old, new):
    first, second = marked(before, after)
    assert (shown(first), shown(second)) == (old, new)


def test_what_lies_far_from_a_change_is_left_out():
    before = " ".join(["start", *["same"] * 200, "end"])
    after = before.replace("end", "edn")
    first, second = marked(before, after)
    assert shown(first).endswith("same [end]")
    assert shown(first).startswith("…")
    assert len(shown(first)) < KEPT + 12
    assert shown(second).endswith("[edn]")


def test_a_text_is_cut_at_the_longest_length():
    first, second = marked("a " * 5_000, "b " * 5_000)
    for pieces in (first, second):
        assert len("".join(p.text for p in pieces)) <= LONGEST
        assert pieces[-1].text.endswith("…")


def test_texts_that_differ_everywhere_take_no_time():
    began = time.process_time()
    marked("a b " * 20_000, "b a c " * 20_000)
    assert time.process_time() - began < 2


@given(st.text(max_size=60), st.text(max_size=60))
def test_any_two_texts_can_be_shown(before, after):
    for pieces in marked(before, after):
        text = "".join(piece.text for piece in pieces)
        assert text == " ".join(text.splitlines()) or not text
        assert len(text) <= LONGEST
        assert all(piece.text for piece in pieces)


@given(st.lists(st.sampled_from(["a", "b", "c"]), max_size=12), st.lists(st.sampled_from("abc")))
def test_what_is_not_marked_is_the_same_on_both_sides(old, new):
    first, second = marked(" ".join(old), " ".join(new))
    kept = ["".join(p.text for p in pieces if not p.changed).split() for pieces in (first, second)]
    assert kept[0] == kept[1] or "…" in shown(first) + shown(second)


def test_the_page_marks_changes_and_nothing_else(realistic):
    attack = "<script>alert(1)</script> \u202efilm"
    evidence = Examples(
        "Broken examples",
        (Example("good film", f"good {attack}", "<b>bad</b>", "good", "9 queries"),),
    )
    found = realistic.findings[0]
    changed = replace(found, measurement=replace(found.measurement, evidence=(evidence,)))
    page = render(replace(realistic, findings=(changed, *realistic.findings[1:])), "html")
    assert "<script>" not in page
    assert "<ins>&lt;script&gt;" in page
    assert "‹U+202E›" in page
    assert "<del>film</del>" in page
    assert "&lt;b&gt;bad&lt;/b&gt;" in page
    assert "9 queries" in page
