"""Run directories: resume, replay, refusal, history of seeds, and the proof of them."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import auditkit
from auditkit.cli import main
from auditkit.config import parse_config
from auditkit.errors import ResultError
from auditkit.forecast import forecast
from auditkit.journal import line_of, read_journal
from auditkit.manifest import write_manifest
from auditkit.result import SeedRun, Timing
from auditkit.run_lock import RunBusyError
from auditkit.run_store import RunMismatchError, RunStore, read_state
from auditkit.store import StoreError
from auditkit.verify import verify

CHECK = """
from pathlib import Path
from auditkit.check import Limit, check
from auditkit.finding import Bounds, Interval, Measurement, Severity

@check("own.c{n}", title="c{n} holds", severity=Severity.HIGH, limits=(Limit("x", "max", 0.5),))
def measure(context, params):
    "One line."
    with Path({log!r}).open("a") as log:
        log.write("own.c{n}\\n")
    {body}
    value = 0.01 * {n} + 0.001 * float(context.rng.random())
    ends = Interval(value - 0.01, value + 0.01)
    context.predictor.predict(context.data.inputs)
    yield Measurement("x", value, len(context.data), Bounds(ends, ends, "made up"), "a slice")
"""


class Bench:
    """A predictions file, own checks that count their executions, and a run directory."""

    def __init__(self, folder: Path, checks: int = 5) -> None:
        self.folder = folder
        self.out = folder / "run"
        self.log = folder / "executed.txt"
        self.plugins = folder / "own"
        self.plugins.mkdir()
        self.checks = checks
        for n in range(checks):
            self.write_check(n)
        self.write_data(0)
        self.config: dict[str, Any] = {
            "model": {"label_column": "prediction"},
            "data": {"path": str(folder / "p.csv"), "label": "label"},
            "plugins": [str(self.plugins)],
            "only": [f"own.c{n}" for n in range(checks)],
        }

    def write_check(self, n: int, body: str = "pass") -> None:
        text = CHECK.format(n=n, log=str(self.log), body=body)
        (self.plugins / f"c{n}.py").write_text(text)

    def write_data(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        rows = [f"{int(rng.random() < 0.5)},{int(rng.random() < 0.5)}" for _ in range(40)]
        (self.folder / "p.csv").write_text("\n".join(["label,prediction", *rows, "0,0", "1,1"]))

    def run(self, **more: Any) -> auditkit.Audit:
        return auditkit.run(self.config, out=self.out, **more)

    def executed(self) -> list[str]:
        """Checks executed since the last call."""
        names = self.log.read_text().split() if self.log.exists() else []
        self.log.write_text("")
        return names

    def cut_off(self, done: int) -> None:
        """Leave the directory as a kill after `done` checks would have."""
        events = self.out / "events.jsonl"
        lines = events.read_bytes().splitlines(keepends=True)
        state = json.loads((self.out / "run.json").read_text())
        state.update(status="started", exit_code=None)
        (self.out / "run.json").write_text(json.dumps(state))
        for file in ("result.json", "report.html", "junit.xml", "summary.md", "manifest.json"):
            (self.out / file).unlink(missing_ok=True)
        events.write_bytes(b"".join(lines[:done]))


@pytest.fixture
def bench(tmp_path) -> Bench:
    return Bench(tmp_path)


def timeless(audit: auditkit.Audit) -> str:
    from dataclasses import replace

    return replace(audit.result, timing=Timing()).to_json()


ALL = [f"own.c{n}" for n in range(5)]


def test_the_directory_holds_everything_and_proves_itself(bench):
    bench.run()
    assert {file.name for file in bench.out.iterdir()} == {
        "run.json", "events.jsonl", "result.json", "report.html", "junit.xml", "summary.md",
        "manifest.json",
    }  # fmt: skip
    assert read_state(bench.out).status == "complete"
    assert verify(bench.out).differences == ()


def test_with_and_without_a_directory_the_result_is_the_same(bench):
    assert timeless(bench.run()) == timeless(auditkit.run(bench.config))


def test_a_finished_run_answers_without_running_anything(bench):
    first = bench.run()
    assert bench.executed() == ALL
    before = {f: f.read_bytes() for f in bench.out.rglob("*") if f.is_file()}
    assert bench.run().result == first.result
    assert bench.executed() == []
    assert before == {f: f.read_bytes() for f in bench.out.rglob("*") if f.is_file()}


@pytest.mark.parametrize("done", range(6))
def test_a_run_that_was_cut_off_goes_on_and_ends_the_same(bench, done):
    whole = bench.run()
    html = (bench.out / "report.html").read_text()
    bench.executed()
    bench.cut_off(done)
    resumed = bench.run()
    assert bench.executed() == ALL[done:]
    assert timeless(resumed) == timeless(whole)
    assert resumed.result.replayed == ()
    assert (bench.out / "report.html").read_text().count("own.c1") == html.count("own.c1")
    assert verify(bench.out).differences == ()


def test_a_torn_line_and_a_changed_line_run_again_and_are_reported(bench, capsys):
    whole = bench.run()
    bench.cut_off(5)
    events = bench.out / "events.jsonl"
    lines = events.read_bytes().splitlines(keepends=True)
    lines[1] = lines[1].replace(b'"seconds":', b'"seconds": ')
    lines[4] = lines[4][:-20]
    events.write_bytes(b"".join(lines))
    bench.executed()
    notes: list[str] = []
    assert timeless(bench.run(observer=Noting(notes))) == timeless(whole)
    assert bench.executed() == ["own.c1", "own.c4"]
    assert any("cut off" in note for note in notes)
    assert any("set aside" in note for note in notes)
    assert (bench.out / "events.damaged").exists()


IN_PARTS = """
    for part in "ab", "cd", "ef":
        if context.kept.get(part) is None:
            with Path({log!r}).open("a") as log:
                log.write(part + "\\n")
            if part == "ef" and Path({stop!r}).exists():
                raise KeyboardInterrupt
            context.kept.put(part, [part, 1.5])
    assert [context.kept.get(part) for part in ("ab", "ef")] == [["ab", 1.5], ["ef", 1.5]]
