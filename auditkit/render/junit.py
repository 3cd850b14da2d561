"""JUnit XML: one suite per family, one case per finding, for the consumers that CI systems have.

Red here means what it means at the gate, so the file is red exactly when the exit code is not 0.
What JUnit cannot say (undecided, not applicable, waived, tolerated) is a skipped case that says so
in words.
"""

from __future__ import annotations

from xml.etree import ElementTree

from auditkit.finding import Outcome
from auditkit.gate import ExitCode
from auditkit.render.overview import Overview, Row, families, family_of, overview
from auditkit.render.text import plain, xml_legal
from auditkit.result import AuditResult, NotRun

_NAME = 200
_TOLERATED = "fail, tolerated by the policy: "
_BODY = 4_000


def render(result: AuditResult) -> str:
    """The result as JUnit XML, parsed back before it is returned."""
    seen = overview(result)
    root = ElementTree.Element("testsuites", {"name": _line(f"auditkit: {result.title}")})
    suites = {}
    timed: set[str] = set()
    for family in families(seen.rows):
        suite = suites[family.name] = _suite(root, family.name, result)
        for row in family.rows:
            # A check's seconds count once, however many findings it has.
            seconds = 0.0 if row.finding.check in timed else _seconds(row, result)
            timed.add(row.finding.check)
            _case(suite, row, seconds)
    for item in result.not_run:
        name = family_of(item.check)
        if name not in suites:
            suites[name] = _suite(root, name, result)
        _left_out(suites[name], item)
    _decision(root, seen, result)
    for element in (*root, root):
        _count(element)
    ElementTree.indent(root, " ")
    text = '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(
        root, encoding="unicode"
    )
    ElementTree.fromstring(text)  # noqa: S314 - our own output, to be sure that it can be read
    return text + "\n"


def _suite(root: ElementTree.Element, name: str, result: AuditResult) -> ElementTree.Element:
    suite = ElementTree.SubElement(root, "testsuite", {"name": _line(name)})
    if result.timing.started:
        # JUnit's timestamp has no zone.
        suite.set("timestamp", _line(result.timing.started).removesuffix("Z"))
    properties = ElementTree.SubElement(suite, "properties")
    for key, value in (
        ("model", result.subject.model),
        ("model digest", result.subject.model_digest),
        ("data", result.subject.data),
        ("data digest", result.subject.data_digest),
        ("suite digest", result.suite_digest),
    ):
        ElementTree.SubElement(properties, "property", {"name": key, "value": _line(value)})
    return suite


def _seconds(row: Row, result: AuditResult) -> float:
    return result.timing.checks.get(row.finding.check, 0.0)


def _case(suite: ElementTree.Element, row: Row, seconds: float) -> None:
    case = ElementTree.SubElement(
        suite,
        "testcase",
        {
            "classname": _line(row.finding.check),
            "name": _line(row.subject or row.finding.title),
            "time": f"{seconds:.3f}",
        },
    )
    tag, kind, why = _reading(row)
    if tag:
        message = f"{why}{row.finding.message}"
        element = ElementTree.SubElement(case, tag, {"message": _line(message, 500)})
        if tag != "skipped":
            element.set("type", kind)
            element.text = _body(row)
    elif row.finding.message:
        ElementTree.SubElement(case, "system-out").text = _text(row.finding.message)


def _reading(row: Row) -> tuple[str, str, str]:
    """Element ("" for a plain pass), its type, and what the message begins with."""
    blocks, waiver = row.standing == "blocks", row.waiver
    if row.standing == "waived" and waiver is not None:
        why = f"waived by {waiver.approved_by} until {waiver.expires}: {waiver.reason}; "
        return "skipped", "waived", why
    said = f"{row.mark.word}: "
    return {
        Outcome.PASS: ("", "", ""),
        Outcome.FAIL: ("failure" if blocks else "skipped", "fail", "" if blocks else _TOLERATED),
        Outcome.ERROR: ("error", "error", ""),
        Outcome.INCONCLUSIVE: ("failure" if blocks else "skipped", "inconclusive", said),
        # A required check that could not run blocks; skipping it would hide why.
        Outcome.NOT_APPLICABLE: ("error" if blocks else "skipped", "not applicable", said),
    }[row.finding.outcome]


def _body(row: Row) -> str:
    finding = row.finding
    lines = [finding.title, finding.message, f"severity: {finding.severity.value}"]
    if finding.measurement is not None:
        lines.append(f"value {row.value}, interval {row.interval}, limit {row.limit}, rows {row.n}")
    return "\n".join(_text(line) for line in lines if line)


def _left_out(suite: ElementTree.Element, item: NotRun) -> None:
    case = ElementTree.SubElement(
        suite,
        "testcase",
        {"classname": _line(item.check), "name": _line(item.title), "time": "0.000"},
    )
    ElementTree.SubElement(case, "skipped", {"message": _line(f"not run: {item.reason}", 500)})


def _decision(root: ElementTree.Element, seen: Overview, result: AuditResult) -> None:
    """The verdict as a case of its own, red when it is not a pass and no finding says why."""
    suite = _suite(root, "auditkit", result)
    case = ElementTree.SubElement(
        suite, "testcase", {"classname": "auditkit.decision", "name": "decision", "time": "0.000"}
    )
    head = seen.headline
    said = f"{head.word}, exit code {head.exit_code}: {head.reason}"
    if not head.passed and (not seen.blocking or head.exit_code == ExitCode.NOTHING_RAN):
        ElementTree.SubElement(case, "error", {"message": _line(said, 500), "type": "decision"})
    else:
        ElementTree.SubElement(case, "system-out").text = _text(said)


def _count(element: ElementTree.Element) -> None:
    cases = list(element.iter("testcase"))
    element.set("tests", str(len(cases)))
    for name, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        element.set(name, str(sum(case.find(tag) is not None for case in cases)))
    element.set("time", f"{sum(float(case.get('time', '0')) for case in cases):.3f}")


def _line(text: str, longest: int = _NAME) -> str:
    return xml_legal(plain(text, longest))


def _text(text: str) -> str:
    return xml_legal(plain(text, _BODY))
