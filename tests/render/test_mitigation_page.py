"""The page and the terminal summary of a mitigation."""

from __future__ import annotations

import dataclasses
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
from auditkit.mitigation import Failure, Mitigation, Repair, Verdict
from auditkit.remedy_choice import Choice, Standing, Target
from auditkit.render.mitigation_overview import overview
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


TARGET = Target("fairness.equalized-odds", "gap", "gender", "max", 0.1)


def stands(accuracy: float, gap: float | None) -> Standing:
    around = Interval(accuracy - 0.02, min(accuracy + 0.02, 1.0))
    interval = None if gap is None else Interval(max(gap - 0.04, 0.0), gap + 0.05)
    return Standing(accuracy, around, gap, interval, 400)


def several(text: str = "plain") -> Mitigation:
    """Four repairs: one fair and less accurate, one in between, one dominated, one unmeasured."""
    base = mitigation(text)
    names = ("fairness.reweighing", "fairness.threshold-optimizer", "fairness.group-dro", text)
    places = (stands(0.84, 0.03), stands(0.87, 0.07), stands(0.83, 0.15), stands(0.8, None))
    repairs = tuple(
        dataclasses.replace(base.repairs[0], remedy=name, audited=place, validated=place)
        for name, place in zip(names, places, strict=True)
    )
    before = stands(0.88, 0.2)
    choice = Choice("fairness.threshold-optimizer", "the most accurate within", f"because {text}")
    failure = Failure("robustness.augmentation", "Retrain", f"memory ran out. {text}")
    return dataclasses.replace(
        base, repairs=repairs, target=TARGET, audited=before, validated=before, choice=choice,
        failures=(failure,),
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
    record = several(HOSTILE)
    text = record.to_json()
    jsonschema.validate(json.loads(text), record_schema(Mitigation))
    assert Mitigation.from_json(text).to_json() == text


def test_the_page_is_offline_and_has_no_script():
    page = render(several(HOSTILE))
    tags = parsed(page)
    assert "script" not in tags.tags
    assert "img" not in tags.tags
    assert "default-src 'none'" in page
    assert not [name for name, _ in tags.attributes if name.startswith("on")]
    addresses = [value for name, value in tags.attributes if name in {"href", "src"}]
    assert all(value.startswith(("#", "data:")) for value in addresses if value)


def test_text_from_outside_stays_text_and_visible():
    page = render(several(HOSTILE))
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


def test_the_chart_has_every_model_the_frontier_and_the_chosen_one():
    chart = overview(several()).chart
    assert [point.label for point in chart.points] == ["0", "1", "2", "3"]
    assert [point.before for point in chart.points] == [True, False, False, False]
    assert [point.chosen for point in chart.points] == [False, False, True, False]
    for point in chart.points:
        assert point.left <= point.x <= point.right
        assert point.top <= point.y <= point.bottom
    # Fair and less accurate is left and low; two steps join three models.
    before, fair, between, _ = chart.points
    assert fair.x < between.x < before.x
    assert fair.y > between.y > before.y
    corners = [(line.x2, line.y2) for line in chart.frontier]
    assert corners == [(between.x, fair.y), (between.x, between.y),
                       (before.x, between.y), (before.x, before.y)]  # fmt: skip
    assert "on the frontier" in chart.words
    assert chart.limit_label == "limit 0.1"


def test_a_measurement_that_should_rise_is_better_to_the_right():
    record = several()
    target = dataclasses.replace(TARGET, direction="min")
    chart = overview(dataclasses.replace(record, target=target)).chart
    assert "better to the right" in chart.x_label
    assert len(chart.frontier) == 0  # the model before is best in both


def test_models_in_one_place_share_a_label():
    record = several()
    same = tuple(dataclasses.replace(one, audited=record.audited) for one in record.repairs)
    chart = overview(dataclasses.replace(record, repairs=same)).chart
    assert [point.label for point in chart.points] == ["0, 1, 2, 3, 4", "", "", "", ""]


def test_the_overview_says_what_was_chosen_by_which_rule_and_what_failed():
    text = " ".join(" ".join(parsed(render(several())).text).split())
    assert "Chosen: fairness.threshold-optimizer. because plain" in text
    assert "The rule: the most accurate within" in text
    assert "On the audited rows it goes from 0.2 to 0.05: improved." in text
    assert "1 of 6 measurements worsened there, and the gate lets it pass." in text
    assert "robustness.augmentation failed. memory ran out. plain" in text
    assert "pass, chosen, on the frontier" in text


def test_the_worst_of_a_family_stands_in_the_table():
    seen = overview(several())
    assert seen.columns == ("accuracy", "equalized-odds gap · gender",
                            "both on the validation rows", "worst in fairness",
                            "worst in robustness", "worst in own")  # fmt: skip
    cells = {cell.column: cell for cell in seen.rows[1].cells}
    assert cells["worst in fairness"].mark.word == "worsened"
    assert cells["worst in fairness"].detail.startswith("equalized-odds · ratio · gender, −0.15")
    assert cells["worst in robustness"].mark.word == "not compared pairwise"
    assert cells["both on the validation rows"].value == "0.84, 0.03"


def test_one_repair_has_an_overview_too():
    record = several()
    single = dataclasses.replace(record, repairs=record.repairs[:1], choice=None, failures=())
    assert len(overview(single).chart.points) == 2
    assert "Accuracy and what was to be improved" in render(single)
    assert overview(mitigation()).chart is None


def test_a_failed_remedy_makes_the_comparison_incomplete():
    record = several()
    assert record.exit_code == 4
    assert dataclasses.replace(record, failures=()).exit_code == 0
    blocked = Verdict("m", "d", 1, False, "Blocked.")  # noqa: FBT003
    repairs = tuple(dataclasses.replace(one, verdict=blocked) for one in record.repairs)
    assert dataclasses.replace(record, repairs=repairs).exit_code == 1


def test_the_terminal_shows_the_models_side_by_side():
    text = " ".join(printed(several()).split())
    assert "0 before (on the frontier): blocked" in text
    assert "2 fairness.threshold-optimizer (chosen, on the frontier): pass" in text
    assert "FAILED robustness.augmentation: memory ran out. plain" in text
    assert "Rule: the most accurate within" in text


def test_the_terminal_shows_what_changed_and_what_was_hoped_for():
    text = " ".join(printed(mitigation()).split())
    assert "▲ improved: fairness.equalized-odds · gap · gender: 0.2 → 0.05" in text
    assert "accuracy: 0.2 → 0.05" in text
    assert "robustness.natural-noise" not in text
    assert "1 worsened, 1 improved, 2 no difference shown" in text
    assert "Exit code 0." in text


def test_the_terminal_obeys_nothing_in_the_text():
    text = printed(several(HOSTILE + "\n::error::x"), ci=True)
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
    file.write_text(render(several(HOSTILE)), encoding="utf-8")
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
