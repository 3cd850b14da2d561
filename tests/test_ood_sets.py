"""Named sets out of distribution: how they are told, made, refused, and what they make a run."""

from __future__ import annotations

import gzip
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import auditkit
from auditkit.config import ModelConfig, load_config, parse_config
from auditkit.data import in_distribution
from auditkit.engine import capabilities_of, with_plan
from auditkit.errors import AuditkitError, ConfigError, DataError
from auditkit.forecast import forecast
from auditkit.group_thresholds import FILE_NAME, GroupThresholds
from auditkit.model import Capability
from auditkit.models.transformers_text import load_transformers
from auditkit.ood_sets import sampled
from auditkit.preflight import Prepared, prepare
from auditkit.registry import load_registry
from auditkit.training import remedy_rows

MODEL = """
from pathlib import Path
import numpy as np

def ask(texts):
    with Path({log!r}).open("a") as log:
        log.writelines(text + "\\n" for text in texts)
    return np.array([[0.3, 0.7] if "good" in text else [0.7, 0.3] for text in texts])
"""
CHECK = """
from pathlib import Path
from auditkit.check import Limit, check
from auditkit.finding import Measurement, Severity
from auditkit.model import Capability

@check("own.sets", title="sets", severity=Severity.LOW, needs={needs},
       limits=(Limit("rows", "max", None, highest=1e9),))
def measure(context, params):
    "One line."
    with Path({log!r}).open("a") as log:
        log.write("measured\\n")
    context.predictor.predict(context.data.inputs)
    for name, shift in context.shifts.items():
        context.predictor.predict(shift.data.inputs)
        yield Measurement("rows", float(len(shift.data)), len(shift.data), None, name)
    n = -1 if context.training is None else len(context.training)
    yield Measurement("rows", float(n), 1, None, "trained on")
    for name, data in context.held_out.items():
        yield Measurement("rows", float(len(data)), 1, None, "held out: " + name)
"""
WORDS = ("plot", "story", "actor", "music", "scene", "camera", "score", "cast")


def rows_of(n: int, tag: str = "") -> list[str]:
    """Different texts with label, domain and year; a third of them are about kitchens."""
    lines = []
    for i in range(n):
        label = ("bad", "good")[i % 2]
        domain = "kitchen" if i % 3 == 0 else "films"
        text = f"{label} {tag}{WORDS[i % 8]} {WORDS[i // 8 % 8]} {'very ' * (i % 5)}no {i}"
        lines.append(f"{text},{label},{domain},{2000 + i % 20},{'ab'[i % 2]},{i // 4}")
    return lines


HEADER = "text,label,domain,year,sex,author"


class Bench:
    """A data file, a model that notes what it is asked, a check that notes when it runs."""

    def __init__(self, folder: Path, needs: str = "{Capability.SHIFTS}") -> None:
        self.folder, self.log, self.ran = folder, folder / "asked.txt", folder / "ran.txt"
        (folder / "own").mkdir()
        (folder / "own" / "c.py").write_text(CHECK.format(log=str(self.ran), needs=needs))
        (folder / f"model_of_{folder.name}.py").write_text(MODEL.format(log=str(self.log)))
        self.write("d.csv", rows_of(120))
        self.config: dict[str, Any] = {
            "model": {
                "callable": f"model_of_{folder.name}:ask",
                "class_names": ["bad", "good"],
                "depends_on": [],
            },
            "data": {"path": str(folder / "d.csv"), "text": "text", "label": "label"},
            "plugins": [str(folder / "own")],
            "only": ["own.sets"],
            "cache": {"directory": str(folder / "cache")},
            "report": {"directory": str(folder / "run")},
        }

    def write(self, name: str, lines: list[str], header: str = HEADER) -> str:
        file = self.folder / name
        file.write_text("\n".join([header, *lines]), encoding="utf-8")
        return str(file)

    def sets(self, **sets: dict[str, Any]) -> Bench:
        self.config["data"]["ood"] = sets
        return self

    def prepared(self) -> Prepared:
        return prepare(parse_config(self.config))

    def refusal(self) -> str:
        with pytest.raises(AuditkitError) as caught:
            self.prepared()
        return str(caught.value)

    def asked(self) -> list[str]:
        return self.log.read_text().splitlines() if self.log.exists() else []


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.syspath_prepend(str(tmp_path))
    return Bench(tmp_path)


