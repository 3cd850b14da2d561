"""Text from outside is made harmless; numbers are written one way."""

from __future__ import annotations

import unicodedata
from xml.etree import ElementTree

import pytest
from markdown_it import MarkdownIt

from auditkit.finding import Interval
from auditkit.render import figures
from auditkit.render.text import inert_for_ci_log, markdown, markdown_code, plain, xml_legal
from tests.render.conftest import EVERYTHING, PAYLOADS


@pytest.mark.parametrize("text", PAYLOADS)
def test_plain_text_is_one_visible_line(text: str) -> None:
    shown = plain(text)
    assert len(shown) <= 300
    assert not any(unicodedata.category(c) in {"Cc", "Cs"} for c in shown)
    assert not set(shown) & set(
        "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f"
    )
    shown.encode("utf-8")


def test_escape_sequences_go_as_a_whole() -> None:
    assert plain("a\x1b[31mred\x1b[0m \x1b]8;;http://x\x07link\x1b]8;;\x07") == "ared link"


def test_a_carriage_return_cannot_overwrite_what_stands_before_it() -> None:
    assert plain("FAIL\rPASS") == "FAIL PASS"


def test_joiners_that_scripts_and_emoji_need_stay() -> None:
    assert plain("می\u200cخواهم 👩\u200d🔬") == "می\u200cخواهم 👩\u200d🔬"


def test_a_long_text_is_cut_with_an_ellipsis_and_quickly() -> None:
    assert plain("x" * 10_000_000) == "x" * 299 + "…"


@pytest.mark.parametrize("text", PAYLOADS)
def test_xml_takes_every_text(text: str) -> None:
    element = ElementTree.Element("a", {"b": xml_legal(text)})
    element.text = xml_legal(text)
    ElementTree.fromstring(ElementTree.tostring(element, encoding="utf-8"))


@pytest.mark.parametrize(
    "text", [*PAYLOADS, EVERYTHING, "# a", "1. a", "- a", "> a", "---", "www.x.example"]
)
@pytest.mark.parametrize("place", ["{}", "- {}", "| {} |\n| -- |\n| {} |", "## {}"])
def test_markdown_prose_and_code_render_as_text_only(text: str, place: str) -> None:
    parser = MarkdownIt("commonmark", {"html": True}).enable("table").enable("strikethrough")
    for safe in (markdown(text), markdown_code(text)):
        html = parser.render(place.replace("{}", safe))
        for tag in (
            "<img",
            "<a ",
            "<script",
            "<style",
            "<svg",
            "<h1",
            "<ol",
            "<blockquote",
            "<hr",
            "<em",
        ):
            assert tag not in html, (safe, html)
        assert "\n" not in safe


def test_markdown_that_github_would_link_by_itself_is_broken() -> None:
    said = markdown("http://track.example www.track.example @someone #12 GH-12 mailto:a")
    for linked in ("http://", "www.t", "@s", "#12", "GH-12", "mailto:"):
        assert linked not in said


def test_markdown_text_reads_as_it_was() -> None:
    html = MarkdownIt("commonmark").render(markdown("gap on a|b: 0.2 (0.1 to 0.3, n=5) <x> & *y*"))
    assert html == "<p>gap on a|b: 0.2 (0.1 to 0.3, n=5) &lt;x&gt; &amp; *y*</p>\n"


@pytest.mark.parametrize("name", ["a`b", "`a`", "``", "a", "\\", "a\\"])
def test_a_code_span_holds_any_backticks(name: str) -> None:
    html = MarkdownIt("commonmark").render(f"x {markdown_code(name)} y")
    assert html == f"<p>x <code>{name}</code> y</p>\n"


@pytest.mark.parametrize(
    "text", ["::error::x", ":::error::", "a\n::add-mask::PASS", "x ##[set-env]y", "###[a"]
)
def test_no_workflow_command_survives(text: str) -> None:
    safe = inert_for_ci_log(text)
    assert "::" not in safe
    assert "##[" not in safe


def test_numbers_are_written_one_way() -> None:
    assert figures.figure(None) == "–"
    assert figures.figure(0.123456) == "0.1235"
    assert figures.span(Interval(None, 0.2)) == "no bound to 0.2"
    assert figures.span(None) == "–"
    assert figures.bound(0.1, "max") == "≤ 0.1"
    assert figures.bound(0.8, "min") == "≥ 0.8"
    assert figures.bound(None, "min") == "–"
    assert figures.count(12345) == "12,345"
    assert [figures.cell(v) for v in ("a", 1200, 0.5, None)] == ["a", "1,200", "0.5", "–"]


@pytest.mark.parametrize(
    ("alpha", "shown"),
    [
        (0.05, "95 %"),
        (0.05 / 24, "99.79 %"),
        (1e-6, "99.9999 %"),
        (0.1, "90 %"),
        (0, "100 %"),
        (1, "0 %"),
    ],
)
def test_a_level_has_as_many_nines_as_it_needs(alpha: float, shown: str) -> None:
    assert figures.level(alpha) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0, "0.0 s"), (9.94, "9.9 s"), (59.4, "59 s"), (59.6, "1 min 00 s"), (3_661, "1 h 01 min")],
)
def test_durations_are_written_for_people(seconds: float, shown: str) -> None:
    assert figures.duration(seconds) == shown