"""


def test_a_long_check_that_was_cut_off_goes_on_where_it_stopped(bench):
    stop = bench.folder / "stop"
    bench.write_check(1, IN_PARTS.format(log=str(bench.log), stop=str(stop)).strip())
    whole = auditkit.run(bench.config)
    assert bench.executed() == ["own.c0", "own.c1", "ab", "cd", "ef", *ALL[2:]]
    stop.touch()
    with pytest.raises(KeyboardInterrupt):
        bench.run()
    assert bench.executed() == ["own.c0", "own.c1", "ab", "cd", "ef"]
    stop.unlink()
    resumed = bench.run()
    assert bench.executed() == ["own.c1", "ef", *ALL[2:]]
    assert timeless(resumed) == timeless(whole)
    assert verify(bench.out).differences == ()


def test_parts_of_a_check_bind_an_unfinished_run_and_serve_no_other(bench):
    stop = bench.folder / "stop"
    stop.touch()
    bench.write_check(0, IN_PARTS.format(log=str(bench.log), stop=str(stop)).strip())
    with pytest.raises(KeyboardInterrupt):
        bench.run()
    change_data(bench)
    with pytest.raises(RunMismatchError, match="0 checks done"):
        bench.run()
    stop.unlink()
    bench.executed()
    bench.run(fresh=True)
    assert bench.executed() == ["own.c0", "ab", "cd", "ef", *ALL[1:]]


class Noting:
    """An observer that keeps the notes."""

    def __init__(self, notes: list[str]) -> None:
        self.notes = notes

    def note(self, text: str) -> None:
        self.notes.append(text)

    def __getattr__(self, name: str) -> Any:
        return lambda *_, **__: None


def change_data(bench: Bench) -> None:
    bench.write_data(1)


def change_limit(bench: Bench) -> None:
    bench.config["checks"] = {"own.c1": {"limits": {"x": 0.4}}}


def change_seed(bench: Bench) -> None:
    bench.config["seed"] = 7


@pytest.mark.parametrize(
    ("change", "named"), [(change_data, "data"), (change_limit, "suite"), (change_seed, "seed 0 →")]
)
def test_an_unfinished_run_with_other_inputs_is_refused_by_name(bench, change, named):
    bench.run()
    bench.cut_off(2)
    change(bench)
    with pytest.raises(RunMismatchError, match=named) as refused:
        bench.run()
    assert "--fresh" in refused.value.hint
    assert "→" in refused.value.message
    bench.executed()
    bench.run(fresh=True)
    assert bench.executed() == ALL
    assert verify(bench.out).differences == ()


def test_an_unfinished_run_that_measured_nothing_yet_binds_nobody(bench):
    bench.run()
    bench.cut_off(0)
    bench.write_data(1)
    bench.executed()
    bench.run()
    assert bench.executed() == ALL


def test_in_a_finished_directory_only_what_changed_is_measured(bench):
    bench.run()
    bench.executed()
    bench.write_check(3, body="'changed'")
    second = bench.run()
    assert bench.executed() == ["own.c3"]
    assert second.result.replayed == ("own.c0", "own.c1", "own.c2", "own.c4")
    assert "own.c4" in (bench.out / "report.html").read_text().partition("Taken over")[2]
    earlier = list((bench.out / "runs").iterdir())
    assert len(earlier) == 1
    assert (earlier[0] / "result.json").exists()
    assert verify(bench.out).differences == ()
    bench.cut_off(2)
    bench.executed()
    assert timeless(bench.run()) == timeless(second)
    assert bench.executed() == ["own.c3"]


def test_what_an_earlier_run_asked_is_no_cost_of_a_run_that_replays_it(bench):
    first = bench.run().result.timing.asking
    bench.write_check(3, body="'changed'")
    second = bench.run().result.timing.asking
    # A check asks for all rows; beside the five of the first run there is what starting asks.
    rows = 42
    assert second.asked == first.asked - 4 * rows
    bench.cut_off(5)  # the four replayed ones and the changed one are done
    assert bench.run().result.timing.asking.asked == second.asked


def test_a_new_limit_judges_the_old_measurements_again(bench):
    assert bench.run().exit_code == 0
    bench.executed()
    bench.config["checks"] = {"own.c4": {"limits": {"x": 0.0}}}
    assert bench.run().exit_code == 1
    assert bench.executed() == []


def test_changed_data_measures_everything_again(bench):
    bench.run()
    bench.executed()
    bench.write_data(1)
    assert bench.run().result.replayed == ()
    assert bench.executed() == ALL


def test_a_new_policy_decides_again_without_measuring(bench):
    bench.config["checks"] = {"own.c4": {"limits": {"x": 0.0}}}
    assert bench.run().exit_code == 1
    bench.executed()
    bench.config["policy"] = {"fail_on": "critical"}
    assert bench.run().exit_code == 0
    assert bench.executed() == []
    assert verify(bench.out).differences == ()


def test_every_seed_is_shown_so_that_nobody_tries_until_it_is_green(bench):
    bench.run()
    bench.config["seed"] = 1
    bench.run()
    bench.config["seed"] = 2
    third = bench.run().result
    assert third.seeds_seen == (SeedRun(0, 0), SeedRun(1, 0))
    assert "0 (exit code 0), 1 (exit code 0)" in (bench.out / "report.html").read_text()
    bench.cut_off(3)
    bench.config["seed"] = 3
    assert bench.run(fresh=True).result.seeds_seen[-1] == SeedRun(2, None)


def test_a_crashed_check_is_never_replayed(bench):
    bench.write_check(2, body="raise RuntimeError(open(0 and 1 or '/nowhere/at/all').read())")
    assert bench.run().exit_code == 4
    assert read_state(bench.out).status == "error"
    assert bench.executed() == ALL
    assert bench.run().exit_code == 4
    assert bench.executed() == ["own.c2"]
    bench.write_check(2)
    mended = bench.run()
    assert bench.executed() == ["own.c2"]
    assert mended.exit_code == 0
    assert verify(bench.out).differences == ()


def test_two_runs_in_one_directory_do_not_mix(bench):
    with RunStore(bench.out), pytest.raises(RunBusyError, match="another run is at work"):
        bench.run()


def test_a_damaged_state_file_costs_no_measurement(bench):
    bench.run()
    (bench.out / "run.json").write_text("{")
    bench.executed()
    assert bench.run().result.replayed == tuple(ALL)
    assert bench.executed() == []


def test_a_stored_result_that_was_changed_is_not_believed(bench):
    bench.config["checks"] = {"own.c4": {"limits": {"x": 0.0}}}
    bench.run()
    file = bench.out / "result.json"
    file.write_text(file.read_text().replace('"exit_code": 1', '"exit_code": 0'))
    assert bench.run().exit_code == 1
    assert verify(bench.out).differences == ()


def test_a_report_that_fails_to_render_leaves_the_result(bench, monkeypatch):
    def broken(result: object) -> str:
        raise RuntimeError("no ink")

    monkeypatch.setattr("auditkit.render.html.render", broken)
    with pytest.raises(RuntimeError, match="no ink"):
        bench.run()
    assert (bench.out / "result.json").exists()
    assert (bench.out / "junit.xml").exists()


def test_a_function_whose_weights_changed_unseen_is_measured_again(bench, monkeypatch):
    module = bench.folder / "oracle.py"
    module.write_text(
        "import json\nfrom pathlib import Path\n"
        f"WEIGHTS = Path({str(bench.folder / 'weights.json')!r})\n"
        "def predict(texts):\n"
        "    p = json.loads(WEIGHTS.read_text())\n"
        "    return [[1 - p, p] if 'good' in t else [p, 1 - p] for t in texts]\n"
    )
    (bench.folder / "weights.json").write_text("0.9")
    rows = [f"{'good' if n % 2 else 'bad'} film {n},{n % 2}" for n in range(40)]
    (bench.folder / "p.csv").write_text("\n".join(["text,label", *rows]))
    monkeypatch.syspath_prepend(str(bench.folder))
    bench.config["model"] = {"callable": "oracle:predict", "class_names": ["0", "1"]}
    bench.config["data"]["text"] = "text"
    bench.run()
    assert bench.executed() == ALL
    bench.run()
    assert bench.executed() == []
    (bench.folder / "weights.json").write_text("0.8")
    bench.run()
    assert bench.executed() == ALL


def test_an_audited_split_is_part_of_the_question(bench):
    lines = (bench.folder / "p.csv").read_text().splitlines()
    split = [f"{line},{'ab'[n % 2]}" for n, line in enumerate(lines[1:])]
    (bench.folder / "p.csv").write_text("\n".join([lines[0] + ",part", *split]))
    bench.config["data"] |= {"split": "part", "evaluate": "a"}
    bench.run()
    bench.executed()
    bench.config["data"]["evaluate"] = "b"
    assert bench.run().result.subject.split == "b"
    assert bench.executed() == ALL


def test_another_sample_is_another_question(bench):
    bench.config["data"]["sample"] = 20
    assert bench.run().result.subject.rows == 20
    bench.executed()
    bench.config["data"]["sample"] = 30
    assert bench.run().result.subject.rows == 30
    assert bench.executed() == ALL


def damage_result(bench: Bench) -> None:
    path = bench.out / "report.html"
    path.write_text(path.read_text() + " ")


def crash_one(bench: Bench) -> None:
    bench.write_check(2, body="raise RuntimeError")
    bench.run()


@pytest.mark.parametrize(
    "change",
    [
        lambda bench: None,
        damage_result,
        crash_one,
        change_data,
        change_limit,
        change_seed,
        lambda bench: bench.write_check(3, body="'changed'"),
        lambda bench: bench.cut_off(2),
        lambda bench: bench.cut_off(0),
        lambda bench: (bench.write_check(3, body="'changed'"), bench.run(), bench.cut_off(1)),
        lambda bench: (change_data(bench), bench.run(fresh=True), bench.cut_off(1)),
        lambda bench: (bench.out / "run.json").write_text("{"),
        lambda bench: (bench.cut_off(0), change_data(bench)),
    ],
)
def test_what_a_run_will_find_is_foreseen(bench, change):
    bench.run()
    change(bench)
    expected, _ = forecast(parse_config({**bench.config, "report": {"directory": str(bench.out)}}))
    bench.executed()
    before = {f: f.read_bytes() for f in bench.out.rglob("*") if f.is_file()}
    result = bench.run().result
    executed = set(bench.executed())
    assert expected.found.recalled == set(ALL) - executed
    unchanged = before == {f: f.read_bytes() for f in bench.out.rglob("*") if f.is_file()}
    assert expected.found.stored == unchanged
    assert set(result.replayed) <= expected.found.recalled
    assert expected.found.note == ""


def test_a_run_that_will_be_refused_is_foreseen(bench):
    bench.run()
    bench.cut_off(2)
    change_data(bench)
    expected, _ = forecast(parse_config({**bench.config, "report": {"directory": str(bench.out)}}))
    assert expected.found.recalled == set()
    assert "unfinished run with other inputs" in expected.found.note
    with pytest.raises(RunMismatchError):
        bench.run()


# Proof


def test_every_changed_byte_is_found(bench):
    bench.run()
    bench.write_check(3, body="'changed'")
    bench.run()
    files = sorted(file for file in bench.out.rglob("*") if file.is_file())
    choose = random.Random(0)
    places = [(file, choose.randrange(file.stat().st_size)) for file in files]
    for _ in range(60):
        file = choose.choice(files)
        places.append((file, choose.randrange(file.stat().st_size)))
    for file, place in places:
        whole = file.read_bytes()
        changed = bytearray(whole)
        changed[place] ^= 1 << choose.randrange(8)
        file.write_bytes(changed)
        try:
            assert verify(bench.out).differences, (file, place)
        except ResultError:
            assert file == bench.out / "manifest.json"
        file.write_bytes(whole)
    assert verify(bench.out).differences == ()


def test_missing_and_extra_files_are_named(bench):
    bench.run()
    (bench.out / "junit.xml").unlink()
    (bench.out / "notes.txt").write_text("x")
    found = verify(bench.out).differences
    assert "junit.xml: is missing" in found
    assert "notes.txt: is not in the manifest" in found


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"value": 0.0', '"value": 0.3'),
        ('"outcome": "pass"', '"outcome": "fail"'),
        ('"n": 42', '"n": 43'),
        ('"exit_code": 0', '"exit_code": 1'),
        ('"severity": "high"', '"severity": "low"'),
        ('"method": "made up"', '"method": "made"'),
        ('"title": "c1 holds"', '"title": "c1 hold"'),
    ],
)
def test_a_change_hidden_by_a_new_manifest_is_still_found(bench, old, new):
    result = bench.run().result
    file = bench.out / "result.json"
    text = file.read_text()
    at = text.index('"findings"')
    assert old in text[at:] or old in text
    changed = (
        text[:at] + text[at:].replace(old, new, 1)
        if old in text[at:]
        else text.replace(old, new, 1)
    )
    file.write_text(changed)
    write_manifest(bench.out, result.suite_digest)
    assert verify(bench.out).differences


def test_a_measurement_changed_everywhere_at_once_contradicts_its_verdict(bench):
    result = bench.run().result
    file, events = bench.out / "result.json", bench.out / "events.jsonl"
    value = result.findings[3].measurement.value
    file.write_text(file.read_text().replace(repr(value), "0.44"))
    lines = [
        json.loads(json.dumps(record).replace(repr(value), "0.44"))
        for record in read_journal(events).records
    ]
    events.write_bytes(b"".join(map(line_of, lines)))
    write_manifest(bench.out, result.suite_digest)
    found = verify(bench.out).differences
    assert any("outside its own" in line or "changed" in line for line in found), found


def test_verify_on_the_command_line(bench, capsys):
    bench.run()
    assert main(["verify", str(bench.out)]) == 0
    assert "every verdict follows" in capsys.readouterr().out
    (bench.out / "summary.md").write_text("PASS")
    assert main(["verify", str(bench.out)]) == 1
    assert "summary.md: was changed" in capsys.readouterr().out
    (bench.out / "manifest.json").unlink()
    assert main(["verify", str(bench.out)]) == 2
    assert main(["verify", str(bench.folder / "nowhere")]) == 2


# The machine in the way


def command_line(bench: Bench) -> list[str]:
    config = parse_config(bench.config)
    plugins, only = json.dumps(config.plugins), json.dumps(config.only)
    (bench.folder / "auditkit.toml").write_text(
        f"plugins = {plugins}\nonly = {only}\n"
        '[model]\nlabel_column = "prediction"\n[data]\npath = "p.csv"\nlabel = "label"\n'
        f"[report]\ndirectory = {json.dumps(str(bench.out))}\n"
    )
    return [sys.executable, "-m", "auditkit", "run", str(bench.folder / "auditkit.toml")]


def _as_in_front() -> None:
    """A shell's background job ignores SIGINT, and so would whatever it starts."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGTERM", 143)])
