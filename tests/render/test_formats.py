"""Every format says what the decision says, the same each time, whatever is in the text."""

from __future__ import annotations

import html as html_text
import io
import json
import re
import subprocess
import sys
import time
from dataclasses import replace
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest
from markdown_it import MarkdownIt

from auditkit.config import Policy
from auditkit.finding import Finding, Measurement, Outcome, Severity
from auditkit.gate import ExitCode, decide
from auditkit.render import FORMATS, UnknownFormatError, html, junit, markdown, render, terminal
from auditkit.render.heat import CUT
from auditkit.render.page import page
from auditkit.result import AuditResult
from tests.render.conftest import (
    DAY,
    PAYLOADS,
    finding,
    measured,
    passing_result,
    realistic_result,
    result_of,
)

VOID = {"meta", "link", "br", "hr", "img", "input"}


class Structure(HTMLParser):
    """Tags with their attributes; complains about tags that do not close."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(text)
        assert not self.open, self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("kind", ["realistic", "passing", "hostile"])
def test_the_same_result_gives_the_same_bytes(
    format: str, kind: str, request: pytest.FixtureRequest
) -> None:
    result: AuditResult = request.getfixturevalue(kind)
    once = render(result, format)
    assert once == render(result, format)
    assert once.encode("utf-8")


def test_equal_results_built_twice_render_alike() -> None:
    for format in FORMATS:
        assert render(realistic_result(), format) == render(realistic_result(), format)


def test_an_unknown_format_names_the_nearest() -> None:
    with pytest.raises(UnknownFormatError, match="'htm'") as caught:
        render(passing_result(), "htm")
    assert "html" in caught.value.hint


def test_importing_the_package_loads_no_template_engine() -> None:
    program = (
        "import sys, auditkit.render, auditkit.render.html, auditkit.render.terminal, "
        "auditkit.render.junit, auditkit.render.markdown; "
        "print([m for m in ('jinja2', 'rich', 'torch') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_json_is_the_record(realistic: AuditResult) -> None:
    assert json.loads(render(realistic, "json")) == json.loads(realistic.to_json())


# -- html


@pytest.mark.parametrize("kind", ["realistic", "passing", "hostile"])
def test_the_page_is_well_formed_offline_and_without_script(
    kind: str, request: pytest.FixtureRequest
) -> None:
    result: AuditResult = request.getfixturevalue(kind)
    structure = Structure(html.render(result))
    names = {tag for tag, _ in structure.tags}
    assert not names & {"script", "iframe", "object", "embed", "form", "img", "base"}
    assert names >= {"main", "header", "nav", "footer", "table", "svg"}
    ids = [a["id"] for _, a in structure.tags if "id" in a]
    assert len(ids) == len(set(ids))
    for tag, attributes in structure.tags:
        assert not [name for name in attributes if name.startswith("on")]
        link = attributes.get("href")
        if link is not None:
            assert link == "data:," or (link.startswith("#") and link[1:] in ids), (tag, link)
        assert "src" not in attributes
    policy = dict(structure.tags)["meta"]
    assert policy is not None
    content = [a.get("content") for t, a in structure.tags if t == "meta" and a.get("http-equiv")]
    assert content == ["default-src 'none'; img-src data:; style-src 'unsafe-inline'"]


def test_the_verdict_comes_first_and_what_blocks_links_to_its_finding(
    realistic: AuditResult,
) -> None:
    text = html.render(realistic)
    assert text.index("BLOCKED") < text.index("What blocks") < text.index("Overview")
    first = text[text.index("What blocks") : text.index('id="overview"')]
    for fingerprint in realistic.decision.blocking:
        assert f'href="#finding-{fingerprint}"' in first


def test_a_passing_page_says_pass_and_blocks_nothing(passing: AuditResult) -> None:
    text = html.render(passing)
    assert "✓</span> PASS" in text
    assert "What blocks" not in text


def test_every_finding_every_limit_and_every_waiver_is_on_the_page(realistic: AuditResult) -> None:
    text = html_text.unescape(html.render(realistic))
    for item in realistic.findings:
        assert item.message in text
    for check in realistic.suite.checks:
        assert check.id in text
    for waived in realistic.decision.waived:
        assert waived.reason in text
    for words in (
        *realistic.decision.unused_waivers,
        realistic.suite_digest,
        "left out by the configuration",
    ):
        assert words in text


def test_hostile_text_is_shown_as_text(hostile: AuditResult) -> None:
    text = html.render(hostile)
    for payload in ("<img src=x", "<script", "<style>@import", "<svg onload"):
        assert payload not in text
    assert "{{7*7}}" in text
    assert ">49<" not in text
    shown = html_text.unescape(re.sub(r"<[^>]*>", "", text))
    for payload in PAYLOADS[:8]:
        assert payload in shown
    assert not re.search(
        "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe]", text
    )
    assert "x" * (CUT + 1) not in text
    elsewhere = re.sub(r'<section class="evidence">.*?</section>', "", text, flags=re.DOTALL)
    assert "x" * 301 not in elsewhere


def test_findings_that_share_a_fingerprint_keep_anchors_of_their_own() -> None:
    same = finding(
        "a.b", "t", measured("gap", 0.2, 9), limit=0.1, direction="max", interval=(0.15, 0.3)
    )
    text = html.render(result_of((same, same)))
    assert text.count(f'id="finding-{same.fingerprint}"') == 1
    assert text.count(f'id="finding-{same.fingerprint}-2"') == 1


def test_a_result_with_nothing_in_it_still_renders() -> None:
    empty = result_of(())
    assert empty.decision.exit_code == ExitCode.NOTHING_RAN
    for format in FORMATS:
        assert render(empty, format)
    assert ElementTree.fromstring(junit.render(empty)).get("errors") == "1"


def test_a_hundred_thousand_groups_stay_small_and_fast(many_groups: AuditResult) -> None:
    for format in ("html", "junit", "md"):
        start = time.perf_counter()
        text = render(many_groups, format)
        assert time.perf_counter() - start < 5, format
        assert len(text.encode()) < 5_000_000, format
    view = page(many_groups)
    text = html.render(many_groups)
    assert view.more_findings == 1_600
    assert "1,600 more in result.json" in text
    assert "99,800 more in result.json" in text
    assert len(markdown.render(many_groups)) < 65_536


def test_what_blocks_is_kept_when_findings_are_left_out(many_groups: AuditResult) -> None:
    last = finding(
        "z.last",
        "t",
        measured("gap", 0.9, 9, "z"),
        limit=0.1,
        direction="max",
        interval=(0.8, 0.95),
    )
    passed = tuple(replace(item, outcome=Outcome.PASS) for item in many_groups.findings)
    text = html.render(result_of((*passed, last)))
    assert f'href="#finding-{last.fingerprint}"' in text
    assert f"finding-{last.fingerprint}" in text
    assert "z.last" in markdown.render(result_of((*passed, last)))


def test_a_notebook_gets_a_small_fragment(realistic: AuditResult, hostile: AuditResult) -> None:
    text = html.notebook(realistic)
    structure = Structure(text)
    assert structure.tags[0][0] == "div"
    assert {tag for tag, _ in structure.tags} <= {
        "div",
        "p",
        "span",
        "table",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
        "b",
    }
    assert "BLOCKED" in text
    assert len(text) < 20_000
    assert "<img" not in html.notebook(hostile)


# -- junit


def cases(text: str) -> dict[tuple[str, str], ElementTree.Element]:
    root = ElementTree.fromstring(text)
    return {(c.get("classname", ""), c.get("name", "")): c for c in root.iter("testcase")}


def test_junit_maps_every_outcome(realistic: AuditResult) -> None:
    found = cases(junit.render(realistic))
    expected = {
        ("fairness.selection-rate-gap", "gap · dialect"): "failure",
        ("fairness.selection-rate-gap", "gap · gender"): None,
        ("fairness.equal-opportunity", "gap · dialect"): "failure",
        ("fairness.equal-opportunity", "gap · dialect × gender"): "skipped",
        (
            "fairness.counterfactual-flip",
            "Exchanging a group term does not change the answer.",
        ): "error",
        ("fairness.base-rate", "The groups have comparable shares of positive labels."): "skipped",
        ("quality.calibration", "expected calibration error"): "skipped",
        ("quality.calibration", "brier score"): "skipped",
        ("robustness.typos", "Typos do not change answers."): "skipped",
        ("auditkit.decision", "decision"): None,
    }
    for key, tag in expected.items():
        tags = {child.tag for child in found[key]} & {"failure", "error", "skipped"}
        assert tags == ({tag} if tag else set()), key
    waived = found["quality.calibration", "expected calibration error"].find("skipped")
    assert waived is not None
    assert "recalibration is planned" in waived.get("message", "")


def test_junit_counts_are_those_of_its_cases(realistic: AuditResult) -> None:
    root = ElementTree.fromstring(junit.render(realistic))
    for element in (root, *root.findall("testsuite")):
        for name, tag in (
            ("tests", None),
            ("failures", "failure"),
            ("errors", "error"),
            ("skipped", "skipped"),
        ):
            number = sum(tag is None or c.find(tag) is not None for c in element.iter("testcase"))
            assert element.get(name) == str(number)
    assert [s.get("name") for s in root] == ["fairness", "quality", "robustness", "auditkit"]


def verdicts() -> list[AuditResult]:
    inconclusive = finding(
        "a.b", "t", measured("gap", 0.1, 9), limit=0.1, direction="max", interval=(0.0, 0.3)
    )
    idle = finding("a.c", "t", outcome=Outcome.NOT_APPLICABLE, message="no groups")
    crashed = finding("a.d", "t", outcome=Outcome.ERROR, message="crashed", severity=Severity.LOW)
    passed = finding(
        "a.e", "t", measured("gap", 0.0, 9), limit=0.1, direction="max", interval=(0.0, 0.05)
    )
    failed = finding(
        "a.f", "t", measured("gap", 0.5, 9), limit=0.1, direction="max", interval=(0.4, 0.6)
    )
    warn = Policy(inconclusive="warn")
    return [
        result_of((passed,)),
        result_of((passed, failed)),
        result_of((passed, inconclusive)),
        result_of((passed, inconclusive), warn),
        result_of((passed, crashed)),
        result_of((idle,)),
        result_of((passed, replace(idle, required=True))),
        result_of((passed, idle)),
        result_of(()),
    ]


@pytest.mark.parametrize("place", range(9))
def test_junit_is_red_exactly_when_the_exit_code_is_not_0(place: int) -> None:
    result = verdicts()[place]
    root = ElementTree.fromstring(junit.render(result))
    red = int(root.get("failures", "")) + int(root.get("errors", ""))
    assert (red > 0) == (result.decision.exit_code != 0)


def test_a_failure_the_policy_tolerates_is_skipped_and_says_so() -> None:
    low = finding(
        "a.b",
        "t",
        measured("gap", 0.5, 9),
        limit=0.1,
        direction="max",
        interval=(0.4, 0.6),
        severity=Severity.LOW,
    )
    result = result_of((low,))
    assert result.decision.exit_code == 0
    root = ElementTree.fromstring(junit.render(result))
    assert root.get("failures") == "0"
    skipped = next(iter(root.iter("skipped")))
    assert skipped.get("message", "").startswith("fail, tolerated by the policy")


def test_hostile_junit_parses(hostile: AuditResult) -> None:
    text = junit.render(hostile)
    ElementTree.fromstring(text.encode("utf-8"))
    assert len(cases(text)) > 10


# -- markdown


def test_markdown_says_verdict_and_what_blocks(realistic: AuditResult) -> None:
    text = markdown.render(realistic)
    assert text.startswith("## ✕ BLOCKED: ")
    assert "Exit code 1." in text
    listed = text[text.index("What blocks") : text.index("### Findings")]
    assert listed.count("\n- ") == len(realistic.decision.blocking)


def test_markdown_has_one_row_per_finding_whatever_their_names(hostile: AuditResult) -> None:
    rendered = (
        MarkdownIt("commonmark", {"html": True}).enable("table").render(markdown.render(hostile))
    )
    assert rendered.count("<tr>") == len(hostile.findings) + 1
    assert rendered.count("<td") == 6 * len(hostile.findings)
    for tag in ("<img", "<a ", "<script", "<style", "<svg"):
        assert tag not in rendered


# -- terminal


def printed(result: AuditResult, width: int = 80, encoding: str = "utf-8", **options: bool) -> str:
    from rich.console import Console

    class Stream(io.StringIO):
        @property
        def encoding(self) -> str:  # type: ignore[override]
            return encoding

    stream = Stream()
    # Not legacy_windows, whatever the machine: the bytes are compared.
    Console(file=stream, width=width, force_terminal=False, legacy_windows=False).print(
        terminal.summary(result, **options)
    )
    return stream.getvalue()


def test_the_terminal_shows_every_number_at_80_columns(realistic: AuditResult) -> None:
    text = printed(realistic, 80)
    assert max(map(len, text.splitlines())) <= 80
    for row in page(realistic).families[0].rows:
        for number in (row.row.value, row.row.interval, row.row.n, row.row.limit):
            assert number in text


def test_a_narrow_terminal_wraps_instead_of_cutting(realistic: AuditResult) -> None:
    text = printed(realistic, 44)
    assert max(map(len, text.splitlines())) <= 44
    assert "0.1631 to 0.2368" in " ".join(text.split())


def test_the_terminal_ends_with_why_the_build_is_blocked(realistic: AuditResult) -> None:
    end = " ".join(printed(realistic).split())[-260:]
    assert "BLOCKED" in end
    assert "fairness.worst-group-accuracy. Exit code 1." in end


def passes(count: int, direction: str) -> tuple[Finding, ...]:
    return tuple(
        Finding(
            "robustness.noise", "It holds", Outcome.PASS, Severity.LOW, "",
            Measurement(f"{direction}_share", 0.3 + i / 100, 100, None, f"part {i}"),
            limit=0.5 if direction == "max" else 0.2, direction=direction,
        )
        for i in range(count)
    )  # fmt: skip


def test_many_passes_of_one_measurement_are_the_one_nearest_to_its_limit(passing) -> None:
    odd = replace(passes(1, "max")[0], outcome=Outcome.FAIL)
    odd = replace(odd, measurement=replace(odd.measurement, slice="odd one"))
    many = replace(passing, findings=(*passes(7, "max"), odd, *passes(6, "min")))
    text = " ".join(printed(many, 200).split())
    assert "max share · part 6, worst of 7" in text
    assert "min share · part 0, worst of 6" in text
    assert "max share · odd one" in text
    assert text.count("noise") == 3
    few = replace(passing, findings=passes(4, "max"))
    assert "worst" not in printed(few, 200)
    assert printed(few, 200).count("max share") == 4


def test_a_console_that_is_not_unicode_gets_what_it_can_show(hostile: AuditResult) -> None:
    printed(hostile, encoding="cp1252").encode("cp1252")
    printed(hostile, encoding="ascii").encode("ascii")


@pytest.mark.parametrize("width", [44, 80, 200])
def test_a_ci_log_has_no_line_that_is_a_command(
    hostile: AuditResult, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    text = printed(hostile, width)
    assert "##[" not in text
    assert not any(line.lstrip().startswith("::") for line in text.splitlines())
    assert "\x1b" not in text


def test_markup_of_rich_in_a_name_is_text(hostile: AuditResult) -> None:
    assert "[bold red]markup[/]" in printed(hostile, 200, ci_log=False)


def test_decisions_of_the_fixture_cover_every_outcome(realistic: AuditResult) -> None:
    assert {item.outcome for item in realistic.findings} == set(Outcome)
    assert realistic.decision == decide(realistic.findings, realistic.policy, DAY)