KITCHEN = {"column": "domain", "values": ["kitchen"]}


# --- the configuration ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({}, "exactly one of"),
        ({"values": ["x"]}, "exactly one of"),
        ({"path": "a.csv", "shift": "length"}, "exactly one of"),
        ({"shift": "length", "shift_file": "f.py"}, "exactly one of"),
        ({"column": "c", "shift": "length"}, "column does not go with length"),
        ({"column": "c"}, "either values, or after and before"),
        ({"column": "c", "values": ["x"], "after": 3}, "either values, or after and before"),
        ({"column": "c", "values": []}, "at least 1 item"),
        ({"path": "a.csv", "after": 3}, "name the column"),
        ({"column": "c", "values": ["x"], "label": "y"}, "label does not go with column"),
        ({"shift": "length", "words": ["x"]}, "words does not go with length"),
        ({"shift": "length", "share": 1.0}, "less than 1"),
        ({"shift": "topic", "words": ["x"], "share": 0.2}, "not by both"),
        ({"shift": "label-prior"}, "needs shares"),
        ({"shift": "label-prior", "shares": {"a": 0.5}}, "sum to 0.5"),
        ({"shift": "lenght"}, "length"),
        ({"path": "https://x.org/a.csv"}, "nothing is fetched"),
        ({"pth": "a.csv"}, "unknown key data.ood.s.pth"),
    ],
)
def test_a_set_that_is_not_told_in_exactly_one_way_is_refused(bench, table, said):
    with pytest.raises(ConfigError) as caught:
        parse_config(bench.sets(s=table).config)
    assert said in str(caught.value)


def test_paths_of_sets_are_taken_from_the_folder_of_the_configuration(tmp_path):
    (tmp_path / "a.toml").write_text(
        'model.path = "m"\n[data]\npath = "d.csv"\n[data.ood.one]\npath = "o.csv"\n'
        '[data.ood.two]\nshift_file = "f.py"\n[data.ood.three]\ncolumn = "day"\n'
        "after = 2024-01-31\n"
    )
    ood = load_config(tmp_path / "a.toml").data.ood
    assert ood["one"].path == str(tmp_path / "o.csv")
    assert ood["two"].shift_file == str(tmp_path / "f.py")


# --- what is in a set -----------------------------------------------------------------------------


def test_a_domain_column_takes_its_rows_out_of_distribution(bench):
    prepared = bench.sets(kitchen=KITCHEN).prepared()
    shift = prepared.shifts["kitchen"]
    assert shift.origin.tolist() == list(range(0, 120, 3)) == shift.taken.tolist()
    assert shift.data.inputs == tuple(prepared.audited.inputs[i] for i in range(0, 120, 3))
    assert prepared.audited.labels is not None
    assert shift.data.labels.tolist() == prepared.audited.labels[::3].tolist()
    left = in_distribution(120, prepared.shifts)
    assert left.tolist() == [i for i in range(120) if i % 3]
    assert prepared.assumptions["in distribution"].startswith("80 of 120")


@pytest.mark.parametrize(
    ("after", "before", "years"),
    [(2018, None, {2018, 2019}), ("2018", "2019", {2018}), (None, 2001.5, {2000, 2001})],
)
def test_numbers_of_a_column_are_taken_at_or_after_and_before(bench, after, before, years):
    table = {"column": "year"} | {
        k: v for k, v in (("after", after), ("before", before)) if v is not None
    }
    shift = bench.sets(later=table).prepared().shifts["later"]
    assert {2000 + row % 20 for row in shift.origin.tolist()} == years


