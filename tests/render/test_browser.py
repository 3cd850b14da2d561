"""The page in a real browser: silent, still, readable, and the same without script."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from auditkit.render import html
from auditkit.result import AuditResult

pytestmark = pytest.mark.browser

KINDS = ["realistic", "passing", "hostile"]

CONTRAST = """() => {
  const parse = (c) => (c.match(/[\\d.]+/g) || []).map(Number);
  const light = (c) => { const [r, g, b] = parse(c).map((v) => v / 255)
    .map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
  const paper = getComputedStyle(document.body).backgroundColor;
  const worst = {};
  for (const e of document.querySelectorAll("body *")) {
    const own = [...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
    if (!own || e.closest(".unseen")) continue;
    const style = getComputedStyle(e);
    const colour = e instanceof SVGElement ? style.fill : style.color;
    const [a, b] = [light(colour), light(paper)].sort((x, y) => y - x);
    worst[colour] = (a + 0.05) / (b + 0.05);
  }
  return { paper, worst };
}"""


@pytest.fixture(scope="module")
def saved(
    realistic: AuditResult,
    passing: AuditResult,
    hostile: AuditResult,
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("reports")
    paths = {}
    for kind, result in (("realistic", realistic), ("passing", passing), ("hostile", hostile)):
        paths[kind] = folder / f"{kind}.html"
        paths[kind].write_text(html.render(result), encoding="utf-8")
    return paths


@pytest.fixture
def opened(browser: Any, saved: dict[str, Path]) -> Iterator[Callable[..., Any]]:
    """Opens a report; the page keeps what it requested, logged and asked."""
    contexts = []

    def open_page(kind: str, width: int = 1280, **options: Any) -> Any:
        context = browser.new_context(viewport={"width": width, "height": 900}, **options)
        contexts.append(context)
        tab = context.new_page()
        tab.events = []
        tab.on(
            "dialog",
            lambda dialog: (tab.events.append(("dialog", dialog.message)), dialog.dismiss()),
        )
        tab.on("console", lambda message: tab.events.append(("console", message.text)))
        tab.on("pageerror", lambda error: tab.events.append(("error", str(error))))
        tab.on("request", lambda request: tab.events.append(("request", request.url[:200])))
        tab.goto(saved[kind].as_uri(), wait_until="load")
        return tab

    yield open_page
    for context in contexts:
        context.close()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_is_requested_logged_or_asked(
    opened: Any, saved: dict[str, Path], kind: str, scheme: str
) -> None:
    tab = opened(kind, color_scheme=scheme)
    for folded in tab.query_selector_all("details:not([open]) > summary"):
        if folded.is_visible():
            folded.click()
    tab.mouse.move(300, 300)
    tab.wait_for_timeout(200)
    asked = [event for event in tab.events if event != ("request", "data:,")]
    assert asked == [("request", saved[kind].as_uri())]


def test_hostile_text_is_visible_as_text(opened: Any) -> None:
    text = opened("hostile").inner_text("body")
    for payload in (
        "<img src=x onerror=alert(1)>",
        "</script><script>alert(1)</script>",
        "{{7*7}}",
    ):
        assert payload in text


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("width", [320, 390, 700, 961, 1280])
def test_the_page_never_scrolls_sideways(opened: Any, kind: str, width: int) -> None:
    tab = opened(kind, width=width)
    assert tab.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("kind", KINDS)
def test_every_link_leads_somewhere_and_ids_are_unique(opened: Any, kind: str) -> None:
    tab = opened(kind)
    lost = tab.evaluate(
        """() => [...document.querySelectorAll("a[href], use")].map((e) => e.getAttribute("href"))
        .filter((h) => !h.startsWith("#") || !document.getElementById(h.slice(1)))"""
    )
    assert lost == []
    ids = tab.evaluate("[...document.querySelectorAll('[id]')].map((e) => e.id)")
    assert len(ids) == len(set(ids))


def test_both_colour_schemes_have_contrast_and_differ(opened: Any) -> None:
    papers = set()
    for scheme in ("light", "dark"):
        seen = opened("realistic", color_scheme=scheme).evaluate(CONTRAST)
        papers.add(seen["paper"])
        assert len(seen["worst"]) > 4
        assert min(seen["worst"].values()) >= 4.5, seen
    assert len(papers) == 2


def test_the_page_reads_the_same_without_script(opened: Any) -> None:
    with_script, without = opened("realistic"), opened("realistic", java_script_enabled=False)
    assert with_script.locator("main").inner_text() == without.locator("main").inner_text()
    assert without.locator("article.finding").count() == 14


def test_it_prints_with_the_evidence_unfolded_and_on_white(opened: Any) -> None:
    tab = opened("realistic", color_scheme="dark")
    tab.emulate_media(media="print", color_scheme="dark")
    assert tab.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    folded = tab.locator("details:not([open]) > .evidence").first
    assert folded.bounding_box()["height"] > 20
    document = tab.pdf(format="A4")
    assert document.startswith(b"%PDF-")
    assert 4 <= document.count(b"/Type /Page\n") + document.count(b"/Type/Page\n") <= 20


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_axe_finds_no_violation(opened: Any, scheme: str, width: int) -> None:
    package = pytest.importorskip("axe_playwright_python", reason="axe is not installed")
    source = (Path(package.__file__).parent / "axe.min.js").read_text(encoding="utf-8")
    tab = opened("realistic", width=width, color_scheme=scheme)
    tab.evaluate(source)
    found = tab.evaluate("async () => (await axe.run()).violations")
    assert [(v["id"], v["nodes"][0]["html"][:200]) for v in found] == []


def test_a_notebook_fragment_is_silent_too(browser: Any, hostile: AuditResult) -> None:
    tab = browser.new_page()
    seen: list[str] = []
    tab.on("dialog", lambda dialog: (seen.append(dialog.message), dialog.dismiss()))
    tab.on("request", lambda request: seen.append(request.url))
    tab.set_content(html.notebook(hostile))
    tab.wait_for_timeout(200)
    tab.close()
    assert seen == []
