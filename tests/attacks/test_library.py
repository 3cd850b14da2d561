"""Importing TextAttack leaves the process, the home folder and the network alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

SCRIPT = """
import json, logging, os, random, socket, sys

def refuse(*_, **__):
    attempts.append("connect")
    raise OSError("no network in this test")

attempts = []
socket.socket.connect = refuse
socket.getaddrinfo = refuse
logger = logging.getLogger("somebody.elses")
before = dict(os.environ), random.getstate()
import auditkit.attacks
early = "textattack" in sys.modules or "nltk" in sys.modules or "torch" in sys.modules

from auditkit.attacks import AttackSettings, attack
from auditkit.testing import FakeModel

model = FakeModel(lambda text: [0.1, 0.9] if "good" in text else [0.9, 0.1])
outcomes = list(attack(["a good film"], [1], model.predict, "deepwordbug", AttackSettings()))
allowed = {"HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_DATASETS_OFFLINE", "HF_EVALUATE_OFFLINE",
    "HF_HUB_DISABLE_TELEMETRY", "HF_UPDATE_DOWNLOAD_COUNTS", "DO_NOT_TRACK", "USE_HUB_KERNELS"}
changed = {k for k in {*before[0], *os.environ} if before[0].get(k) != os.environ.get(k)}
import textattack
print(json.dumps({
    "early": early,
    "attempts": attempts,
    "status": str(outcomes[0].status),
    "changed": sorted(k for k in changed - allowed if not k.startswith(("KMP", "OMP", "TORCH"))),
    "disabled": logger.disabled,
    "finders": [type(f).__name__ for f in sys.meta_path if "StandIns" in type(f).__name__],
    "stand-ins": sorted(m for m in sys.modules if m.split(".")[0] in ("flair", "bert_score")),
    "random": random.getstate() == before[1],
    "said": textattack.shared.utils.logger.level,
}))
try:
    textattack.shared.utils.TextAttackFlairTokenizer()
except ModuleNotFoundError as error:
    print(error)
"""


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, object], str, Path, str]:
    """What a fresh process reports after its first attack, and the home folder it had."""
    home, scratch = tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("scratch")
    kept = ("PATH", "PYTHONPATH", "VIRTUAL_ENV", "SYSTEMROOT", "OMP_NUM_THREADS")
    environment = {name: os.environ[name] for name in kept if name in os.environ}
    environment |= {"HOME": str(home), "USERPROFILE": str(home), "TMPDIR": str(scratch)}
    done = subprocess.run(
        [sys.executable, "-W", "error::DeprecationWarning:auditkit", "-c", textwrap.dedent(SCRIPT)],
        capture_output=True, text=True, check=True, env=environment,
    )  # fmt: skip
    report, last = done.stdout.strip().splitlines()
    return json.loads(report), last, home, done.stderr


def test_textattack_is_imported_only_when_an_attack_runs(said):
    assert said[0]["early"] is False
    assert said[0]["status"] == "succeeded"


def test_nothing_tries_to_reach_the_network(said):
    assert said[0]["attempts"] == []


def test_nothing_is_written_to_the_home_folder(said):
    assert [p for p in said[2].rglob("*") if p.is_file()] == []


def test_the_process_is_as_it_was(said):
    report = said[0]
    assert report["changed"] == []
    assert report["disabled"] is False
    assert report["finders"] == []
    assert report["stand-ins"] == []
    assert report["random"] is True


def test_textattack_says_nothing(said):
    assert "textattack" not in said[3].lower()
    assert "nltk" not in said[3].lower()


def test_a_part_whose_package_was_left_out_says_which(said):
    assert "needs the package flair" in said[1]
    assert "Import textattack before" in said[1]