def test_dates_are_compared_as_moments_and_rows_without_one_are_in_no_set(bench):
    days = ["2024-01-01", "", "2023-12-31T23:59:59", "2024-01-01T01:00:00+02:00", "2024-02-01"]
    bench.write("d.csv", [f"good {i},good,{day}" for i, day in enumerate(days)], "text,label,day")
    shift = bench.sets(later={"column": "day", "after": "2024-01-01"}).prepared().shifts["later"]
    assert shift.origin.tolist() == [0, 4]


def test_a_file_of_its_own_keeps_to_the_columns_of_the_data_unless_told_otherwise(bench):
    bench.config["data"] |= {"sensitive": ["sex"], "cluster": "author"}
    path = bench.write("o.csv", rows_of(30, "other "))
    strange = bench.write("s.csv", ["a fine film,pos,1", "a dull film,neg,1"], "review,y,g")
    prepared = bench.sets(
        other={"path": path},
        some={"path": path, **KITCHEN},
        strange={
            "path": strange, "text": "review", "label": "y", "sensitive": ["g"],
            "label_map": {"pos": "good", "neg": "bad"},
        },
    ).prepared()  # fmt: skip
    other, some, strange = (prepared.shifts[name] for name in ("other", "some", "strange"))
    assert len(other.data) == 30
    assert not len(other.taken)
    assert set(other.origin.tolist()) == {-1}
    assert list(other.data.groups) == ["sex"]
    assert not set(other.data.clusters) & set(prepared.audited.clusters)
    assert len(some.data) == 10
    assert strange.data.labels.tolist() == [1, 0]
    assert len(set(strange.data.clusters)) == 2
    assert len(in_distribution(120, prepared.shifts)) == 120


def test_a_file_without_labels_is_a_set_without_labels(bench):
    path = bench.write("o.csv", ["one", "two"], "text")
    assert bench.sets(o={"path": path}).prepared().shifts["o"].data.labels is None


def test_the_split_column_names_rows_of_another_split(bench):
    lines = [f"{line},{('test', 'ood', 'train')[i % 3]}" for i, line in enumerate(rows_of(90))]
    bench.write("d.csv", lines, f"{HEADER},split")
    bench.config["data"]["split"] = "split"
    prepared = bench.sets(
        late={"column": "split", "values": ["ood"]}, a={"column": "sex", "values": ["a"]}
    ).prepared()
    assert len(prepared.shifts["late"].data) == 30
    assert not len(prepared.shifts["late"].taken)
    assert prepared.shifts["a"].origin.tolist() == list(range(0, 30, 2))


def test_the_longest_texts_are_one_set_and_a_topic_another(bench):
    prepared = bench.sets(
        long={"shift": "length", "share": 0.1},
        music={"shift": "topic", "words": ["MUSIC", "ca"]},
    ).prepared()
    inputs = prepared.audited.inputs
    long, music = prepared.shifts["long"], prepared.shifts["music"]
    shortest = min(len(text) for text in long.data.inputs)
    assert len(long.data) >= 12
    assert {i for i, text in enumerate(inputs) if len(text) >= shortest} == set(long.taken)
    assert set(music.taken) == {i for i, text in enumerate(inputs) if "music" in text.split()}


def test_a_topic_is_found_by_the_words_of_the_texts(bench):
    about = ("soup salt pan", "court judge law", "goal ball team", "rain wind snow")
    lines = [f"{words} a{i % 7} b{i % 11} {i},good" for words in about for i in range(100)]
    bench.write("d.csv", lines, "text,label")
    shift = bench.sets(topic={"shift": "topic", "share": 0.25}).prepared().shifts["topic"]
    kinds = {text.split()[0] for text in shift.data.inputs}
    assert len(kinds) == 1
    assert shift.said.startswith("100 texts of one topic (")
    again = bench.prepared().shifts["topic"]
    assert again.digest == shift.digest


