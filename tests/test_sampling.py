"""A sample looks like the data, is the same every time, and keeps small groups."""

from __future__ import annotations

import numpy as np
import pytest

from auditkit.config import parse_config
from auditkit.preflight import prepare
from auditkit.sampling import WHOLE_SHARE, draw
from auditkit.testing import tiny_data


def unequal(rows: int = 4000):
    rng = np.random.default_rng(1)
    groups = rng.choice(["big", "middle", "rare"], rows, p=[0.7, 0.28, 0.02]).tolist()
    return tiny_data(rng.integers(0, 2, rows), {"group": groups})


@pytest.mark.parametrize("size", [1, 7, 100, 999, 3999])
def test_it_has_the_size_asked_for_and_no_row_twice(size):
    rows = draw(unequal(), size, 0).rows
    assert len(rows) == len(set(rows.tolist())) == size
    assert (np.diff(rows) > 0).all()


def test_the_seed_decides_it():
    data = unequal()
    assert (draw(data, 500, 3).rows == draw(data, 500, 3).rows).all()
    assert (draw(data, 500, 3).rows != draw(data, 500, 4).rows).any()


def test_every_class_and_group_has_its_share():
    data = tiny_data([0] * 3000 + [1] * 1000, {"g": ["a", "b"] * 2000})
    drawn = data.rows(draw(data, 400, 0).rows)
    for label, expected in ((0, 150), (1, 50)):
        for code in (0, 1):
            cell = (drawn.labels == label) & (drawn.groups["g"].codes == code)
            assert cell.sum() == expected


def test_a_small_group_is_kept_whole_and_the_note_says_so():
    data = unequal()
    sample = draw(data, 1000, 0)
    whole = int(data.groups["group"].sizes()[2])
    assert data.rows(sample.rows).groups["group"].sizes()[2] == whole
    assert "group: rare" in sample.note
    assert "more weight" in sample.note


def test_groups_kept_whole_never_fill_the_sample():
    data = unequal()
    sample = draw(data, 100, 0)
    assert sample.whole == ()
    assert data.rows(sample.rows).groups["group"].sizes()[2] <= WHOLE_SHARE * 100


def test_all_rows_when_the_sample_is_no_smaller():
    assert draw(unequal(50), 50, 0).rows.tolist() == list(range(50))


def test_data_without_labels_and_groups_is_drawn_evenly():
    assert len(draw(tiny_data([0] * 100), 10, 0).rows) == 10


def test_the_configured_sample_is_audited_and_said(tmp_path):
    file = tmp_path / "p.csv"
    lines = [f"{i % 2},{i % 2},{'ab'[i % 3 == 0]}" for i in range(300)]
    file.write_text("label,predicted,sex\n" + "\n".join(lines), encoding="utf-8")
    table = {
        "model": {"label_column": "predicted"},
        "data": {"path": str(file), "label": "label", "sensitive": ["sex"], "sample": 90},
    }
    prepared = prepare(parse_config(table))
    assert len(prepared.audited) == 90
    assert "90 of 300 rows" in prepared.assumptions["sample"]
    again = prepare(parse_config(table))
    assert prepared.audited.inputs == again.audited.inputs
