"""Does an audit survive being killed? Prints a table; exit code 1 when a row is out.

    python benchmarks/crash.py [--kills N] [--checks N]

An audit of many checks is killed (SIGKILL) at random moments and run again. The result must be
that of an uninterrupted run in every byte but the times, the report must be its rendering, and at
most one check may be measured twice. Then the same with signals, full disks, a directory that may
not be written, runs side by side that fill one cache of answers, and two runs in one directory.
Every audit is a process of its own, forked so that it need not load the libraries again, and
begins with an empty cache.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, replace
from pathlib import Path

from auditkit.cli import main as auditkit_main
from auditkit.journal import read_journal
from auditkit.prediction_store import PredictionStore
from auditkit.render import render
from auditkit.result import AuditResult, Timing
from auditkit.verify import verify

ROWS, SECONDS_PER_CHECK = 200, 0.006
CHECK = """
import time
from pathlib import Path
from auditkit.check import Limit, check
from auditkit.finding import Bounds, Interval, Measurement, Severity, Table

@check("own.c{n:02}", title="c{n} holds", severity=Severity.HIGH, limits=(Limit("x", "max", 0.9),))
def measure(context, params):
    "One line."
    with Path(context.data.class_names and {log}).open("a") as log:
        log.write("c{n:02}\\n")
    time.sleep({seconds})
    answers = context.predictor.predict(context.data.inputs)
    value = 0.01 * {n} + 0.1 * float(context.rng.random()) * answers.labels.mean()
    ends = Interval(value - 0.01, value + 0.01)
    table = Table("t", ("a", "b"), tuple((i, i / 7) for i in range(20)))
    yield Measurement("x", value, len(context.data), Bounds(ends, ends, "m"), evidence=(table,))
"""

MODEL = """
def answer(texts):
    return [int(text.rpartition(" ")[2]) for text in texts]
