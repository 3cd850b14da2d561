"""Heat maps: marked by strength and sign, offsets of the text as it came, nothing swallowed."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from html import unescape
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditkit.attribution import words_of
from auditkit.finding import Example, Examples, ScoredText, ScoredTexts, Scores
from auditkit.render import render
from auditkit.render.heat import CUT, SCROLLED, STEPS, HeatRow, HeatView, heats_view, step
from auditkit.render.text import laid_out, piece
from auditkit.result import AuditResult

REVIEW = "A terrible, terrible start -- but  the last act is a masterpiece."
HOSTILE = (
    "<script>alert(1)</script> </style><img src=x onerror=alert(2)> rtl\u202eover\u2066iso "
    "zero\u200bwidth nul\x00 esc\x1b[31mred bom\ufeff &amp; {{7*7}} lone\ud800end"
)
ARABIC = "كان الفيلم رائعا جدا"
EMOJI = "loved it 👩‍👩‍👧 🎉🎉"


def scored(text: str, weights: dict[str, float], by: str = "lime", note: str = "") -> Scores:
    spans = words_of(text)
    scores = tuple(weights.get(text[start:end], 0.01) for start, end in spans)
    return Scores(by, "positive", spans, scores, note)


def row_of(text: str, *scores: Scores) -> HeatRow:
    (row,) = heats_view("title", [ScoredText(text, "said", scores)], 0).rows
    return row


def map_of(text: str, weights: dict[str, float]) -> HeatView:
    (view,) = row_of(text, scored(text, weights)).maps
    return view


def shown(view: HeatView) -> str:
    return "".join(shade.text for shade in view.shades)


def marks(view: HeatView) -> dict[str, str]:
    return {shade.text: shade.mark for shade in view.shades if shade.mark}


def with_evidence(result: AuditResult, *evidence: Any) -> AuditResult:
    found = result.findings[0]
    changed = replace(found, measurement=replace(found.measurement, evidence=evidence))
    return replace(result, findings=(changed, *result.findings[1:]))


def plain_text(markup: str) -> str:
    return unescape(re.sub(r"<[^>]+>", "", markup))


@pytest.mark.parametrize(
    ("score", "expected"),
    [(1, 5), (0.9, 5), (0.89, 4), (0.5, 3), (0.3, 2), (0.29, 1), (0.1, 1), (0.099, 0), (0, 0)],
)
def test_a_step_is_a_fifth_of_the_largest_score(score, expected):
    assert step(score * 0.4, 0.4) == expected
    assert step(-score * 0.4, 0.4) == -expected


def test_parts_are_marked_by_sign_and_strength():
    view = map_of(REVIEW, {"masterpiece": 0.4, "terrible": -0.2, "act": 0.09})
    assert marks(view) == {"masterpiece": "for-5", "terrible": "against-3", "act": "for-1"}
    assert view.full == "0.40"


def test_every_method_has_its_own_scale():
    row = row_of(REVIEW, scored(REVIEW, {"act": 0.5}), scored(REVIEW, {"act": 50.0}, "shap"))
    assert [marks(view)["act"] for view in row.maps] == ["for-5", "for-5"]


@pytest.mark.parametrize("text", [REVIEW, ARABIC, EMOJI, "a  b\t c", " edge "])
def test_the_text_reads_as_it_was_with_all_its_blanks(text):
    view = map_of(text, dict.fromkeys(text.split(), 0.3))
    assert shown(view) == text.replace("\t", " ")


def test_spans_are_those_of_the_text_as_it_came_even_after_what_cannot_be_seen():
    view = map_of(HOSTILE, {"iso": 0.4, "red": -0.4, "end": 0.2})
    assert shown(view) == laid_out(HOSTILE)
    # The escape sequence stands in pieces of its own and is written out.
    assert marks(view)["iso"] == "for-5"
    assert "[31mred" not in marks(view)
    assert "‹U+202E›" in shown(view)
    assert "‹U+200B›" in shown(view)
    assert "lone\ufffdend" in shown(view)


def test_line_breaks_stay_and_many_empty_lines_are_one():
    assert shown(map_of("one\r\ntwo\n\n\n \n\nthree", {})) == "one\ntwo\n\nthree"


def test_blanks_at_the_ends_of_a_part_are_not_marked():
    text = "so  good film"
    scores = Scores("shap", "positive", ((0, 4), (4, 9)), (0.1, 0.5))
    (view,) = row_of(text, scores).maps
    assert marks(view) == {"so": "for-1", "good": "for-5"}
    assert shown(view) == text


def test_the_strongest_parts_are_listed_with_signed_numbers_once():
    view = map_of(REVIEW, {"masterpiece": 0.42, "terrible": -0.317, ".": 0.05})
    assert [(one.text, one.score) for one in view.most_for[:2]] == [
        ("masterpiece", "+0.42"),
        (". (full stop)", "+0.050"),
    ]
    (against,) = view.most_against
    assert (against.text, against.score, against.times) == ("terrible", "−0.32", 2)


def test_a_long_text_is_cut_by_rule_and_its_strongest_parts_are_those_of_all_of_it():
    text = "word " * 5_000 + "treasure"
    row = row_of(text, scored(text, {"treasure": 0.9}))
    assert row.cut == f"The first {CUT:,} of {len(text):,} characters are shown"
    assert shown(row.maps[0]).endswith("…")
    assert len(shown(row.maps[0])) == CUT + 1
    assert len(row.text) <= CUT
    assert row.maps[0].most_for[0].text == "treasure"
    assert row.scrolled


def test_ten_thousand_characters_without_a_blank_are_cut_too():
    row = row_of("x" * 10_000, scored("x" * 10_000, {"x" * 10_000: 0.5}))
    assert [(len(one.text), one.mark) for one in row.maps[0].shades] == [(CUT, "for-5"), (1, "")]
    assert len(row.maps[0].most_for[0].text) <= 60


def test_what_is_written_out_counts_as_long_as_it_is():
    (view,) = row_of("\u200b" * CUT, Scores("lime", "a", ((0, CUT),), (1.0,))).maps
    assert len(shown(view)) == CUT + 1


def test_a_short_text_does_not_scroll():
    assert not row_of("x" * (SCROLLED - 1), Scores("lime", "a", (), ())).scrolled


@pytest.mark.parametrize(
    ("text", "scores", "said"),
    [
        ("", Scores("lime", "a", (), ()), "The text is empty"),
        ("  ", Scores("lime", "a", (), (), "nothing to explain"), "No part of the text is scored"),
        ("a b", Scores("lime", "a", ((0, 1), (2, 3)), (0.0, 0.0)), "Every score is 0"),
    ],
)
def test_a_text_without_marks_says_why(text, scores, said):
    (view,) = row_of(text, scores).maps
    assert view.nothing == said
    assert not marks(view)
    assert not view.most_for


@given(st.text(max_size=40), st.data())
def test_any_text_and_spans_can_be_drawn(text, data):
    ends = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=8)))
    spans = tuple(pairwise(ends))[::2]
    weights = st.floats(-1e6, 1e6, allow_nan=False)
    scores = tuple(data.draw(weights) for _ in spans)
    row = row_of(text, Scores("lime", "a", spans, scores))
    ink = re.sub(r"\s", "", laid_out(text))
    assert re.sub(r"\s", "", shown(row.maps[0])) == ink
    assert all(0 <= int(one.mark[-1]) <= STEPS for one in row.maps[0].shades if one.mark)


def test_the_page_escapes_the_text_and_reads_it_out_once(realistic):
    evidence = ScoredTexts(
        "Explained", (ScoredText(HOSTILE, "said", (scored(HOSTILE, {"alert": 1.0}),) * 2),)
    )
    page = render(with_evidence(realistic, evidence), "html")
    assert "<script" not in page
    assert "<img" not in page
    assert page.count("</style>") == 1
    assert not re.search("[\u202a-\u202e\u2066-\u2069\x00\x1b]", page)
    read = re.findall(r'<p class="unseen" dir="auto">(.*?)</p>', page, re.DOTALL)
    assert [unescape(one) for one in read] == [laid_out(HOSTILE)]
    maps = re.findall(r'<div class="map" role="img".*?</div>', page, re.DOTALL)
    assert [plain_text(one) for one in maps] == [laid_out(HOSTILE)] * 2
    assert " style=" not in page[page.index("Explained") :]


def test_blanks_around_changed_words_stay_in_the_page(realistic):
    evidence = Examples("Broken", (Example("a good film " + "x" * 400, "a film", "p", "n"),))
    page = render(with_evidence(realistic, evidence), "html")
    (before,) = re.findall(r"<dt>p</dt><dd>(.*?)</dd>", page, re.DOTALL)
    assert plain_text(before).startswith("a good film xxx")
    assert len(plain_text(before)) > 400


def test_a_piece_keeps_its_blanks_and_loses_what_could_harm():
    assert piece(" a\n\u202eb\ud800 ") == " a b\ufffd "


# In a browser.

AXE = "async () => (await axe.run(document, {resultTypes: ['violations']})).violations"
CONTRAST = """() => {
  const light = (c) => { const [r, g, b] = c.match(/[\\d.]+/g).map((v) => v / 255)
    .map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
  const found = {};
  for (const e of document.querySelectorAll(".heat-legend .map [class]")) {
    if (e.className === "none") continue;
    const style = getComputedStyle(e);
    const [a, b] = [light(style.color), light(style.backgroundColor)].sort((x, y) => y - x);
    found[e.className] = [(a + 0.05) / (b + 0.05), style.backgroundColor,
      style.textDecorationStyle, parseFloat(style.textDecorationThickness)];
  }
  return found;
}"""


@pytest.fixture(scope="module")
def saved(realistic: AuditResult, tmp_path_factory: pytest.TempPathFactory) -> Path:
    weights = {"terrible": -0.4, "masterpiece": 0.3, "script": 0.3, "رائعا": 0.2, "act": 0.1}

    def row(text: str, methods: int) -> ScoredText:
        names = ("lime", "shap", "integrated-gradients", "occlusion")[:methods]
        return ScoredText(
            text, f"said of {text[:9]}", tuple(scored(text, weights, n) for n in names)
        )

    texts = (REVIEW, 4), (HOSTILE, 2), (ARABIC, 1), (EMOJI, 3), (f"{REVIEW}\n\n" * 99, 2)
    long = (("x" * 10_000, 1), ("", 1))
    evidence = ScoredTexts("Explained", tuple(row(*one) for one in (*texts, *long)))
    path = tmp_path_factory.mktemp("heat") / "report.html"
    path.write_text(render(with_evidence(realistic, evidence), "html"), encoding="utf-8")
    return path


@pytest.fixture
def opened(browser: Any, saved: Path) -> Iterator[Callable[..., Any]]:
    contexts = []

    def open_page(width: int = 1280, media: str = "screen", scheme: str = "light") -> Any:
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        contexts.append(context)
        tab = context.new_page()
        tab.emulate_media(media=media, color_scheme=scheme)
        tab.events = []
        tab.on("console", lambda message: tab.events.append(message.text))
        tab.on("pageerror", lambda error: tab.events.append(str(error)))
        tab.on("dialog", lambda dialog: (tab.events.append(dialog.message), dialog.dismiss()))
        tab.on("request", lambda request: tab.events.append(request.url))
        tab.goto(saved.as_uri(), wait_until="load")
        tab.evaluate("document.querySelectorAll('details').forEach((e) => { e.open = true; })")
        return tab

    yield open_page
    for context in contexts:
        context.close()


@pytest.mark.browser
@pytest.mark.parametrize(
    ("media", "scheme", "width"),
    [("screen", "light", 1280), ("screen", "dark", 1280), ("screen", "dark", 390),
     ("print", "dark", 760)],
)  # fmt: skip
def test_axe_finds_nothing_and_the_page_is_silent(opened, saved, media, scheme, width):
    package = pytest.importorskip("axe_playwright_python", reason="axe is not installed")
    source = (Path(package.__file__).parent / "axe.min.js").read_text(encoding="utf-8")
    tab = opened(width, media, scheme)
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    assert [url for url in tab.events if url != "data:,"] == [saved.as_uri()]
    tab.evaluate(source)
    found = tab.evaluate(AXE)
    assert [(v["id"], v["nodes"][0]["html"][:200]) for v in found] == []


@pytest.mark.browser
@pytest.mark.parametrize(
    ("media", "scheme"), [("screen", "light"), ("screen", "dark"), ("print", "dark")]
)
def test_every_step_can_be_read_and_told_from_the_others_without_colour(opened, media, scheme):
    found = opened(media=media, scheme=scheme).evaluate(CONTRAST)
    assert len(found) == 2 * STEPS
    assert min(contrast for contrast, *_ in found.values()) >= 4.5, found
    assert len({colour for _, colour, *_ in found.values()}) == 2 * STEPS
    for side, style in (("for", "solid"), ("against", "dashed")):
        lines = [found[f"{side}-{k}"][2:] for k in range(1, STEPS + 1)]
        assert {line[0] for line in lines} == {style}
        assert all(before[1] < after[1] for before, after in pairwise(lines))


@pytest.mark.browser
def test_a_long_text_scrolls_by_keyboard_and_is_whole_in_print(opened):
    tab = opened()
    long = tab.locator("div.map[tabindex]").first
    long.focus()
    tab.keyboard.press("PageDown")
    tab.wait_for_timeout(300)
    assert long.evaluate("(e) => e.scrollTop") > 0
    assert long.get_attribute("aria-label") == "The text, marked by lime"
    printed = opened(media="print", width=760).locator("div.map[tabindex]").first
    assert printed.evaluate("(e) => e.scrollHeight - e.clientHeight") <= 2


@pytest.mark.browser
def test_methods_stand_beside_each_other_and_below_each_other_where_it_is_narrow(opened):
    boxes = {
        width: [opened(width).locator("figure.heat").nth(k).bounding_box() for k in (0, 1)]
        for width in (1280, 390)
    }
    first, second = boxes[1280]
    assert first["y"] == second["y"]
    assert first["x"] + first["width"] < second["x"]
    first, second = boxes[390]
    assert first["y"] + first["height"] <= second["y"]


@pytest.mark.browser
def test_a_screen_reader_meets_the_text_and_the_numbers_and_no_fragments(opened):
    heard = opened().locator(".heats > li").first.aria_snapshot()
    assert heard.count(REVIEW.replace("  ", " ")) == 1
    assert heard.count("−0.40") == 4
    assert heard.count("masterpiece") == 5
    assert 'img "The text, marked by lime"' in heard


@pytest.mark.browser
def test_right_to_left_texts_run_that_way(opened):
    way = opened().locator(".heats > li").nth(2).locator("div.map p")
    assert way.evaluate("(e) => getComputedStyle(e).direction") == "rtl"
