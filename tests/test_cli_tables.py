"""The command line with tables as people have them: train, predict, export; and every refusal in one line."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
from contextlib import suppress

import numpy as np
import pytest
from requires import requires
from test_data_mixed import HEADER, people, written

import backlit as bl
from backlit.data import Preparation, load_inputs


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
    assert result["score"] == "r2"
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


def test_names_that_would_steer_the_terminal_are_escaped(tmp_path):
    """Titles, cells and facts show them on one line; a file of predictions keeps them as they are."""
    hostile, column = "[bold]yes\x1b[31m", "new\nline"
    rows = [[str(k), hostile if k % 2 else "no"] for k in range(60)]
    written(tmp_path / "d.csv", rows, [column, "target\x1b]"])
    trained = backlit(tmp_path, "train", "d.csv", "--save", "m.safetensors", "--epochs", "2", "--quiet")
    assert trained.returncode == 0, trained.stderr
    trained = backlit(tmp_path, "train", "d.csv", "--epochs", "2")
    evaluated = backlit(tmp_path, "evaluate", "m.safetensors", "d.csv")
    facts = backlit(tmp_path, "info", "m.safetensors")
    for done in (trained, evaluated, facts):
        assert done.returncode == 0, done.stderr
        assert "\x1b" not in done.stdout + done.stderr
        assert "[bold]yes\\x1b[31m" in done.stdout
    assert "new\\nline\n" in facts.stdout
    assert backlit(tmp_path, "predict", "m.safetensors", "d.csv", "--output", "p.csv").returncode == 0
    with open(tmp_path / "p.csv", newline="") as file:
        assert f"probability {hostile}" in next(csv.reader(file))


def test_predictions_on_a_terminal_are_escaped_and_in_a_pipe_are_not(tmp_path):
    try:
        import pty
    except ImportError:
        requires("pty", False, "There are no pseudo-terminals here.")
    hostile = "[bold]yes\x1b[31m"
    written(tmp_path / "d.csv", [[str(k), hostile if k % 2 else "no"] for k in range(60)], ["x", "y"])
    assert backlit(tmp_path, "train", "d.csv", "--save", "m.safetensors", "--epochs", "2").returncode == 0
    assert hostile in backlit(tmp_path, "predict", "m.safetensors", "d.csv").stdout
    leader, follower = pty.openpty()
    command = [sys.executable, "-m", "backlit", "predict", "m.safetensors", "d.csv"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=follower, stderr=follower) as running:
        os.close(follower)
        seen = b""
        with suppress(OSError):  # how Linux tells the end
            while part := os.read(leader, 4096):
                seen += part
        assert running.wait() == 0
    os.close(leader)
    assert b"\x1b" not in seen
    assert b"probability [bold]yes\\x1b[31m" in seen


def test_values_never_seen_in_training_are_told(tmp_path):
    known = [[str(k % 7), ("north", "south")[k % 2], "yn"[k % 2]] for k in range(60)]
    written(tmp_path / "d.csv", known, ["size", "district", "y"])
    assert backlit(tmp_path, "train", "d.csv", "--save", "m.safetensors", "--epochs", "2").returncode == 0
    said = "column 'district': {} never seen in training ({}); taken as none of the known\n"
    for new, words in (
        ([], ""),
        ([["1", "west", "y"]] * 3, said.format("3 rows hold values", "'west'")),
        ([["1", "w\x1b[31m", "n"]], said.format("1 row holds a value", "'w\\x1b[31m'")),
        (
            [["1", f"w{k // 2}", "n"] for k in range(9)],
            said.format("9 rows hold values", "'w0', 'w1', 'w2' and 2 more"),
        ),
        ([["1", "", "n"]], ""),  # missing isn't a value
    ):
        written(tmp_path / "new.csv", [*known[:20], *new], ["size", "district", "y"])
        for command in ("predict", "evaluate"):
            for options in ([], ["--json"]):
                done = backlit(tmp_path, command, "m.safetensors", "new.csv", *options)
                assert (done.returncode, done.stderr) == (0, words)


def test_the_target_is_known_by_name_and_columns_can_be_kept_or_dropped(tmp_path):
    try:
        import pyarrow.csv
        import pyarrow.parquet
    except ImportError:
        requires("pyarrow", False)
    rows = [[f"id {k}", "yn"[k % 2], str(k % 2 + k / 99)] for k in range(60)]
    written(tmp_path / "d.csv", rows, ["id", "kind", "size"])
    options = ["--target", "kind", "--drop", "id", "--epochs", "30"]
    done = backlit(tmp_path, "train", "d.csv", *options, "--save", "m.safetensors", "--quiet")
    assert "dropped: id" in done.stderr
    table = pyarrow.csv.read_csv(tmp_path / "d.csv")
    pyarrow.parquet.write_table(table, tmp_path / "d.parquet")
    found = [json.loads(backlit(tmp_path, "evaluate", "m.safetensors", f, "--json").stdout) for f in
             ("d.csv", "d.parquet")]  # fmt: skip
    assert found[0] == found[1]
    assert found[0]["value"] > 0.9
    done = backlit(tmp_path, "predict", "m.safetensors", "d.csv")
    assert done.stderr == "not used: id (--with-inputs keeps all columns)\n"
    for file in ("d.csv", "d.parquet"):
        done = backlit(tmp_path, "predict", "m.safetensors", file, "--with-inputs")
        got = list(csv.reader(done.stdout.splitlines()))
        assert got[0] == ["id", "kind", "size", "predicted kind", "probability n", "probability y"]
        assert [row[0] for row in got[1:]] == [row[0] for row in rows]
    for words in (["train", "d.csv", "--drop", "it"], ["predict", "m.safetensors", "digits", "--with-inputs"]):
        done = backlit(tmp_path, *words)
        assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)


def test_classes_of_an_imported_folder_have_their_names(tmp_path):
    written(tmp_path / "d.csv", [[str(k % 2 + k / 99), ("no", "yes")[k % 2]] for k in range(80)], ["size", "answer"])
    assert backlit(tmp_path, "import", "d.csv", "--target", "answer", "--to", "folder").returncode == 0
    trained = backlit(tmp_path, "train", "folder", "--epochs", "3", "--save", "m.safetensors", "--json")
    evaluated = backlit(tmp_path, "evaluate", "m.safetensors", "folder", "--json")
    for done in (trained, evaluated):
        assert json.loads(done.stdout)["confusion"]["classes"] == ["no", "yes"], done.stderr
    assert json.loads(evaluated.stdout)["value"] == json.loads(trained.stdout)["test_score"]


def test_the_rows_to_test_on_tell_what_training_did_not_have(tmp_path):
    rows = [[str(k % 7), f"town {k // 3}", "yn"[k % 2]] for k in range(60)]
    written(tmp_path / "d.csv", rows, ["size", "town", "y"])
    done = backlit(tmp_path, "train", "d.csv", "--epochs", "1", "--quiet")
    assert "rows to test on, column 'town': " in done.stderr
    assert "never seen in training" in done.stderr


def test_a_command_that_is_nearly_one_is_named(tmp_path):
    done = backlit(tmp_path, "trian", "digits")
    assert done.returncode == 2
    assert "No such command 'trian'. (Did you mean train?)" in done.stderr
    assert "mean" not in backlit(tmp_path, "xyzzy").stderr


def test_examples_are_told_in_the_unit_of_the_target(tmp_path):
    prices = [1000.0 * (k % 7) + 50_000 for k in range(60)]
    rows = "\n".join(f"{k % 7},{price}" for k, price in enumerate(prices))
    (tmp_path / "t.csv").write_text(f"a,price\n{rows}\n")
    assert backlit(tmp_path, "train", "t.csv", "--save", "m", "--json").returncode == 0
    listed = json.loads(backlit(tmp_path, "examples", "m", "t.csv", "--top", "5", "--json").stdout)["largest"]
    assert [one["label"] for one in listed] == pytest.approx([prices[one["row"]] for one in listed], rel=1e-6)
    assert all(45_000 < one["prediction"] < 61_000 for one in listed)


def test_without_the_core_training_says_so(tmp_path):
    program = (
        "import sys; sys.modules['backlit.engines._core'] = None; from backlit.cli import main; "
        "sys.argv = ['backlit', 'train', 'iris', '--epochs', '1']; main()"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert "the compiled core is missing: NumPy trains" in done.stderr


def test_an_interrupted_import_says_how_to_go_on(run, tmp_path, monkeypatch):
    (tmp_path / "t.csv").write_text("a,y\n" + "".join(f"{k},{k % 2}\n" for k in range(50)))
    with monkeypatch.context() as patch:
        patch.setattr("backlit.cli.import_._Shown.__call__", lambda *_: signal.raise_signal(signal.SIGINT))
        code, out, err = run("import", "t.csv", "--to", "folder", "--target", "y")
    assert (code, out, err.splitlines()[-1]) == (130, "", "interrupted: run the same command again, and it goes on")
    code, _, err = run("train", "folder")
    assert code == 1 and "folder: its import isn't finished: run the same backlit import again" in err
    code, _, err = run("import", "t.csv", "--to", "folder", "--target", "y")
    assert code == 0, err


LARGE = [1_700_000_000 + 7 * k for k in range(60)]


def test_predictions_and_inputs_are_written_in_full(tmp_path):
    """Six digits of a time in seconds would be the same for all; an input is the user's own."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        requires("pyarrow", False)
    places = [52.123456789 + k / 7 for k in range(60)]
    columns = {"lat": [None, *places[1:]], "nan": pyarrow.array([float("nan"), *places[1:]]),
               "single": pyarrow.array([0.1] * 60, pyarrow.float32()), "k": [float(k) for k in range(60)],
               "when": LARGE}  # fmt: skip
    pyarrow.parquet.write_table(pyarrow.table(columns), tmp_path / "d.parquet")
    done = backlit(tmp_path, "train", "d.parquet", "--save", "m", "--quiet", "--rate", "0.01")
    assert done.returncode == 0, done.stderr
    done = backlit(tmp_path, "predict", "m", "d.parquet", "--with-inputs")
    got = list(csv.DictReader(done.stdout.splitlines()))
    assert (got[0]["lat"], got[0]["nan"], got[0]["single"]) == ("", "", "0.1")
    assert [float(row["lat"]) for row in got[1:]] == places[1:]
    assert len({row["predicted when"] for row in got}) == 60
    assert backlit(tmp_path, "predict", "m", "d.parquet", "--output", "p.parquet").returncode == 0
    whole = pyarrow.parquet.read_table(tmp_path / "p.parquet").column("when").to_pylist()
    assert [float(row["predicted when"]) for row in got] == whole
    written(tmp_path / "d.csv", [[str(k), f"{LARGE[k]}"] for k in range(60)], ["k", "when"])
    assert backlit(tmp_path, "train", "d.csv", "--save", "m", "--quiet").returncode == 0
    assert backlit(tmp_path, "predict", "m", "d.csv", "--output", "p.tsv", "--with-inputs").returncode == 0
    with open(tmp_path / "p.tsv") as file:
        lines = list(csv.reader(file, delimiter="\t"))
    assert lines[0] == ["k", "when", "predicted when"]
    assert len({line[2] for line in lines}) == 61