"""


@dataclass(frozen=True)
class Ground:
    """Files every audit here shares."""

    folder: Path
    config: Path
    checks: int

    @classmethod
    def prepare(cls, folder: Path, checks: int) -> Ground:
        draw = random.Random(0)
        rows = [f"{n % 2},text {n} {int(draw.random() < 0.4)}" for n in range(ROWS)]
        (folder / "p.csv").write_text("\n".join(["label,text", *rows]))
        (folder / "crash_model.py").write_text(MODEL)
        sys.path.insert(0, str(folder))
        own = folder / "own"
        own.mkdir()
        for n in range(checks):
            log = "__import__('os').environ['CRASH_LOG']"
            text = CHECK.format(n=n, log=log, seconds=SECONDS_PER_CHECK)
            (own / f"c{n:02}.py").write_text(text)
        config = folder / "auditkit.toml"
        only = json.dumps([f"own.c{n:02}" for n in range(checks)])
        config.write_text(
            f'plugins = ["own"]\nonly = {only}\n[model]\ncallable = "crash_model:answer"\n'
            'class_names = ["0", "1"]\ndepends_on = []\n'
            '[data]\npath = "p.csv"\ntext = "text"\nlabel = "label"\nallow_below_chance = true\n'
        )
        return cls(folder, config, checks)

    def load_everything(self) -> None:
        """Import here what an audit imports, so that no child has to."""
        os.environ["CRASH_LOG"] = os.devnull
        os.environ["AUDITKIT_CACHE"] = str(self.folder / "loading.cache")
        out = self.folder / "loading"
        with (
            Path(os.devnull).open("w") as nowhere,
            redirect_stdout(nowhere),
            redirect_stderr(nowhere),
        ):
            auditkit_main(["run", str(self.config), "--out", str(out)])

    def fork(
        self, out: Path, before: Callable[[], None] = lambda: None, cache: Path | None = None
    ) -> int:
        """Start an audit in a process of its own; return its number."""
        out.parent.mkdir(parents=True, exist_ok=True)
        child = os.fork()
        if child:
            return child
        try:
            os.environ["CRASH_LOG"] = f"{out}.executed"
            os.environ["AUDITKIT_CACHE"] = str(cache or f"{out}.cache")
            said = os.open(f"{out}.said.{os.getpid()}", os.O_WRONLY | os.O_CREAT, 0o644)
            os.dup2(said, 1)
            os.dup2(said, 2)
            # A shell's background job ignores SIGINT, and so would this child.
            signal.signal(signal.SIGINT, signal.default_int_handler)
            before()
            code = auditkit_main(["run", str(self.config), "--out", str(out)])
            sys.stdout.flush()
            sys.stderr.flush()
        except BaseException as error:  # noqa: BLE001 - a child must not go on as its parent
            os.write(2, repr(error).encode())
            code = 99
        os._exit(code)

    def audit(self, out: Path, before: Callable[[], None] = lambda: None) -> tuple[int, str]:
        """An audit from start to end: exit code and what it said."""
        child = self.fork(out, before)
        return ended(child), Path(f"{out}.said.{child}").read_text()


def ended(child: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def executed(out: Path) -> int:
    log = Path(f"{out}.executed")
    return len(log.read_text().split()) if log.exists() else 0


def timeless(out: Path) -> tuple[str, str]:
    """Result and report without the times."""
    result = AuditResult.from_json((out / "result.json").read_bytes())
    result = replace(result, timing=Timing())
    return result.to_json(), render(result, "html")


@dataclass
class Row:
    """A line of the table."""

    what: str
    tries: int = 0
    good: int = 0
    most_again: int = 0
    remark: str = ""

    def add(self, good: bool, again: int, remark: str = "") -> None:
        self.tries += 1
        good = good and again <= 1
        self.good += good
        self.most_again = max(self.most_again, again)
        if not good:
            self.remark = remark or self.remark


class Trial:
    """The experiments, each against one uninterrupted run."""

    def __init__(self, ground: Ground) -> None:
        self.ground = ground
        self.draw = random.Random(1)
        ground.load_everything()
        self.reference = ground.folder / "reference" / "run"
        code, said = ground.audit(self.reference)
        if code:
            raise SystemExit(f"the uninterrupted run ended with {code}:\n{said}")
        began = time.perf_counter()
        ground.audit(ground.folder / "timed" / "run")
        self.seconds = time.perf_counter() - began
        self.expected = timeless(self.reference)

    def again(self, out: Path) -> int:
        """Checks that were measured more often than once."""
        return executed(out) - self.ground.checks

    def same(self, out: Path) -> bool:
        """The files here are those of the uninterrupted run, and proven."""
        return timeless(out) == self.expected and not verify(out).differences

    def interrupted(self, what: str, number: signal.Signals, tries: int, codes: set[int]) -> Row:
        row = Row(what)
        for attempt in range(tries):
            out = self.ground.folder / number.name / str(attempt) / "run"
            child = self.ground.fork(out)
            time.sleep(self.draw.uniform(0, 1.05 * self.seconds))
            os.kill(child, number)
            first = ended(child)
            second, said = self.ground.audit(out)
            good = first in codes | {0} and second == 0 and self.same(out)
            row.add(good, self.again(out), f"{attempt}: {first}, {second} {said[-300:]}")
        return row

    def full_disk(self, tries: int) -> Row:
        row = Row("file size limit (full disk)")
        largest = max(file.stat().st_size for file in self.reference.iterdir())
        for attempt in range(tries):
            out = self.ground.folder / "full" / str(attempt) / "run"
            row.add(*self._limited(out, largest * (attempt + 1) // (tries + 1)))
        return row

    def _limited(self, out: Path, size: int) -> tuple[bool, int, str]:
        reading, writing = os.pipe()

        def limit() -> None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
            os.environ["CRASH_LOG"] = os.devnull  # it must not hit the limit itself
            sys.stdout = sys.stderr = os.fdopen(writing, "w")  # nor must what is said

        first, _ = self.ground.audit(out, limit)
        os.close(writing)
        with os.fdopen(reading) as pipe:
            message = pipe.read()
        kept = len(read_journal(out / "events.jsonl").records)
        second, said = self.ground.audit(out)
        clear = "cannot be written" in message and "bytes are free" in message
        good = first == 4 and clear and "Traceback" not in message
        good = good and second == 0 and self.same(out)
        remark = f"{size} bytes: {first}, {second} {message[-300:]} {said[-200:]}"
        return good, self.again(out) + kept, remark

    def read_only(self) -> Row:
        row = Row("directory that may not be written")
        out = self.ground.folder / "closed" / "run"
        out.mkdir(parents=True)
        self.ground.folder.chmod(0o755)
        out.chmod(0o555)

        def nobody() -> None:
            if os.geteuid() == 0:
                os.setresuid(65534, 65534, 65534)

        code, said = self.ground.audit(out, nobody)
        clear = "Permission denied" in said and "bytes are free" in said
        row.add(code == 4 and clear and "Traceback" not in said, 0, f"{code} {said[-300:]}")
        return row

    def side_by_side(self, runs: int = 8) -> Row:
        row = Row(f"{runs} runs at once on one cache")
        cache = self.ground.folder / "many" / "cache"
        outs = [self.ground.folder / "many" / str(n) / "run" for n in range(runs)]
        children = [(out, self.ground.fork(out, cache=cache)) for out in outs]
        codes = [(out, ended(child)) for out, child in children]
        with PredictionStore(cache, read_only=True) as store:
            kept = store.contents().rows
        for out, code in codes:
            good = code == 0 and self.same(out) and kept == ROWS
            row.add(good, self.again(out), f"exit code {code}, {kept} answers kept")
        return row

    def one_directory(self, tries: int) -> Row:
        row = Row("two runs at once in one directory")
        for attempt in range(tries):
            out = self.ground.folder / "shared" / str(attempt) / "run"
            first = self.ground.fork(out)
            time.sleep(self.draw.uniform(0, self.seconds))
            second, said = self.ground.audit(out)
            codes = sorted((ended(first), second))
            # Either one was refused, or it came after the end and got the stored verdict.
            good = codes in ([0, 2], [0, 0]) and self.same(out)
            row.add(good, self.again(out), f"{codes} {said[-300:]}")
        return row


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--checks", type=int, default=40)
    options = parser.parse_args()
    kills, checks = options.kills, options.checks
    with tempfile.TemporaryDirectory() as folder:
        trial = Trial(Ground.prepare(Path(folder), checks))
        few = max(kills // 5, 1)
        rows = [
            trial.interrupted("kill -9", signal.SIGKILL, kills, {-9}),
            # Before the program has set up its handlers the default ends it: nothing is begun.
            trial.interrupted("SIGINT", signal.SIGINT, few, {130, -2}),
            trial.interrupted("SIGTERM", signal.SIGTERM, few, {143, -15}),
            trial.full_disk(few),
            trial.read_only(),
            trial.side_by_side(),
            trial.one_directory(few),
        ]
    print(f"{checks} checks, {trial.seconds:.2f} s uninterrupted\n")
    print(f"{'':36}{'tries':>6}{'as uninterrupted':>18}{'measured twice':>16}")
    for row in rows:
        print(f"{row.what:36}{row.tries:6}{row.good:18}{'at most ' + str(row.most_again):>16}")
        if row.remark:
            print(f"    {row.remark}")
    return int(any(row.good < row.tries for row in rows))


if __name__ == "__main__":
    sys.exit(main())
