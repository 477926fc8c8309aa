"""What the commands say and return when something is odd: each thing once, where it belongs, before the work."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from datetime import date
from decimal import Decimal
from importlib.util import find_spec

import numpy as np
import pytest
from requires import requires

import backlit as bl


@pytest.fixture
def table(tmp_path):
    """table.csv: a code with leading zeros, a number, and a class, 40 rows; even rows are of the class no."""
    rows = [f"{('007', 'abc', 'xyz')[k % 3]},{k % 7 + 0.5},{('no', 'yes')[k % 2]}" for k in range(40)]
    (tmp_path / "table.csv").write_text("\n".join(["code,size,bought", *rows]) + "\n")
    return rows


def test_quiet_prints_the_score_alone(run, table):
    files = "--save", "m", "--report", "page.html"
    code, out, _ = run("train", "table.csv", "--epochs", 1, "--quiet", *files, "--watch", 0)
    assert code == 0
    assert out.startswith("test accuracy ")
    assert out.count("\n") == 1


def test_an_empty_name_is_not_the_current_folder(run, tmp_path):
    np.save(tmp_path / "x.npy", np.eye(4))
    np.save(tmp_path / "y.npy", np.arange(4) % 2)
    code, _, err = run("train", "", "--epochs", 1)
    assert code == 1
    assert "data is '': wanted a name or a path" in err
    with pytest.raises(bl.BadInput, match="data is ''"):
        bl.load_dataset("")


@pytest.mark.parametrize("log", ["nowhere/log.csv", "nowhere/log.jsonl", "a.folder.csv"])
def test_a_log_that_cannot_be_written_is_refused_before_the_training(run, table, tmp_path, log):
    (tmp_path / "a.folder.csv").mkdir()
    code, out, err = run("train", "table.csv", "--epochs", 1, "--log", log, "--save", "m")
    assert (code, out) == (1, "")
    assert f"log: {log} can't be written" in err
    assert "epoch 1" not in err
    assert not (tmp_path / "m").exists()


def test_a_log_is_not_touched_by_a_run_that_does_not_begin(tmp_path):
    from backlit.observers import CSVLog, History

    kept, fresh = tmp_path / "kept.csv", tmp_path / "fresh.csv"
    kept.write_text("mine")
    CSVLog(kept).begin(History())
    CSVLog(fresh).begin(History())
    assert kept.read_text() == "mine"
    assert not fresh.exists()


def test_divergence_is_told_to_each_in_their_own_terms(run, table):
    options = "--optimizer", "sgd", "--schedule", "constant", "--epochs", 3
    code, _, err = run("train", "table.csv", *options, "--rate", 1e30)
    assert code == 1
    assert "left the finite numbers" in err
    assert "exception" not in err
    error = pickle.loads(pickle.dumps(bl.Diverged("it grew", state=1)))
    assert "state" in error.__notes__[0]
    assert len(error.__notes__) == 1
    assert error.state == 1


def test_an_infinite_rate_is_named_as_people_gave_it(run, table):
    code, _, err = run("train", "table.csv", "--rate", "inf")
    assert code == 1
    assert "--rate: a finite number above 0 is wanted; got inf" in err


def test_predict_names_the_data_that_does_not_fit(run, table, tmp_path):
    np.save(tmp_path / "wide.npy", np.ones((3, 9)))
    assert run("train", "iris", "--epochs", 1, "--save", "m")[0] == 0
    code, _, err = run("predict", "m", "wide.npy")
    assert code == 1
    assert err.startswith("backlit: wide.npy: x has shape (3, 9)")


def test_a_damaged_idx_file_is_named_once(tmp_path):
    labels = b"\0\0\x08\x01\0\0\0\2\0\1"
    for part in "train", "t10k":
        (tmp_path / f"{part}-images-idx3-ubyte").write_bytes(b"\0\0\x08\x03\0\0\0\2\0\0\0\1\0\0\0\1\7")
        (tmp_path / f"{part}-labels-idx1-ubyte").write_bytes(labels)
    with pytest.raises(bl.BadInput) as error:
        bl.load_dataset(tmp_path)
    assert str(error.value).count("train-images-idx3-ubyte") == 1


@pytest.mark.parametrize("words", [("data",), ("train", "iris", "--epochs", "1"), ("step", "iris")])
def test_a_reader_that_has_gone_is_no_error(words, tmp_path):
    command = [sys.executable, "-m", "backlit", *words]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()
        err = process.stderr.read().decode()
        assert process.wait() == 0, err
    assert "Traceback" not in err


def test_one_is_no_plural(run, table, tmp_path):
    _, _, err = run("train", "table.csv", "--epochs", 1, "--batch", 100, "--save", "m")
    assert "1 update an epoch" in err
    (tmp_path / "one.csv").write_text("\n".join(["code,size,bought", table[0]]) + "\n")
    code, out, _ = run("evaluate", "m", "one.csv")
    assert code == 0
    assert "over 1 row:" in out
    assert "\n1 row · loss" in out


def test_names_of_few_rows_are_told(tmp_path):
    file = tmp_path / "few.csv"
    file.write_text("who,size,y\n" + "".join(f"person {k},{k}.5,{k % 2}\n" for k in range(12)))
    assert "every row has a text of its own in who" in bl.load_dataset(file).note


# --- a trained model knows what its columns hold, whatever a few rows look like --------------------------


@pytest.fixture
def model(run, table):
    assert run("train", "table.csv", "--epochs", 5, "--save", "m", "--quiet")[0] == 0
    return table


def agrees(run, tmp_path, rows, name="some.csv"):
    """Evaluates the rows, and compares the accuracy with that of the classes that predict writes."""
    (tmp_path / name).write_text("\n".join(["code,size,bought", *rows]) + "\n")
    code, out, err = run("evaluate", "m", name, "--json")
    assert code == 0, err
    _, lines, unseen = run("predict", "m", name)
    assert "never seen" not in unseen + err
    answers = [line.split(",")[0] for line in lines.splitlines()[1:]]
    right = [answer == row.rsplit(",", 1)[1] for answer, row in zip(answers, rows, strict=True)]
    assert json.loads(out)["value"] == pytest.approx(np.mean(right))


def test_rows_of_one_class_can_be_evaluated(run, model, tmp_path):
    agrees(run, tmp_path, [row for row in model if row.endswith("no")])


def test_categories_that_look_like_numbers_stay_categories(run, model, tmp_path):
    agrees(run, tmp_path, [row for row in model if row.startswith("0")])


def test_categories_that_look_like_numbers_in_a_large_file(run, model, tmp_path):
    requires("pyarrow", find_spec("pyarrow") is not None)
    rows = [row for row in model if row.startswith("0")] * 1500  # read by pyarrow from 256 kB
    agrees(run, tmp_path, rows)


def test_a_class_that_training_did_not_have_is_named_with_its_line(run, model, tmp_path):
    (tmp_path / "odd.csv").write_text("\n".join(["code,size,bought", *model[:3], "007,1,maybe"]) + "\n")
    code, _, err = run("evaluate", "m", "odd.csv")
    assert code == 1
    assert "odd.csv line 5, target 'bought': wanted one of the classes of training, no, yes, came 'maybe'" in err


def test_numbers_in_few_rows_are_no_classes(run, tmp_path):
    rows = [f"{k},{k * 0.5 + 0.25}" for k in range(40)]
    (tmp_path / "table.csv").write_text("\n".join(["a,y", *rows]) + "\n")
    assert run("train", "table.csv", "--epochs", 5, "--save", "m", "--quiet")[0] == 0
    (tmp_path / "some.csv").write_text("a,y\n1,2\n2,2\n3,2\n")
    code, out, err = run("evaluate", "m", "some.csv", "--json")
    assert code == 0, err
    _, lines, _ = run("predict", "m", "some.csv")
    apart = np.array([float(line) for line in lines.split()[1:]]) - 2
    assert json.loads(out)["rmse"] == pytest.approx(np.sqrt(np.mean(apart**2)), rel=1e-4)


def test_a_run_without_a_column_is_opened_without_it(run, table):
    assert run("train", "table.csv", "--drop", "code", "--epochs", 2, "--save", "m", "--quiet")[0] == 0
    code, out, err = run("step", "m", "--at", 1, "--json")
    assert code == 0, err
    assert len(json.loads(out)["steps"][0]["x"][0]) == 1


def test_inputs_of_any_type_stand_beside_their_predictions(run, table, tmp_path):
    requires("pyarrow", find_spec("pyarrow") is not None)
    import pyarrow as pa
    import pyarrow.parquet as pq

    assert run("train", "table.csv", "--drop", "code", "--epochs", 1, "--save", "m", "--quiet")[0] == 0
    day, price, large = date(2020, 2, 3), Decimal("1.25"), 2**64 - 1
    inputs = {"size": [1.5], "day": [day], "price": [price], "number": pa.array([large], pa.uint64()), "raw": [b"\xff"]}
    pq.write_table(pa.table(inputs), tmp_path / "new.parquet")
    code, out, err = run("predict", "m", "new.parquet", "--with-inputs", "--json")
    assert code == 0, err
    assert json.loads(out)["rows"][0][:5] == [1.5, "2020-02-03", "1.25", large, "b'\\xff'"]
    code, _, err = run("predict", "m", "new.parquet", "--with-inputs", "--output", "out.parquet")
    assert code == 0, err
    row = pq.read_table(tmp_path / "out.parquet").to_pylist()[0]
    assert [row[name] for name in inputs] == [1.5, day, price, large, b"\xff"]


@pytest.mark.parametrize("option", ["--save", "--log", "--report"])
def test_nothing_is_written_over_the_data(run, table, tmp_path, option):
    before = (tmp_path / "table.csv").read_bytes()
    code, _, err = run("train", "table.csv", "--epochs", 1, option, tmp_path / "table.csv")
    assert code == 1
    assert "this is table.csv itself" in err
    assert (tmp_path / "table.csv").read_bytes() == before


@pytest.mark.parametrize("option", ["--checkpoint", "--log"])
def test_an_empty_place_is_misuse(run, table, tmp_path, option):
    code, _, err = run("train", "table.csv", "--epochs", 1, option, "")
    assert code == 2
    assert "a path is wanted; got ''" in err
    assert [file.name for file in tmp_path.iterdir()] == ["table.csv"]


def test_a_folder_is_no_model(run, table, tmp_path):
    code, _, err = run("info", tmp_path)
    assert code == 1
    assert f"{tmp_path} is a folder, not a model" in err


def test_a_table_of_which_all_is_dropped_is_not_told_of_delimiters(run, table):
    code, _, err = run("train", "table.csv", "--drop", "code", "--drop", "size")
    assert code == 1
    assert "table.csv: keeps bought after dropping: wanted inputs and a target" in err
