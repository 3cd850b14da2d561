"""The gate: findings and a policy in, one exit code out."""

from __future__ import annotations

import datetime

import pytest

from auditkit.config import Policy, Waiver
from auditkit.finding import Finding, Measurement, Outcome, Severity
from auditkit.gate import decide

TODAY = datetime.date(2026, 5, 1)


def finding(
    outcome: str,
    severity: str = "high",
    check: str = "family.check",
    part: str = "sex",
    required: bool = False,
    measured: bool = True,
) -> Finding:
    measurement = Measurement("gap", 0.2, 100, None, slice=part) if measured else None
    return Finding(
        check,
        "title",
        Outcome(outcome),
        Severity(severity),
        "message",
        measurement,
        required=required,
    )


def waiver(
    check: str = "family.check", part: str | None = None, expires: str = "2026-12-31"
) -> Waiver:
    return Waiver(
        check=check,
        slice=part,
        reason="accepted for the pilot phase",
        approved_by="R. Hand",
        expires=datetime.date.fromisoformat(expires),
    )


@pytest.mark.parametrize(
    ("outcomes", "code"),
    [
        (["pass"], 0),
        (["pass", "not_applicable"], 0),
        (["fail"], 1),
        (["pass", "fail", "inconclusive", "error"], 1),
        (["inconclusive"], 3),
        (["pass", "inconclusive"], 3),
        (["error"], 4),
        (["pass", "error"], 4),
        (["error", "inconclusive"], 4),
        (["not_applicable"], 5),
        ([], 5),
    ],
)
def test_the_exit_code_follows_the_worst_outcome(outcomes, code):
    decision = decide([finding(outcome) for outcome in outcomes], Policy(), TODAY)
    assert decision.exit_code == code
    assert decision.passed is (code == 0)


def test_a_failure_below_the_blocking_severity_is_a_warning():
    found = [finding("pass"), finding("fail", "low", part="age")]
    decision = decide(found, Policy(fail_on="medium"), TODAY)
    assert decision.exit_code == 0
    assert decision.warnings == (found[1].fingerprint,)


def test_a_crash_blocks_whatever_its_severity():
    assert decide([finding("pass"), finding("error", "low")], Policy(), TODAY).exit_code == 4


def test_what_cannot_be_decided_may_be_let_through_by_policy_but_stays_a_warning():
    decision = decide(
        [finding("pass"), finding("inconclusive")], Policy(inconclusive="warn"), TODAY
    )
    assert decision.exit_code == 0
    assert len(decision.warnings) == 1


def test_only_warnings_are_no_nothing():
    assert decide([finding("inconclusive")], Policy(inconclusive="warn"), TODAY).exit_code == 0


def test_a_check_named_in_the_configuration_must_be_able_to_run():
    absent = finding("not_applicable", required=True, measured=False)
    assert decide([finding("pass"), absent], Policy(), TODAY).exit_code == 4
    reported = finding("not_applicable", required=True)
    assert decide([finding("pass"), reported], Policy(), TODAY).exit_code == 0


def test_a_waiver_lets_a_failure_through_and_keeps_it_in_the_record():
    failed = finding("fail")
    decision = decide([failed], Policy(waivers=[waiver()]), TODAY)
    assert decision.exit_code == 0
    assert decision.waived[0].fingerprint == failed.fingerprint
    assert decision.waived[0].approved_by == "R. Hand"


def test_a_waiver_for_one_slice_does_not_cover_another():
    found = [finding("fail", part="sex"), finding("fail", part="age")]
    decision = decide(found, Policy(waivers=[waiver(part="sex")]), TODAY)
    assert decision.exit_code == 1
    assert decision.blocking == (found[1].fingerprint,)


def test_a_waiver_holds_on_its_last_day_and_not_after():
    policy = Policy(waivers=[waiver(expires="2026-05-01")])
    assert decide([finding("fail")], policy, TODAY).exit_code == 0
    late = decide([finding("fail")], policy, TODAY + datetime.timedelta(days=1))
    assert late.exit_code == 1
    assert late.unused_waivers == ("family.check: expired on 2026-05-01",)


def test_a_crash_cannot_be_waived():
    decision = decide([finding("error")], Policy(waivers=[waiver()]), TODAY)
    assert decision.exit_code == 4
    assert decision.unused_waivers == ("family.check: nothing to waive",)


def test_the_reason_names_every_check_that_blocks():
    found = [finding("fail", check="a.one"), finding("error", check="b.two")]
    reason = decide(found, Policy(), TODAY).reason
    assert reason == "Blocked. failed: a.one; could not be completed: b.two."
