"""The command line with tables as people have them: train, predict, export; and every refusal in one line."""

from __future__ import annotations

import csv
import json
import subprocess
import sys

import pytest
from requires import requires
from test_data_mixed import HEADER, people, written


def backlit(folder, *words):
    command = [sys.executable, "-m", "backlit", *map(str, words)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with people.csv, a model trained on it, and the result of that training as JSON."""
    path = tmp_path_factory.mktemp("tables")
    written(path / "people.csv", people(300))
    done = backlit(path, "train", "people.csv", "--target", "bought", "--save", "m.safetensors", "--json")
    assert done.returncode == 0, done.stderr
    (path / "result.json").write_text(done.stdout)
    return path


def test_training_tells_who_was_taken_for_whom(folder):
    result = json.loads((folder / "result.json").read_text())
    counts = result["confusion"]["counts"]
    assert result["confusion"]["classes"] == ["no", "yes"]
    right, n = counts[0][0] + counts[1][1], sum(map(sum, counts))
    assert n == 60
    assert result["test_score"] == pytest.approx(right / n)
    assert result["test_score"] > 0.8
    shown = backlit(folder, "evaluate", "m.safetensors", "people.csv")
    assert "confusion over 300 rows" in shown.stdout


def test_the_model_takes_raw_rows(folder):
    rows = [*(row[:4] for row in people(5, seed=1)), ["33", "ultraviolet", "", "7"]]
    written(folder / "new.csv", rows, HEADER[:4])
    done = backlit(folder, "predict", "m.safetensors", "new.csv")
    got = list(csv.reader(done.stdout.splitlines()))
    assert got[0] == ["bought", "probability no", "probability yes"]
    assert len(got) == 7
    assert {row[0] for row in got[1:]} <= {"no", "yes"}
    assert all(abs(float(row[1]) + float(row[2]) - 1) < 1e-5 for row in got[1:])
    try:
        import pyarrow.parquet as pq
    except ImportError:
        requires("pyarrow", False)
    assert backlit(folder, "predict", "m.safetensors", "new.csv", "--output", "p.parquet").returncode == 0
    assert pq.read_table(folder / "p.parquet").column("bought").to_pylist() == [row[0] for row in got[1:]]


def test_numbers_are_told_in_their_unit(folder):
    rows = [[str(k), f"{1000 * k + (k % 3):.1f}"] for k in range(60)]
    written(folder / "line.csv", rows, ["x", "price"])
    done = backlit(folder, "train", "line.csv", "--target", "price", "--json")
    result = json.loads(done.stdout)
    assert result["score"] == "R²"
    assert 1 < result["rmse"] < 5000


@pytest.mark.parametrize(
    ("rows", "header", "words", "expected"),
    [
        ([["old", "red", "170", "7"]], HEADER[:4], ["predict", "m.safetensors"], "'old'"),
        (people(9), ["a", "b", "c", "d", "e"], ["train", "--target", "bought"], "'bought' is none of its columns"),
        ([], HEADER, ["train", "--target", "bought"], "no rows"),
        ([["1", "red", "1", "7", "x"]] * 3, HEADER, ["train", "--target", "bought"], "in every row"),
    ],
)
def test_what_doesnt_fit_ends_in_one_line(folder, rows, header, words, expected):
    written(folder / "bad.csv", rows, header)
    done = backlit(folder, *words, "bad.csv")
    assert done.returncode == 1
    assert expected in done.stderr.splitlines()[-1]
    assert len(done.stderr.splitlines()) == 1
    assert not done.stdout


def test_export(folder):
    assert "torch.nn.Linear(7, 64)" in backlit(folder, "export", "m.safetensors", "t.safetensors").stdout
    for file, word in (("m.onnx", "--prepared"), ("m.txt", ".onnx"), ("m.safetensors", "itself")):
        done = backlit(folder, "export", "m.safetensors", file)
        assert done.returncode == 1
        assert word in done.stderr
        assert len(done.stderr.splitlines()) == 1
    try:
        import onnx
    except ImportError:
        requires("onnx", False)
    assert backlit(folder, "export", "m.safetensors", "m.onnx", "--prepared").returncode == 0
    assert onnx.load(folder / "m.onnx").graph.input[0].name == "x"