def test_class_shares_are_drawn_from_half_of_the_rows_and_the_other_half_stays_as_it_was(bench):
    bench.write("d.csv", rows_of(2000))
    shares = {"good": 0.9, "bad": 0.1}
    prepared = bench.sets(
        kitchen=KITCHEN, prior={"shift": "label-prior", "shares": shares}
    ).prepared()
    shift = prepared.shifts["prior"]
    assert shift.data.labels.mean() == pytest.approx(0.9, abs=0.01)
    assert set(shift.origin) <= set(shift.taken)
    assert not set(shift.taken) & set(prepared.shifts["kitchen"].taken)
    left = in_distribution(2000, prepared.shifts)
    assert prepared.audited.labels[left].mean() == pytest.approx(0.5, abs=0.05)
    assert len(left) == pytest.approx(667, abs=60)


def test_rows_of_a_cluster_and_copies_of_a_text_are_set_aside_together(bench):
    bench.config["data"]["cluster"] = "author"
    prior = {"shift": "label-prior", "shares": {"good": 0.5, "bad": 0.5}}
    prepared = bench.sets(prior=prior).prepared()
    aside = {prepared.audited.clusters[row] for row in prepared.shifts["prior"].taken}
    left = {prepared.audited.clusters[row] for row in in_distribution(120, prepared.shifts)}
    assert aside
    assert left
    assert not aside & left


def test_a_function_of_the_user_changes_the_texts_it_is_given(bench):
    file = bench.folder / "shift.py"
    file.write_text(
        "def shift(texts, labels, seed):\n"
        "    assert set(labels) == {'good', 'bad'}\n"
        "    return [f'{seed} ' + text.upper() for text in texts]\n"
    )
    bench.config["seed"] = 7
    prepared = bench.sets(loud={"shift_file": str(file)}).prepared()
    shift = prepared.shifts["loud"]
    changed = [f"7 {prepared.audited.inputs[row].upper()}" for row in shift.origin]
    assert list(shift.data.inputs) == changed
    assert shift.data.labels.tolist() == prepared.audited.labels[shift.origin].tolist()
    assert shift.taken.tolist() == shift.origin.tolist()


def test_what_people_marked_stays_with_a_text_and_not_with_a_changed_one(bench):
    (bench.folder / "shift.py").write_text("def shift(texts, labels, seed):\n    return texts\n")
    bench.write("d.csv", [f'{line},"[[0, 3]]"' for line in rows_of(120)], f"{HEADER},why")
    marked = bench.write("o.csv", ["a film,bad,[1]"], "text,label,why")
    plain = bench.write("p.csv", ["a film,bad"], "text,label")
    bench.config["data"]["rationale"] = "why"
    shifts = bench.sets(
        kitchen=KITCHEN, changed={"shift_file": str(bench.folder / "shift.py")},
        marked={"path": marked}, plain={"path": plain},
    ).prepared().shifts  # fmt: skip
    assert set(shifts["kitchen"].data.rationales) == {((0, 3),)}
    assert shifts["marked"].data.rationales == (((1, 2),),)
    assert shifts["changed"].data.rationales is None
    assert shifts["plain"].data.rationales is None


def test_rows_may_be_in_two_sets_and_are_in_distribution_in_neither(bench):
    prepared = bench.sets(
        kitchen=KITCHEN, old={"column": "year", "before": 2010}, same=KITCHEN
    ).prepared()
    taken = [set(shift.taken) for shift in prepared.shifts.values()]
    assert taken[0] & taken[1]
    assert taken[0] == taken[2]
    left = set(in_distribution(120, prepared.shifts))
    assert left == set(range(120)) - taken[0] - taken[1]


