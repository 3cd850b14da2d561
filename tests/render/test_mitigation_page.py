"""The page and the terminal summary of a mitigation."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from rich.console import Console

from auditkit.catalogue import record_schema
from auditkit.comparison import Change, Comparison, Side
from auditkit.finding import Interval
from auditkit.mitigation import Mitigation, Repair, Verdict
from auditkit.render.mitigation_page import render, view
from auditkit.render.mitigation_terminal import summary
from auditkit.training import Candidate, TrainingReport
from auditkit.training.trainer import Evaluation

HOSTILE = '<img src=x onerror="alert(1)">\u202e\x1b[31m{{7*7}}'


def change(word: str, direction: str = "max", **more: object) -> Change:
    settings: dict[str, object] = {
        "check": "fairness.equalized-odds",
        "name": "gap",
        "slice": "gender",
        "direction": direction,
        "limit": 0.1,
        "before": Side(0.2, Interval(0.1, 0.3), "fail", 400),
        "after": Side(0.05, Interval(0.0, 0.1), "pass", 400),
        "word": word,
        "difference": -0.15,
        "interval": Interval(-0.25, -0.05),
        "n": 400,
        "method": "paired Bayesian bootstrap",
    }
    return Change(**(settings | more))


CHANGES = (
    change("no difference shown", "min", check="", name="accuracy", slice="", limit=None,
           difference=0.01, interval=Interval(-0.02, 0.04)),
    change("improved", meant=True),
    change("worsened", "min", name="ratio"),
    change("no difference shown", slice="region", interval=Interval(None, 0.4)),
    change("not compared pairwise", check="robustness.natural-noise", name="invariance",
           slice="ocr/mild", difference=None, interval=None, n=0),
    change("before only", check="own.gone", after=None, difference=None, interval=None, n=0),
)  # fmt: skip


def mitigation(text: str = "plain", *changes: Change) -> Mitigation:
    verdict = Verdict(text, "a" * 64, 0, True, "Passed.")  # noqa: FBT003
    report = TrainingReport(
        "model", 900, 3, 100, 90, 60, (Evaluation(60, 0.3, 0.9),), "cpu", 1_000, 12.0
    )
    repair = Repair(
        remedy="robustness.embedding-pgd",
        title="Retrain",
        improves=("fairness",),
        params={"epochs": 3, "note": text},
        tried=(Candidate({"radius": 0.5}, 0.8, True), Candidate({"radius": 1.0}, 0.7, False)),  # noqa: FBT003
        model="robustness.embedding-pgd/model",
        audit="robustness.embedding-pgd/audit",
        verdict=verdict,
        trainings=(report,),
        comparison=Comparison(changes or CHANGES, 0.9983, 4, 20, 16, 40, 0.6),
        notes=(text,),
        warnings=(text,),
    )
    before = Verdict(text, "b" * 64, 1, False, "Blocked. failed: fairness.equalized-odds.")  # noqa: FBT003
    return Mitigation(
        title=text, before=before, audit="before", data=text, data_digest="d", split="test",
        rows=400, suite_digest="s" * 64, seed=0, confidence=0.95, training_rows=(text,),
        repairs=(repair,), judged=2, environment={"auditkit": "0.1.0"},
    )  # fmt: skip


class Tags(HTMLParser):
    """Collects tags, attributes and text."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data):
        self.text.append(data)


def parsed(page: str) -> Tags:
    tags = Tags()
    tags.feed(page)
    return tags


def test_every_measurement_stands_in_the_table_with_its_word_and_numbers():
    text = " ".join(" ".join(parsed(render(mitigation())).text).split())
    for word in ("improved", "worsened", "no difference shown", "not compared pairwise",
                 "before only"):  # fmt: skip
        assert word in text
    assert "0.2 0.05 −0.15 -0.25 to -0.05 fail → pass 400" in text
    assert "gap · gender · limit ≤ 0.1" in text
    assert "what the remedy is for" in text
    assert "Intervals of their own: 0.1 to 0.3 and 0 to 0.1." in text
    assert "20 errors were mended and 16 new ones made." in text
    assert "900 rows, 90 steps on cpu" in text
    assert "3 rows left out because they are audited" in text
    assert "Chosen by the validation rows radius = 0.5: 0.8" in text
    assert "the best of several owes something to chance" in text


