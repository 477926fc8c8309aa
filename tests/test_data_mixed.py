"""Mixed tables, numbers, categories and missing values: prepared as scikit-learn's transformers do it."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
from refusals import refusal
from requires import requires
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

import backlit as bl
from backlit.data import Preparation, load_dataset, load_inputs, load_prepared

HEADER = ["age", "<script>", "height", "same", "bought"]


def people(n=200, seed=0):
    """Rows of cells with a column called <script>, missing values and a constant column."""
    rng = np.random.default_rng(seed)
    rows = []
    for k in range(n):
        age, colour = rng.normal(40, 12), ["red", "green", "blue"][rng.integers(3)]
        cells = [f"{age:.2f}", colour, f"{rng.normal(170, 9):.1f}", "7", "yes" if age > 40 or colour == "red" else "no"]
        cells[0] = "" if k % 11 == 3 else cells[0]
        cells[1] = "NA" if k % 13 == 5 else cells[1]
        cells[2] = "?" if k % 17 == 6 else cells[2]
        rows.append(cells)
    return rows


def written(path, rows, header=HEADER):
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        if header:
            writer.writerow(header)
        writer.writerows(rows)
    return path


@pytest.fixture
def table(tmp_path):
    return written(tmp_path / "people.csv", people())


def as_objects(rows):
    """The cells as scikit-learn takes them: floats with NaN, texts with None for what is missing."""
    missing = {"", "NA", "?"}
    return np.array(
        [
            [np.nan if c[0] in missing else float(c[0]), None if c[1] in missing else c[1],
             np.nan if c[2] in missing else float(c[2]), float(c[3])]
            for c in rows
        ],
        dtype=object,
    )  # fmt: skip


def test_prepared_as_by_scikit_learns_transformers(table, tmp_path):
    numbers = make_pipeline(SimpleImputer(), StandardScaler())
    theirs = ColumnTransformer(
        [
            ("n", numbers, [0]),
            ("c", OneHotEncoder(handle_unknown="ignore", sparse_output=False), [1]),
            ("m", numbers, [2, 3]),
        ]
    )
    theirs.fit(as_objects(people()))
    raw = load_dataset(table)
    preparation = Preparation.learn(raw)
    again = Preparation.from_record(json.loads(json.dumps(preparation.to_record(), allow_nan=False)))
    assert again == preparation == Preparation.from_record(preparation.to_record())
    new = [*people(30, seed=1), ["33", "ultraviolet", "", "8", "no"], ["", "NA", "?", "", "yes"]]
    for rows in (people(), new):
        x = load_inputs(written(tmp_path / "new.csv", rows), again)
        wanted = theirs.transform(as_objects(rows[:-1])).astype(float)
        # scikit-learn orders a missing category last, we first; and its constant column's missing value is the mean
        ours = again.apply(x)[: len(wanted)]
        order = [0, 2, 3, 4, 1, 5, 6]
        assert again.inputs_of_columns == (
            "age",
            "<script>=",
            "<script>=blue",
            "<script>=green",
            "<script>=red",
            "height",
            "same",
        )
        np.testing.assert_allclose(ours[:, order], wanted, atol=1e-6)
    applied = again.apply_to(load_dataset(written(tmp_path / "new.csv", new)))
    np.testing.assert_array_equal(applied.x, again.apply(load_inputs(tmp_path / "new.csv", again)))


def test_a_raw_table_is_for_a_preparation(table):
    raw = load_dataset(table)
    assert raw.categories[1] == ("blue", "green", "red")
    message = refusal(bl.fit, bl.Network([4, 2], output="softmax", loss="cross_entropy"), bl.SGD(0.1), raw)
    assert "Preparation.learn" in message
    assert raw.take([1, 2]).categories == raw.categories


def test_only_training_rows_are_learned_from(tmp_path):
    rows = [["1", "a", "x"], ["2", "a", "y"], ["3", "b", "x"], ["4", "b", "y"]] * 3
    raw = load_dataset(written(tmp_path / "t.csv", rows, ["n", "c", "t"]))
    preparation = Preparation.learn(raw.take([0, 1, 4, 5]))
    assert preparation.categories == (None, ("a",))
    assert preparation.apply_to(raw).x[2].tolist()[1:] == [0.0]


def test_what_columns_are(tmp_path):
    def loaded(cells, name="c"):
        rows = [[cell, str(k % 2)] for k, cell in enumerate(cells)]
        return load_dataset(written(tmp_path / "t.csv", rows, [name, "t"]))

    assert loaded(["1", "2", "", "3"]).categories == (None,)
    assert loaded(["1", "2", "3", "4"]).categories is None
    assert loaded(["a", "1", "b", "a"]).categories == (("1", "a", "b"),)
    assert "is empty" in refusal(loaded, ["null", "N/A", "?", "nan"])
    assert "column 'c'" in refusal(loaded, ["1", "2", "3", "x4"])
    assert "with a point" in refusal(loaded, ["1,5", "2,5"])
    assert "too large" in refusal(loaded, ["inf", "a"])
    rows = [[f"name {k}", str(k), str(k % 2)] for k in range(60)]
    named = load_dataset(written(tmp_path / "t.csv", rows, ["name", "n", "t"]))
    assert named.columns == ("n",)
    assert "left out" in named.note
    assert "name" in named.note
    assert "every column" in refusal(
        load_dataset, written(tmp_path / "t.csv", [[r[0], r[2]] for r in rows], ["name", "t"])
    )


def test_with_and_without_header(tmp_path):
    rows = [["1", "2.5", "a"], ["3", "4", "b"]] * 2
    bare = load_dataset(written(tmp_path / "t.csv", rows, None))
    assert (len(bare), bare.columns, bare.target) == (4, ("column 1", "column 2"), "column 3")
    assert "no header" in bare.note
    pandas_numbers = load_dataset(written(tmp_path / "t.csv", rows, ["0", "1", "t"]))
    assert pandas_numbers.columns == ("0", "1")
    indexed = load_dataset(written(tmp_path / "t.csv", [[str(k), *r] for k, r in enumerate(rows)], ["", "p", "q", "t"]))
    assert indexed.columns == ("p", "q")
    assert "no name" in indexed.note


def test_at_prediction_what_doesnt_fit_is_named(table, tmp_path):
    preparation = Preparation.learn(load_dataset(table))
    for rows, header, words in (
        ([["old", "red", "170", "7"]], HEADER[:4], ["line 2", "'age'", "'old'", "as in training"]),
        ([["1", "170", "7"]], ["age", "height", "same"], ["no column '<script>'"]),
        ([], HEADER[:4], ["no rows"]),
    ):
        message = refusal(load_inputs, written(tmp_path / "new.csv", rows, header), preparation)
        assert all(word in message for word in words), message
    words = refusal(
        preparation.apply_to,
        load_dataset(written(tmp_path / "new.csv", [["a", "red", "1", "7", "no"], ["b", "red", "1", "7", "yes"]])),
    )
    assert "'age' holds texts" in words


def test_categories_that_look_like_numbers_in_some_rows(tmp_path):
    raw = load_dataset(written(tmp_path / "t.csv", [["1", "x"], ["A", "y"], ["B", "x"], ["A", "y"]], ["code", "t"]))
    preparation = Preparation.learn(raw)
    some = load_dataset(written(tmp_path / "n.csv", [["1", "x"], ["1", "y"]], ["code", "t"]))
    assert preparation.apply_to(some).x.tolist() == [[1, 0, 0], [1, 0, 0]]


@pytest.mark.parametrize(
    "value",
    [[], [None], "text", [["b", "a"], None, None, None], [[1], None, None, None], [["a", "a"], None, None, None]],
)
def test_records_are_distrusted(table, value):
    record = Preparation.learn(load_dataset(table)).to_record()
    assert "categories" in refusal(Preparation.from_record, record | {"categories": value})


def test_parquet_holds_what_csv_holds(table, tmp_path):
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        requires("pyarrow", False)
    cells = as_objects(people())
    columns = {name: cells[:, k].tolist() for k, name in enumerate(HEADER[:4])}
    columns["age"] = [None if np.isnan(v) else v for v in columns["age"]]
    columns["bought"] = [row[4] for row in people()]
    pq.write_table(pa.table(columns), tmp_path / "people.parquet")
    from_text, from_parquet = load_dataset(table), load_dataset(tmp_path / "people.parquet")
    np.testing.assert_array_equal(from_parquet.x, from_text.x)
    assert from_parquet.y.tolist() == from_text.y.tolist()
    assert from_parquet.categories == from_text.categories
    preparation = Preparation.learn(from_text)
    np.testing.assert_array_equal(
        load_inputs(tmp_path / "people.parquet", preparation), load_inputs(table, preparation)
    )
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 nonsense")
    assert "Parquet" in refusal(load_dataset, tmp_path / "bad.parquet")
    pq.write_table(pa.table({"a": [[1], [2]], "t": ["x", "y"]}), tmp_path / "lists.parquet")
    assert "'a'" in refusal(load_dataset, tmp_path / "lists.parquet")
    pq.write_table(pa.table({"a": pa.array([], pa.int64()), "t": pa.array([], pa.string())}), tmp_path / "none.parquet")
    assert "no rows" in refusal(load_dataset, tmp_path / "none.parquet")


def test_a_boolean_is_known_however_it_is_spelled(tmp_path):
    """CSV has True, true and TRUE, Parquet none: a model trained on one reads the others, as class and as category."""
    rows = [["True", "TRUE"], ["False", "FALSE"]] * 4
    learned = load_dataset(written(tmp_path / "t.csv", rows, ["b", "y"]))
    preparation = Preparation.learn(learned)
    assert learned.classes == ("FALSE", "TRUE")
    for true, false in (("true", "false"), ("True", "False"), ("TRUE", "FALSE")):
        other, unseen = written(tmp_path / "o.csv", [[true, true], [false, false]], ["b", "y"]), {}
        assert load_prepared(other, None, preparation, unseen).y.tolist() == ["TRUE", "FALSE"]
        assert load_inputs(other, preparation, unseen).tolist() == [[1], [0]]
        raw = load_dataset(written(tmp_path / "r.csv", [[true, "TRUE"], [false, "FALSE"]], ["b", "y"]))
        assert preparation.apply_to(raw, unseen).x.tolist() == [[0, 1], [1, 0]]
        assert not unseen
    rows = [[str(k), ("TRUE", "false", "true", "False")[k % 4]] for k in range(8)]
    mixed = load_dataset(written(tmp_path / "m.csv", rows, ["x", "y"]))
    assert mixed.classes == ("False", "True") and mixed.y.tolist() == ["True", "False"] * 4


def test_long_whole_numbers_among_categories_are_found_again(tmp_path):
    rows = [["1234567", "x"], ["A", "y"], ["B", "x"], ["A", "y"]]
    raw = load_dataset(written(tmp_path / "t.csv", rows, ["code", "t"]))
    some = load_dataset(written(tmp_path / "n.csv", [["1234567", "x"], ["1234567", "y"]], ["code", "t"]))
    assert Preparation.learn(raw).apply_to(some).x.tolist() == [[1, 0, 0], [1, 0, 0]]