def test_a_signal_keeps_what_is_finished_and_says_how_to_go_on(bench, name, code):
    bench.write_check(2, body=f"import os, signal; os.kill(os.getpid(), signal.{name})")
    done = subprocess.run(
        command_line(bench), capture_output=True, text=True, check=False, preexec_fn=_as_in_front
    )
    assert done.returncode == code, done.stderr
    assert f"stopped by {name}; 2 finished checks are kept" in done.stderr
    assert "Run the same command again" in done.stderr
    assert "Traceback" not in done.stderr
    assert read_state(bench.out).status == "started"
    assert bench.executed() == ALL[:3]
    bench.write_check(2)
    bench.run()
    assert bench.executed() == ALL[2:]


SWALLOWED = """import os, signal
    try:
        os.kill(os.getpid(), signal.SIGINT)
    except KeyboardInterrupt:
        raise {error}("native code made this of it") from None
"""


@pytest.mark.parametrize("error", ["ImportError", "BaseException"])
def test_a_signal_that_native_code_turns_into_another_error_still_stops(bench, error):
    bench.write_check(2, body=SWALLOWED.format(error=error))
    done = subprocess.run(
        command_line(bench), capture_output=True, text=True, check=False, preexec_fn=_as_in_front
    )
    assert done.returncode == 130, done.stderr
    assert "stopped by SIGINT; 2 finished checks are kept" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_full_disk_says_where_and_loses_nothing(bench):
    bench.write_check(
        3, body="import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (1000, -1))"
    )
    done = subprocess.run(command_line(bench), capture_output=True, text=True, check=False)
    assert done.returncode == 4, done.stderr
    assert "events.jsonl: cannot be written (File too large)" in done.stderr
    assert "bytes are free" in done.stderr
    assert "Traceback" not in done.stderr
    bench.write_check(3)
    bench.executed()
    bench.run()
    assert bench.executed() == ["own.c3", "own.c4"]


@pytest.mark.skipif(os.name == "nt", reason="POSIX rights")
def test_a_directory_that_may_not_be_written_says_so():
    code = """
        import os, sys, tempfile
        from pathlib import Path
        from auditkit.run_store import RunStore
        from auditkit.store import StoreError
        with tempfile.TemporaryDirectory() as folder:
            os.chmod(folder, 0o555)
            if os.geteuid() == 0:
                os.setresuid(65534, 65534, 0)
            try:
                RunStore(Path(folder)).__enter__()
            except StoreError as error:
                print(error.exit_code, error)
            os.setresuid(-1, os.getresuid()[2], -1)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("4 "), done.stdout
    assert "Permission denied" in done.stdout
    assert "bytes are free" in done.stdout


def test_a_parent_that_is_a_file_is_the_users_to_mend(tmp_path):
    (tmp_path / "taken").write_text("x")
    with pytest.raises(StoreError) as refused, RunStore(tmp_path / "taken" / "run"):
        pass
    assert refused.value.exit_code == 2
