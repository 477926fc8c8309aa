"""Parquet by its types: what overlaps with CSV means the same, and what can't be used is named with its row."""

from __future__ import annotations

import datetime
import decimal

import numpy as np
import pytest
from refusals import refusal
from requires import requires

from backlit.data import Preparation, import_tables, load_dataset, load_inputs, parquet, tables

try:
    import pyarrow as pa
    import pyarrow.csv as pa_csv
    import pyarrow.parquet as pq
except ImportError:
    requires("pyarrow", False)

N = 30
DAYS = [datetime.date(2024, 1, 1) + datetime.timedelta(k) for k in range(N)]
COLUMNS = {
    "int64": pa.array([None, *range(1, N)], pa.int64()),
    "uint8": pa.array(range(N), pa.uint8()),
    "huge": pa.array([2**62 + k for k in range(N)], pa.int64()),
    "float64": pa.array([k / 7 if k % 5 else None for k in range(N)]),
    "float32": pa.array(np.arange(N, dtype="f4") / 4),
    "not a number": pa.array([np.nan, *range(1, N)], pa.float64()),
    "decimal": pa.array([decimal.Decimal(k) / 4 for k in range(N)], pa.decimal128(12, 2)),
    "bool": pa.array([None if k == 4 else k % 3 == 0 for k in range(N)]),
    "text": pa.array(["red", "blue", None] * 10),
    "dictionary": pa.array(["b", "a", "b"] * 10).dictionary_encode(),
    "large text": pa.array(["x", "yy", "NA"] * 10, pa.large_string()),
    "numbers in texts": pa.array([str(k / 2) for k in range(N)]),
    "nothing": pa.nulls(N),
    "few days": pa.array([DAYS[k % 3] for k in range(N)]),
}
TARGETS = {
    "classes": pa.array(["no", "yes"] * 15),
    "whole numbers": pa.array([0, 1, 2] * 10, pa.int16()),
    "fractions": pa.array([k / 9 + 0.01 for k in range(N)]),
    "many whole numbers": pa.array(range(N), pa.int32()),
    "bools": pa.array([True, False] * 15),
    "decimals": pa.array([decimal.Decimal(k) / 4 for k in range(N)], pa.decimal128(12, 2)),
}


def written(folder, columns):
    pq.write_table(pa.table(columns), folder / "t.parquet")
    return folder / "t.parquet"


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name", COLUMNS)
def test_what_pyarrow_writes_to_csv_means_the_same(tmp_path, monkeypatch, name, target):
    monkeypatch.setattr(parquet, "BATCH", 7)
    table = pa.table({"first": pa.array(range(N)), name: COLUMNS[name], "t": TARGETS[target]})
    pq.write_table(table, tmp_path / "t.parquet")
    decoded = table.set_column(1, name, table.column(1).cast(pa.string())) if name == "dictionary" else table
    pa_csv.write_csv(decoded, tmp_path / "t.csv")
    typed, spelled = (load_dataset(tmp_path / f"t.{ending}", "t") for ending in ("parquet", "csv"))
    np.testing.assert_array_equal(typed.x, spelled.x)
    np.testing.assert_array_equal(typed.y, spelled.y)
    assert typed.y.dtype == spelled.y.dtype
    assert (typed.columns, typed.categories, typed.classes) == (spelled.columns, spelled.categories, spelled.classes)
    preparation = Preparation.learn(spelled)
    inputs = [preparation.apply(load_inputs(tmp_path / f"t.{ending}", preparation)) for ending in ("parquet", "csv")]
    np.testing.assert_array_equal(*inputs)
    np.testing.assert_array_equal(inputs[0], preparation.apply_to(typed).x)


def test_fractions_as_target_are_numbers_even_if_whole(tmp_path):
    assert load_dataset(written(tmp_path, {"a": range(N), "t": pa.array([0.0, 1.0] * 15)})).classes is None