def test_a_sample_keeps_the_sets_to_its_rows(bench):
    path = bench.write("o.csv", rows_of(100, "other "))
    bench.sets(kitchen=KITCHEN, other={"path": path})
    whole = bench.prepared()
    bench.config["data"]["sample"] = 60
    prepared = bench.prepared()
    kitchen = prepared.shifts["kitchen"]
    assert len(prepared.shifts["other"].data) == 60
    assert prepared.shifts["other"].said.endswith("Of these, 60 are in the sample.")
    assert 0 < len(kitchen.data) < 40
    assert kitchen.data.inputs == tuple(prepared.audited.inputs[i] for i in kitchen.origin)
    assert kitchen.taken.tolist() == kitchen.origin.tolist()
    everything = sampled(whole.shifts, np.arange(120), 120, 0)
    assert {n: s.digest for n, s in everything.items()} == {
        n: s.digest for n, s in whole.shifts.items()
    }
    assert everything["other"].said == whole.shifts["other"].said


# --- what is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"column": "domian", "values": ["x"]}, "no column 'domian'"),
        ({"column": "domain", "values": ["kitchens"]}, "Did you mean 'kitchen'"),
        ({"column": "domain", "after": 3}, "neither a number nor an ISO date"),
        ({"column": "year", "after": "soon"}, "'soon' cannot be compared"),
        ({"column": "year", "after": 3000}, "no row is in this set"),
        ({"column": "year", "after": 0}, "nothing is left in distribution"),
        ({"path": "missing.csv"}, "no such file"),
        ({"shift": "topic", "words": ["zebra"]}, "no row is in this set"),
        ({"shift": "label-prior", "shares": {"great": 1.0}}, "no class of the model"),
        ({"shift_file": "missing.py"}, "no such file"),
    ],
)
def test_a_set_that_cannot_be_made_is_refused_by_its_name(bench, table, said):
    message = bench.sets(s=table).refusal()
    assert said in message
    assert "nothing is left" in said or "[data.ood.s]" in message


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("o.csv", b"\x80\x04\x95\n", "a Python pickle, which auditkit never opens"),
        ("o.csv", b"text,label\na,good\nb\n", "line 3 has 1 fields"),
        ("o.csv", b"text,label\na\0,good\n", "NUL character"),
        ("o.csv", b"text,label\n\xff\xfe,good\n", "not UTF-8"),
        ("o.csv", b"words,label\na,good\n", "no column 'text'"),
        ("o.csv", b"text,label\na,great\n", "match no class"),
        ("o.csv", b"text,label\na,\n", "is missing in 1 of 1 rows"),
        ("o.csv", b"", "the file is empty"),
        ("o.parquet", b"text,label\na,good\n", "not a parquet file"),
        ("o.csv.gz", gzip.compress(b"text,label\na,good\n", mtime=0)[:-9], "gzip data is damaged"),
        ("o.pkl", b"", "names no format"),
    ],
)
def test_a_hostile_file_is_refused_by_the_readers_of_the_data(bench, name, content, said):
    (bench.folder / name).write_bytes(content)
    message = bench.sets(s={"path": str(bench.folder / name)}).refusal()
    assert said in message
    assert "[data.ood.s]" in message


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("def shift(texts, labels, seed): return texts[1:]", "not as many"),
        ("def shift(texts, labels, seed): return 'x' * len(texts)", "no list of texts"),
        ("def shift(texts, labels, seed): return [1] * len(texts)", "not all texts"),
        ("def shift(texts, labels, seed): raise SystemExit(0)", "shift failed: SystemExit"),
        ("def shift(texts): return texts", "shift failed: TypeError"),
        ("shift = 3", "no function shift"),
        ("raise SystemExit(0)", "cannot be loaded: SystemExit"),
        ("def shift(:", "cannot be loaded: SyntaxError"),
    ],
)
def test_a_function_that_breaks_its_promise_is_refused(bench, code, said):
    file = bench.folder / "f.py"
    file.write_text(code)
    assert said in bench.sets(s={"shift_file": str(file)}).refusal()