def test_probabilities_have_the_digits_of_their_precision(folder):
    """The shortest that give the same float32 again."""
    found = json.loads(backlit(folder, "predict", "m.safetensors", "people.csv", "--json").stdout)["rows"]
    text = backlit(folder, "predict", "m.safetensors", "people.csv").stdout.splitlines()[1:]
    model, _, state = bl.load(folder / "m.safetensors")
    preparation = Preparation.from_record(bl.load_preparation(folder / "m.safetensors"))
    expected = bl.predict(model, state, preparation.apply(load_inputs(folder / "people.csv", preparation)))
    np.testing.assert_array_equal(np.array([row[1:] for row in found], np.float32), expected)
    assert [line.split(",")[1:] for line in text] == [[str(value) for value in row] for row in expected]


def test_a_result_is_what_its_name_says(folder):
    """Refused before the work otherwise."""
    names = ("p.json", "p.xlsx", "p.csv.gz", "p.txt")
    for name in names:
        done = backlit(folder, "predict", "nowhere", "people.csv", "--output", name)
        assert done.stderr == f"backlit: --output {name}: a name that ends in .csv, .tsv or .parquet is wanted.\n"
        assert not (folder / name).exists()
    for name in (".", "nowhere/p.csv"):
        done = backlit(folder, "predict", "m.safetensors", "people.csv", "--output", name)
        assert "a file in an existing folder that can be written to is wanted." in done.stderr
    assert "leave one of them out" in backlit(folder, "predict", "m", "x.csv", "--output", "p.csv", "--json").stderr
    piped = backlit(folder, "predict", "m.safetensors", "people.csv").stdout
    assert backlit(folder, "predict", "m.safetensors", "people.csv", "--output", "/dev/stdout").stdout == piped
    assert backlit(folder, "predict", "m.safetensors", "people.csv", "--output", "plain").returncode == 0
    assert (folder / "plain").read_text() == piped


def test_r2_of_one_row_is_not_told(tmp_path):
    written(tmp_path / "d.csv", [[str(k), f"{k}.5"] for k in range(5)], ["x", "y"])
    done = backlit(tmp_path, "train", "d.csv", "--save", "m", "--epochs", "1", "--quiet")
    assert done.stdout == "test R² undefined for one row\n"
    assert json.loads(backlit(tmp_path, "train", "d.csv", "--epochs", "1", "--json").stdout)["test_score"] is None
    written(tmp_path / "one.csv", [["1", "1.5"]], ["x", "y"])
    assert backlit(tmp_path, "evaluate", "m", "one.csv").stdout.endswith(" · R² undefined for one row\n")
    assert json.loads(backlit(tmp_path, "evaluate", "m", "one.csv", "--json").stdout)["value"] is None