def test_booleans_are_found_in_every_spelling(tmp_path):
    data = load_dataset(written(tmp_path, {"flag": [True, False, True, False], "t": ["x", "y", "x", "y"]}))
    preparation = Preparation.learn(data)
    assert preparation.categories == (("false", "true"),)
    for cells in ("true false", "True False", "TRUE FALSE"):
        (tmp_path / "n.csv").write_text("\n".join(["flag", *cells.split()]) + "\n")
        unseen = {}
        assert preparation.apply(load_inputs(tmp_path / "n.csv", preparation, unseen)).tolist() == [[0, 1], [1, 0]]
        assert not unseen
    (tmp_path / "t.csv").write_text("flag,t\nTrue,x\nFalse,y\nTrue,x\nFalse,y\n")
    other = Preparation.learn(load_dataset(tmp_path / "t.csv"))
    np.testing.assert_array_equal(other.apply_to(data).x, preparation.apply_to(data).x)
    np.testing.assert_array_equal(other.apply(load_inputs(tmp_path / "t.parquet", other)), other.apply_to(data).x)


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"a": [1.0, float("inf"), 3.0, 4.0]}, ["row 2", "column 'a'", "inf", "too large"]),
        ({"a": [[1], [2], [3], [4]]}, ["column 'a'", "list"]),
        ({"a": [1.5, 2, 3, 4], "t": ["x", None, "x", "y"]}, ["row 2", "target 't'"]),
        ({"a": [1.5, 2, 3, 4], "t": [1.0, 2.0, None, 4.0]}, ["row 3", "target 't'"]),
        ({"a": ["1", "2", "x", "3"]}, ["row 3", "column 'a'", "'x'"]),
    ],
)
def test_what_cant_be_used_is_named_with_its_row(tmp_path, columns, words):
    message = refusal(load_dataset, written(tmp_path, {"b": [1, 2, 3, 4], "t": ["x", "y", "x", "y"], **columns}), "t")
    assert all(word in message for word in words), message


def test_two_columns_of_one_name(tmp_path):
    table = pa.Table.from_arrays([pa.array([1, 2]), pa.array([1, 2]), pa.array(["x", "y"])], names=["a", "a", "t"])
    pq.write_table(table, tmp_path / "t.parquet")
    assert "two columns are called 'a'" in refusal(load_dataset, tmp_path / "t.parquet")


def test_days_are_left_out_with_a_word_on_what_to_do(tmp_path):
    note = load_dataset(written(tmp_path, {"a": range(N), "day": DAYS, "t": ["x", "y"] * 15})).note
    assert "dates are no numbers, give days or months instead: day" in note


START = datetime.datetime(2024, 1, 1)
STEPS = {
    "days": datetime.timedelta(1),
    "minutes": datetime.timedelta(minutes=45),
    "milliseconds": datetime.timedelta(milliseconds=500),
    "microseconds": datetime.timedelta(hours=12, microseconds=50),
}


@pytest.mark.parametrize("zone", [None, "UTC", "+02:00"])
@pytest.mark.parametrize("step", STEPS)
def test_times_are_spelled_as_pandas_spells_them(tmp_path, monkeypatch, step, zone):
    """A model of one finds the rows of the other; in pieces of which some hold midnights only."""
    try:
        import pandas as pd
    except ImportError:
        requires("pandas", False)
    monkeypatch.setattr(parquet, "BATCH", 7)
    kinds = [START, START, START, START + STEPS[step]]
    when = pd.Series([kinds[k // 8] if k != 4 else None for k in range(N + 2)]).dt.tz_localize(zone)
    frame = pd.DataFrame({"a": np.arange(N + 2) % 7 / 2, "when": when, "t": ["x", "y"] * (N // 2 + 1)})
    frame.to_csv(tmp_path / "t.csv", index=False)
    for unit in ("ns", "us"):
        frame["when"] = when.astype(when.dtype if zone else f"datetime64[{unit}]")
        pq.write_table(pa.Table.from_pandas(frame), tmp_path / "t.parquet")
        typed, spelled = (load_dataset(tmp_path / f"t.{ending}") for ending in ("parquet", "csv"))
        assert typed.categories == spelled.categories
        np.testing.assert_array_equal(typed.x, spelled.x)
        records = []
        for ending in ("parquet", "csv"):
            source, folder = tmp_path / f"t.{ending}", tmp_path / f"{ending} {unit}"
            records.append(import_tables([source], folder, "t", 0.2, lambda *_: None)[0])
            names, rows = tables.table_values(source, (), spelled=True)
            records.append([row[names.index("when")] or "" for row in rows])
        assert records[:2] == records[2:]