def test_recorded_predictions_know_nothing_of_another_file(bench):
    path = bench.write("o.csv", rows_of(5))
    bench.config["model"] = {"label_column": "domain", "class_names": ["kitchen", "films"]}
    bench.config["data"] |= {"label": None, "allow_below_chance": True}
    for table in ({"path": path}, {"shift_file": "f.py"}):
        assert "only recorded predictions" in bench.sets(s=table).refusal()
    prepared = bench.sets(s=KITCHEN, long={"shift": "length"}).prepared()
    assert prepared.shifts["s"].data.inputs == tuple(range(0, 120, 3))
    assert len(prepared.shifts["long"].data) == 16


def test_a_text_that_is_in_distribution_too_is_said(bench):
    path = bench.write("o.csv", [*rows_of(4), *rows_of(6, "other ")])
    warnings = bench.sets(o={"path": path}).prepared().warnings
    assert any(said.startswith("4 of 10 texts of 'o' also occur in") for said in warnings)


def test_long_and_empty_texts_of_a_set_are_said(bench, tiny_model):
    path = bench.write("o.csv", [f"{'good film ' * 30},good", "  ,bad", "a film,bad"], "text,label")
    bench.config["model"] = {"path": str(tiny_model), "device": "cpu"}
    bench.config["data"]["label_map"] = {"bad": "negative", "good": "positive"}
    warnings = bench.sets(o={"path": path}).prepared().warnings
    assert "1 of 3 texts of 'o' are empty." in warnings
    assert any(said.startswith("1 of 3 texts of 'o' are longer than 48") for said in warnings)


def test_a_set_without_the_attribute_that_thresholds_decide_by_is_refused(bench, tiny_model):
    folder = bench.folder / "model"
    shutil.copytree(tiny_model, folder)
    digest = load_transformers(ModelConfig(path=str(folder), device="cpu"), online=False).digest
    rule = GroupThresholds("sex", "positive", {"a": 0.4, "b": 0.6}, digest)
    (folder / FILE_NAME).write_text(rule.to_json())
    bench.config["model"] = {"path": str(folder), "device": "cpu"}
    bench.config["data"] |= {
        "label_map": {"bad": "negative", "good": "positive"}, "sensitive": ["sex"],
        "allow_below_chance": True,
    }  # fmt: skip
    kitchen = bench.sets(kitchen=KITCHEN).prepared().shifts["kitchen"]
    assert kitchen.data.inputs[1][1] == "b"
    path = bench.write("o.csv", ["a film,bad"], "text,label")
    assert "have no attribute 'sex'" in bench.sets(o={"path": path}).refusal()


def test_rows_to_train_on_may_not_be_in_a_set(bench):
    lines = [f"{line},{('test', 'train')[i % 2]}" for i, line in enumerate(rows_of(80))]
    bench.write("d.csv", lines, f"{HEADER},split")
    bench.config["data"]["split"] = "split"
    config = parse_config(bench.sets(s={"path": bench.write("o.csv", rows_of(80)[1:4])}).config)
    with pytest.raises(DataError, match="2 of 40 rows are also audited"):
        remedy_rows(config, prepare(config))


# --- what it makes a run --------------------------------------------------------------------------


def test_the_sets_are_part_of_what_was_audited(bench):
    path = bench.write("o.csv", rows_of(20, "other "))
    without = bench.prepared().data_digest
    first = bench.sets(o={"path": path}).prepared().data_digest
    renamed = bench.sets(p={"path": path}).prepared().data_digest
    bench.write("o.csv", rows_of(21, "other "))
    longer = bench.prepared().data_digest
    assert len({without, first, renamed, longer}) == 4


def test_a_check_sees_the_sets_and_nothing_is_asked_twice(bench):
    path = bench.write("o.csv", [*rows_of(5), *rows_of(20, "other ")])
    bench.sets(kitchen=KITCHEN, other={"path": path}, again={"path": path})
    audit = auditkit.run(bench.config, out=bench.folder / "run")
    rows = {f.measurement.slice: f.measurement.value for f in audit.findings}
    assert rows == {"kitchen": 40, "other": 25, "again": 25, "trained on": -1}
    known, asked = set(bench.prepared().audited.inputs), bench.asked()
    others = [text for text in asked if text not in known]
    assert len(others) == len(set(others)) == 20


