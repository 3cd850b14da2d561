"""What every registered check owes its users."""

from __future__ import annotations

import pytest

from auditkit.registry import load_registry
from auditkit.testing import assert_check_contract

CHECKS = load_registry().checks


@pytest.mark.parametrize("check_id", CHECKS)
def test_the_check_keeps_the_contract(check_id):
    assert_check_contract(CHECKS[check_id])
