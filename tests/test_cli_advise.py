"""backlit advise and backlit examples as people type them: what they print, draw and write; mistakes in one line."""

from __future__ import annotations

import json
import re
import zlib
from base64 import b64decode

import numpy as np
import pytest
from refusals import one_line
from requires import requires

import backlit as bl


@pytest.fixture
def model(run):
    """A saved model of iris."""
    assert run("train", "iris", "--save", "m.safetensors", "--quiet", "--epochs", "10")[0] == 0
    return "m.safetensors"


def test_advise_answers_in_a_table_a_picture_and_json(run, tmp_path):
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        requires("matplotlib", False)
    code, out, err = run("advise", "iris", "--epochs", "40", "--hidden", "8", "--plot", "advice.png")
    assert code == 0
    for told in ("Noise scale", "all of it", "Shortest on this machine", "not a law", "formula expects", "advice.png"):
        assert told in out
    assert "4-8-3 relu softmax" in err
    assert (tmp_path / "advice.png").read_bytes().startswith(b"\x89PNG")
    code, out, err = run("advise", "iris", "--epochs", "40", "--json", "--seed", "3")
    found = json.loads(out)
    assert code == 0 and err == ""
    assert [size["batch"] for size in found["sizes"]] == [1, 2, 4, 8, 16, 32, 64]
    assert found["noise"]["update"][-1] == found["updates"] == 40 * 4
    assert len(found["check"]) == 3 and all(size["seconds"] > 0 for size in found["sizes"])


def test_advise_rate_marks_the_rates(run):
    code, out, _ = run("advise", "iris", "--rate")
    assert code == 0
    assert "steepest fall" in out and "runs away" in out and "Begin with a rate of" in out
    code, out, _ = run("advise", "iris", "--rate", "--json", "--optimizer", "adam")
    found = json.loads(out)
    assert found["optimizer"] == "Adam" and found["suggestion"] <= found["diverging"] / 4
    assert len(found["rates"]) == len(found["smooth"])
    assert run("advise", "iris", "--rate", "--json", "--optimizer", "adam")[1] == out


def test_examples_in_a_table_a_page_and_json(run, model, tmp_path):
    code, out, _ = run("examples", model, "iris", "--top", "3", "--html", "page.html")
    assert code == 0
    assert "the longest gradients" in out and "agreement of two classes" in out and "page.html" in out
    assert "versicolor" in (tmp_path / "page.html").read_text("utf-8")
    found = json.loads(run("examples", model, "iris", "--top", "5", "--json", "--by", "loss")[1])
    losses = [example["loss"] for example in found["largest"]]
    assert len(losses) == 5 and losses == sorted(losses, reverse=True)
    assert found["rows"] == 150 and len(found["agreement"]) == 3


def test_examples_are_drawn_as_they_were_before_the_preparation(run, tmp_path):
    """Pixels that are scaled column by column are no picture any more."""
    run("train", "digits", "--save", "m", "--quiet", "--epochs", "2", "--hidden", "8")
    code, _, _ = run("examples", "m", "digits", "--top", "6", "--html", "p.html")
    page = (tmp_path / "p.html").read_text("utf-8")
    drawn = re.findall(r'base64,([^"]*)" alt="row (\d+)', page)
    assert (code, len(drawn)) == (0, 6)
    x = np.asarray(bl.load_dataset("digits").x)
    for source, row in drawn:
        content = b64decode(source)
        lines = zlib.decompressobj().decompress(content[content.index(b"IDAT") + 4 :])
        grey = np.frombuffer(lines, np.uint8).reshape(8, 9)[:, 1:].astype(float)
        raw = x[int(row)].reshape(8, 8)
        expected = 255 * (1 - (raw - raw.min()) / (raw.max() - raw.min()))
        assert np.abs(grey - expected).max() < 1.01
    assert re.search(r":root\s*{\s*color-scheme: light dark", page)


def test_examples_of_a_table_with_a_wrong_label(run, tmp_path):
    """The one label that was exchanged comes first, by its row in the file."""
    data = bl.load_dataset("iris")
    names = np.array(data.y).astype(str)
    names[10] = "virginica"
    rows = [",".join(map(str, [*x, name])) for x, name in zip(data.x, names, strict=True)]
    (tmp_path / "flowers.csv").write_text("a,b,c,d,kind\n" + "\n".join(rows) + "\n")
    run("train", "flowers.csv", "--target", "kind", "--save", "m", "--quiet", "--epochs", "30")
    found = json.loads(run("examples", "m", "flowers.csv", "--json")[1])
    assert found["largest"][0]["row"] == 10 and found["largest"][0]["label"] == "virginica"


def test_names_from_a_file_can_t_command_the_terminal(run, tmp_path):
    rows = [f"{i},{i % 7},{'[bold]a' if i % 2 else chr(27) + '[2Jb'}" for i in range(40)]
    (tmp_path / "bad.csv").write_text("u,v,kind\n" + "\n".join(rows) + "\n")
    run("train", "bad.csv", "--target", "kind", "--save", "m", "--quiet", "--epochs", "2")
    code, out, _ = run("examples", "m", "bad.csv", "--html", "p.html")
    assert code == 0
    assert "\x1b" not in out and "[bold]a" in out and "\\x1b[2Jb" in out


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        (["advise", "nothing.csv"], "nothing.csv"),
        (["advise", "iris", "--plot", "advice.txt"], ".png"),
        (["advise", "iris", "--plot", "no/such/folder/a.png"], "--plot"),
        (["advise", "iris", "--batch-size", "1"], "at least 2 rows"),
        (["advise", "iris", "--target", "x"], "target"),
        (["advise", "iris", "--hidden", "10000000000000000000"], "parameters"),
        (["examples", "missing", "iris"], "missing"),
        (["examples", "m.safetensors", "missing.csv"], "missing.csv"),
        (["examples", "m.safetensors", "iris", "--html", "no/such/p.html"], "--html"),
        (["examples", "m.safetensors", "iris", "--plot", "p.png"], "square pictures"),
        (["examples", "m.safetensors", "digits"], "sepal length"),
    ],
)
def test_mistakes_are_one_line(run, model, argv, told):
    code, _, err = run(*argv)
    assert code == 1
    last = err.strip().splitlines()[-1]
    assert last.startswith("backlit: ") and told in last


@pytest.mark.parametrize(
    "content", [b"", b"a,b\n", b"a,b\n1,2\n", b"a,b\n1,x\n2,x\n", b"a,b\n1,nan\n2,nan\n3,1\n", b"\xff\xfe"]
)
def test_hostile_files_end_in_one_line(run, tmp_path, content):
    (tmp_path / "bad.csv").write_bytes(content)
    for argv in (["advise", "bad.csv"], ["advise", "bad.csv", "--rate"]):
        code, _, err = run(*argv)
        assert code == 1 and one_line("backlit: " + err.strip().split("backlit: ", 1)[1])


@pytest.mark.parametrize(
    "argv",
    [
        ["advise"],
        ["advise", "iris", "--optimizer", "adam"],
        ["advise", "iris", "--rate", "--epochs", "3"],
        ["advise", "iris", "--epochs", "0"],
        ["examples", "m"],
        ["examples", "m", "iris", "--top", "0"],
        ["examples", "m", "iris", "--by", "size"],
    ],
)
def test_misuse_is_exit_code_2(run, argv):
    code, _, err = run(*argv)
    assert code == 2 and "Usage" in err
