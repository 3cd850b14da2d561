"""What is read of the machine: fingerprint, load, energy, memory of a new process."""

from __future__ import annotations

import dataclasses
import json

import pytest

from auditkit.config import ModelConfig
from auditkit.errors import ModelError
from auditkit.fresh_start import peak_bytes, start_fresh
from auditkit.latency.energy import RaplMeter, Readings, nvml, rapl
from auditkit.latency.hardware import Busy, Hardware, host

CPUINFO = "processor\t: 0\nmodel name\t: Example 9000 @ 3 GHz\n"


def files(root, **contents):
    for name, text in contents.items():
        file = root / name.replace("__", "/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)


def test_the_fingerprint_changes_with_the_machine_and_with_nothing_else(tmp_path):
    files(tmp_path, proc__cpuinfo=CPUINFO)
    said = host(tmp_path, cores=4)
    assert said["processor"] == "Example 9000 @ 3 GHz"
    assert said["cores"] == "4"
    one = Hardware(said).fingerprint
    assert one == Hardware(dict(reversed(said.items()))).fingerprint
    assert one != Hardware(host(tmp_path, cores=8)).fingerprint
    assert len(one) == 12


def test_threads_and_the_governor_are_part_of_it(tmp_path, monkeypatch):
    files(tmp_path, sys__devices__system__cpu__cpu0__cpufreq__scaling_governor="powersave\n")
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    said = host(tmp_path)
    assert (said["governor"], said["OMP_NUM_THREADS"]) == ("powersave", "3")


def test_cores_that_others_took_are_those_of_all_less_the_own(tmp_path):
    before = Busy(100.0, 10.0, 500.0, None, None)
    after = dataclasses.replace(before, moment=110.0, own=18.0, all=520.0)
    assert after.others_since(before) == pytest.approx(1.2)
    assert dataclasses.replace(after, all=None).others_since(before) is None
    assert before.others_since(before) is None


def test_busy_seconds_leave_out_idle_and_waiting(tmp_path, monkeypatch):
    monkeypatch.setattr("os.sysconf", lambda _: 100)
    files(
        tmp_path, proc__stat="cpu  100 20 30 9999 8888 4 5 6 0 0\ncpu0 1 2 3\n",
        sys__class__thermal__thermal_zone0__temp="41000",
        sys__class__thermal__thermal_zone1__temp="63500\n",
    )  # fmt: skip
    read = Busy.read(tmp_path)
    assert read.all == pytest.approx(1.65)
    assert read.hottest == 63.5


def test_a_machine_that_tells_nothing_is_read_as_that(tmp_path):
    read = Busy.read(tmp_path)
    assert (read.all, read.hottest) == (None, None)


def test_joules_are_those_of_all_packages_and_the_counter_may_start_again(tmp_path):
    zones = tmp_path / "sys/class/powercap"
    for zone, count in (("intel-rapl:0", 900), ("intel-rapl:1", 100), ("intel-rapl:0:0", 5)):
        files(zones / zone, energy_uj=str(count), max_energy_range_uj="1000")
    meter = rapl(tmp_path)
    assert meter is not None
    files(zones / "intel-rapl:0", energy_uj="100")  # beyond its range: 200 more
    files(zones / "intel-rapl:1", energy_uj="150")
    assert meter.joules() == pytest.approx(250e-6)
    assert meter.joules() == pytest.approx(250e-6)


def test_without_a_meter_there_is_none(tmp_path):
    assert rapl(tmp_path) is None
    assert nvml() is None or nvml().joules() >= 0


def test_readings_are_differences_for_each_meter(tmp_path):
    counts = iter([5.0, 7.0, 10.0])

    class Meter:
        name = "m"

        def joules(self):
            return next(counts)

    readings, told = Readings([Meter()]), []
    readings.read()
    advance = readings.told(told.append)
    advance(0.5)
    advance(1.0)
    assert readings.joules()["m"].tolist() == [2.0, 3.0]
    assert told == [0.5, 1.0]
    assert Readings([]).joules() == {}


def test_the_most_memory_is_that_of_this_process(tmp_path):
    status = tmp_path / "status"
    status.write_text("Name:\tx\nVmPeak:\t 99999 kB\nVmHWM:\t   1234 kB\n")
    assert peak_bytes(status) == 1234 * 1024
    assert peak_bytes() > 10_000_000


MODEL = """
import numpy as np
import time

BALLAST = np.ones({megabytes} * 131072)

def predict(texts):
    time.sleep(0.05)
    return np.tile([0.25, 0.75], (len(texts), 1))
"""


def test_a_new_process_loads_answers_and_says_what_it_took(tmp_path, monkeypatch):
    (tmp_path / "heavy.py").write_text(MODEL.format(megabytes=64))
    monkeypatch.chdir(tmp_path)
    took = start_fresh(ModelConfig(callable="heavy:predict"), ["a", "b", "c"], 2, online=False)
    assert took.ready == pytest.approx(took.imported + took.loaded + took.first)
    assert 0.05 <= took.second <= took.ready + 60
    assert took.first >= 0.05
    assert took.host_loaded - took.host_start > 60_000_000
    assert took.host_peak >= took.host_loaded
    assert took.device_peak is None
    assert json.dumps(dataclasses.asdict(took))


def test_a_process_that_fails_says_why(tmp_path, monkeypatch):
    (tmp_path / "broken_model.py").write_text("raise RuntimeError('no weights here')")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelError, match="no weights here"):
        start_fresh(ModelConfig(callable="broken_model:predict"), ["a"], 1, online=False)


def test_a_meter_reads_its_folders(tmp_path):
    files(tmp_path, energy_uj="1000000", max_energy_range_uj="9000000")
    meter = RaplMeter([tmp_path])
    assert meter.joules() == 0.0
    files(tmp_path, energy_uj="3000000")
    assert meter.joules() == 2.0