def test_a_run_is_replayed_until_a_set_changes(bench):
    path = bench.write("o.csv", rows_of(20, "other "))
    bench.sets(other={"path": path})
    for expected in (1, 1):
        auditkit.run(bench.config, out=bench.folder / "run")
        assert len(bench.ran.read_text().splitlines()) == expected
    bench.write("o.csv", rows_of(21, "other "))
    audit = auditkit.run(bench.config, out=bench.folder / "run")
    assert len(bench.ran.read_text().splitlines()) == 2
    rows = {f.measurement.slice: f.measurement.value for f in audit.findings}
    assert rows["other"] == 21


def test_without_a_set_the_check_says_what_is_missing(bench):
    audit = auditkit.run(bench.config)
    assert "[data.ood.NAME]" in audit.findings[0].message


def test_a_plan_counts_the_texts_of_the_sets(bench):
    path = bench.write("o.csv", rows_of(30, "other "))
    bench.sets(other={"path": path}, kitchen=KITCHEN)
    expected, _ = forecast(parse_config(bench.config))
    (cost,) = expected.checks
    assert cost.asked is not None
    assert (cost.asks, cost.asked.distinct, cost.asked.cached) == (True, 30, 0)
    auditkit.run(bench.config)
    expected, _ = forecast(parse_config(bench.config))
    assert expected.checks[0].asked.cached == 30


# --- the rows the model was trained on ------------------------------------------------------------


@pytest.fixture
def training_bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.syspath_prepend(str(tmp_path))
    return Bench(tmp_path, "{Capability.TRAINING_ROWS}")


def trained(bench: Bench) -> float:
    audit = auditkit.run(bench.config, out=bench.folder / "run")
    (finding,) = audit.findings
    assert finding.measurement is not None, finding.message
    return finding.measurement.value


def test_training_rows_come_from_a_file_or_a_split(training_bench):
    bench = training_bench
    path = bench.write("train.csv", rows_of(50, "train "))
    bench.config["training"] = {"path": path}
    assert trained(bench) == 50
    bench.write("train.csv", rows_of(51, "train "))
    assert trained(bench) == 51
    assert trained(bench) == 51
    assert len(bench.ran.read_text().splitlines()) == 2
    lines = [f"{line},{('test', 'train')[i % 4 == 0]}" for i, line in enumerate(rows_of(80))]
    bench.write("d.csv", lines, f"{HEADER},split")
    bench.config["training"] = {}
    bench.config["data"]["split"] = "split"
    assert trained(bench) == 20


def with_splits(bench: Bench, **changed: str) -> None:
    """Rows in the splits test, train, validation and dev; some texts changed in one of them."""
    splits = ("test", "train", "validation", "dev")
    lines = [f"{line},{splits[i % 4]}" for i, line in enumerate(rows_of(80))]
    for split, text in changed.items():
        at = splits.index(split)
        lines[at] = ",".join([f"good {text}", *lines[at].split(",")[1:]])
    bench.write("d.csv", lines, f"{HEADER},split")
    bench.config["data"]["split"] = "split"


def held_out(bench: Bench) -> set[str]:
    """The splits that the check saw besides the audited and the training rows."""
    audit = auditkit.run(bench.config, out=bench.folder / "run")
    slices = [one.measurement.slice for one in audit.findings if one.measurement is not None]
    return {name.removeprefix("held out: ") for name in slices if name.startswith("held out: ")}


def test_splits_neither_audited_nor_trained_on_are_seen_whichever_is_audited(training_bench):
    bench = training_bench
    with_splits(bench)
    assert held_out(bench) == {"validation", "dev"}
    bench.config["data"]["evaluate"] = "dev"
    assert held_out(bench) == {"validation", "test"}
    bench.config["training"] = {"split": "validation"}
    assert held_out(bench) == {"train", "test"}
    bench.config["training"] = {"path": bench.write("train.csv", rows_of(50, "train "))}
    assert held_out(bench) == {"validation", "test"}