def test_the_record_fits_its_schema_and_is_read_back():
    record = mitigation(HOSTILE)
    text = record.to_json()
    jsonschema.validate(json.loads(text), record_schema(Mitigation))
    assert Mitigation.from_json(text).to_json() == text


def test_the_page_is_offline_and_has_no_script():
    page = render(mitigation(HOSTILE))
    tags = parsed(page)
    assert "script" not in tags.tags
    assert "img" not in tags.tags
    assert "default-src 'none'" in page
    assert not [name for name, _ in tags.attributes if name.startswith("on")]
    addresses = [value for name, value in tags.attributes if name in {"href", "src"}]
    assert all(value.startswith(("#", "data:")) for value in addresses if value)


def test_text_from_outside_stays_text_and_visible():
    page = render(mitigation(HOSTILE))
    assert "&lt;img src=x" in page
    assert "{{7*7}}" in page
    assert "\u202e" not in page
    assert "\x1b" not in page


def test_better_is_to_the_right_whatever_the_direction():
    rows = [row for family in view(mitigation()).repairs[0].families for row in family.rows]
    improved, worsened = rows[1].strip, rows[2].strip
    assert improved.whisker.left > 50
    assert worsened.whisker.right < 50
    assert rows[3].strip.whisker.open_right
    assert rows[4].strip is None
    assert all(0 <= row.strip.whisker.left <= row.strip.whisker.right <= 100
               for row in rows if row.strip)  # fmt: skip


def test_many_measurements_are_cut_and_the_rest_is_counted():
    many = tuple(change("improved", slice=f"g{i}") for i in range(450))
    page = render(mitigation("t", *many))
    assert page.count("dot-pass") < 420
    assert "50 more" in page


def printed(record: Mitigation, encoding: str = "utf-8", ci: bool = False) -> str:
    import io

    file = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    console = Console(file=file, width=100)
    console.print(summary(record, ci_log=ci))
    file.flush()
    return file.buffer.getvalue().decode(encoding)


def test_the_terminal_shows_what_changed_and_what_was_hoped_for():
    text = " ".join(printed(mitigation()).split())
    assert "▲ improved: fairness.equalized-odds · gap · gender: 0.2 → 0.05" in text
    assert "accuracy: 0.2 → 0.05" in text
    assert "robustness.natural-noise" not in text
    assert "1 worsened, 1 improved, 2 no difference shown" in text
    assert "Exit code 0." in text


def test_the_terminal_obeys_nothing_in_the_text():
    text = printed(mitigation(HOSTILE + "\n::error::x"), ci=True)
    assert "\x1b[31m" not in text
    assert "::error" not in text
    assert "\u202e" not in text


def test_a_terminal_without_unicode_gets_letters():
    assert "improved" in printed(mitigation(), encoding="ascii")


@pytest.mark.parametrize("word", ["improved", "worsened", "no difference shown"])
def test_no_word_stands_by_colour_alone(word):
    page = render(mitigation())
    assert re.search(rf'aria-hidden="true">[▲▼=]</span> {word}', page)


@pytest.mark.browser
@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 390), ("light", 320)])
def test_in_a_browser_the_page_is_silent_accessible_and_never_wider(
    browser: Any, tmp_path: Path, scheme: str, width: int
) -> None:
    package = pytest.importorskip("axe_playwright_python", reason="axe is not installed")
    file = tmp_path / "mitigation.html"
    file.write_text(render(mitigation(HOSTILE)), encoding="utf-8")
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    tab, events = context.new_page(), []
    for event in ("dialog", "console", "pageerror", "request"):
        tab.on(event, lambda seen, event=event: events.append((event, getattr(seen, "url", seen))))
    tab.goto(file.as_uri(), wait_until="load")
    assert [one for one in events if one != ("request", "data:,")] == [("request", file.as_uri())]
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    assert HOSTILE[:12] in tab.inner_text("body")
    tab.evaluate((Path(package.__file__).parent / "axe.min.js").read_text(encoding="utf-8"))
    found = tab.evaluate("async () => (await axe.run()).violations")
    assert [(v["id"], v["nodes"][0]["html"][:200]) for v in found] == []
    context.close()