def test_a_changed_row_of_any_split_is_measured_again(training_bench):
    bench = training_bench
    with_splits(bench)
    held_out(bench)
    held_out(bench)
    assert len(bench.ran.read_text().splitlines()) == 1
    with_splits(bench, validation="another plot")
    held_out(bench)
    assert len(bench.ran.read_text().splitlines()) == 2
    # The same training rows, which the file names by no split, and other splits held out.
    bench.config["training"] = {"path": bench.write("train.csv", rows_of(50, "train "))}
    held_out(bench)
    assert len(bench.ran.read_text().splitlines()) == 3
    bench.config["training"]["split"] = "dev"
    assert held_out(bench) == {"train", "validation"}
    assert len(bench.ran.read_text().splitlines()) == 4


def test_splits_are_seen_only_by_a_check_that_needs_training_rows(bench):
    with_splits(bench.sets(kitchen=KITCHEN))
    assert held_out(bench) == set()


def test_without_training_rows_the_check_says_what_is_missing(training_bench):
    audit = auditkit.run(training_bench.config)
    assert "trained on" in audit.findings[0].message
    config = parse_config(training_bench.config)
    assert Capability.TRAINING_ROWS not in capabilities_of(config, training_bench.prepared())


def test_training_rows_are_read_only_for_a_check_that_needs_them(bench):
    path = bench.write("train.csv", ["a", "b"], "words")
    bench.config["training"] = {"path": path}
    config = parse_config(bench.sets(kitchen=KITCHEN).config)
    registry = load_registry([bench.folder / "own"])
    prepared, plan = with_plan(config, registry, prepare(config))
    assert prepared.training is None
    assert not plan.checks[0].obstacle


# --- what a check uses where it is there ----------------------------------------------------------


def test_what_a_check_uses_and_is_not_there_is_told_to_it(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    bench = Bench(tmp_path, "{Capability.PROBABILITIES}, uses={Capability.TRAINING_ROWS}")
    config = parse_config(bench.config)
    registry = load_registry([bench.folder / "own"])
    _, plan = with_plan(config, registry, prepare(config))
    assert not plan.checks[0].obstacle
    assert "trained on" in plan.checks[0].lacking[Capability.TRAINING_ROWS]
    assert trained(bench) == -1
    bench.config["training"] = {"path": bench.write("train.csv", rows_of(50, "train "))}
    assert trained(bench) == 50
    bench.write("train.csv", rows_of(51, "train "))
    assert trained(bench) == 51


def test_detection_runs_on_nothing_but_answers_and_a_set(bench):
    bench.sets(kitchen=KITCHEN).config["only"] = ["ood.detection"]
    expected, _ = forecast(parse_config(bench.config))
    assert expected.checks[0].asks
    found = {f.measurement.name: f.measurement for f in auditkit.run(bench.config).findings}
    assert found["auroc"].value is not None
    assert "max-logit, energy (it reads logits" in found["auroc"].note
    assert "mahalanobis, knn, vim (the model gives no embeddings" in found["auroc"].note


def test_a_temperature_is_fitted_to_the_validation_split_of_the_data_file(bench):
    split = ("train", "test", "test", "test", "validation", "validation")
    lines = [f"{line},{split[i % 6]}" for i, line in enumerate(rows_of(720))]
    bench.write("d.csv", lines, f"{HEADER},split")
    bench.sets(kitchen=KITCHEN).config["only"] = ["ood.calibration-shift"]
    bench.config["data"]["split"] = "split"
    expected, _ = forecast(parse_config(bench.config))
    assert expected.checks[0].asked.distinct == 240
    gain = auditkit.run(bench.config).findings[0].measurement
    assert gain.note.endswith("Fitted to 240 rows: the validation split.")
    assert gain.n == len([i for i in range(720) if split[i % 6] == "test" and i % 3])
