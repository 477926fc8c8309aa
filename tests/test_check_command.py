"""backlit check: somebody's file, run apart, checked and diagnosed; and the gallery of bugs with its reports."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

GALLERY = Path(__file__).parent.parent / "examples" / "bugs"


def check(file, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "backlit", "check", str(file), *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, env={**os.environ, "COLUMNS": "120"})


def check_in_gallery(name: str) -> list[str]:
    """What the command in the first line of the report prints now."""
    command = (GALLERY / f"{name}.txt").read_text("utf-8").splitlines()[0].removeprefix("$ backlit ").split()
    done = subprocess.run(
        [sys.executable, "-m", "backlit", *command], cwd=GALLERY, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 1, done.stderr
    return done.stdout.splitlines()


def without_rounding(line: str) -> str:
    """A line of the report without the numbers that are nothing but rounding."""
    return re.sub(r"-?\d[\d.]*(e-\d+)?", lambda m: "" if "e-" in m[0] or len(m[0]) > 6 else m[0], line)


@pytest.mark.parametrize("name", ["missing_derivative", "stale_gradient", "double_softmax", "broadcast_targets"])
def test_the_gallery(name):
    """The file's name is the bug's, and its report is what the command prints."""
    printed = check_in_gallery(name)
    assert any(line.strip().startswith(f"1. {name}") for line in printed)
    told = (GALLERY / f"{name}.txt").read_text("utf-8").splitlines()[1:]
    assert list(map(without_rounding, printed)) == list(map(without_rounding, told))


@pytest.mark.slow
@pytest.mark.parametrize("file", sorted(GALLERY.glob("*.py")), ids=lambda f: f.stem)
def test_the_whole_gallery(file):
    test_the_gallery(file.stem)


NIELSEN = """
import numpy as np
class Network:
    def __init__(self, sizes):
        self.sizes = sizes
        self.biases = [np.zeros((o, 1)) for o in sizes[1:]]
        self.weights = [np.zeros((o, i)) for i, o in zip(sizes, sizes[1:])]
    def update_mini_batch(self, batch, eta):
        for x, y in batch:
            nb, nw = self.backprop(x, y)
            self.weights = [w - eta * n for w, n in zip(self.weights, nw)]
            self.biases = [b - eta / len(batch) * n for b, n in zip(self.biases, nb)]
    def backprop(self, x, y):
        a = [x]
        for w, b in zip(self.weights, self.biases):
            a.append(1 / (1 + np.exp(-(w @ a[-1] + b))))
        nb, nw, d = [], [], (a[-1] - y) * a[-1] * (1 - a[-1])
        for l in range(len(self.weights) - 1, -1, -1):
            nb.insert(0, d)
            nw.insert(0, d @ a[l].T)
            d = self.weights[l].T @ d * a[l] * (1 - a[l])
        return nb, nw
"""


def test_the_books_class_and_its_update(tmp_path):
    (tmp_path / "net.py").write_text(NIELSEN)
    done = check(tmp_path / "net.py")
    assert done.returncode == 1
    assert "was executed" in done.stdout
    assert "backprop, called with one example at a time" in done.stdout
    assert "The gradient is right" in done.stdout
    assert "update_mini_batch" in done.stdout


FUNCTION = """
import numpy as np
def f(z): return {f}
def backprop(weights, biases, x, y):
    a = [x]
    for W, b in zip(weights, biases):
        a.append(f(a[-1] @ W + b))
    dW, db, d = [], [], (a[-1] - y) * {last} / len(x)
    for l in range(len(weights) - 1, -1, -1):
        dW.insert(0, a[l].T @ d)
        db.insert(0, d.sum(0))
        d = d @ weights[l].T * {slope}
    return {answer}
"""
SIGMOID = {"f": "1 / (1 + np.exp(-z))", "last": "a[-1] * (1 - a[-1])", "slope": "a[l] * (1 - a[l])"}


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ("[w.tolist() for w in dW], [b.tolist() for b in db]", "one example per row:"),
        ("{'dW1': dW[0], 'db1': db[0], 'dW2': dW[1], 'db2': db[1]}", "a dictionary with dW1, db1, dW2, db2"),
        ("{'weights': dW, 'biases': db}", "a dictionary with weights, biases"),
        ("list(zip(dW, db))", "a pair per layer"),
        ("(dW[0], db[0], dW[1], db[1])", "all arrays in a row"),
        ("(0.5, dW, db)", "a number beside the pair"),
        ("(db, dW)", "put in the other order"),
    ],
)
def test_the_forms_of_an_answer(tmp_path, answer, told):
    (tmp_path / "theirs.py").write_text(FUNCTION.format(answer=answer, **SIGMOID))
    done = check(tmp_path / "theirs.py")
    assert done.returncode == 0, done.stdout + done.stderr
    assert told in done.stdout


def test_the_order_of_the_arguments_is_taken_from_their_names(tmp_path):
    text = FUNCTION.format(answer="dW, db", **SIGMOID).replace("(weights, biases, x, y)", "(x, y, weights, biases)")
    (tmp_path / "theirs.py").write_text(text)
    assert check(tmp_path / "theirs.py").returncode == 0


def test_a_network_that_nobody_has_named_is_found_out(tmp_path):
    tanh = {"f": "np.tanh(z)", "last": "(1 - a[-1] ** 2)", "answer": "dW, db"}
    (tmp_path / "right.py").write_text(FUNCTION.format(slope="(1 - a[l] ** 2)", **tanh))
    done = check(tmp_path / "right.py")
    assert done.returncode == 0, done.stdout
    assert "--hidden tanh --output tanh." in done.stdout
    (tmp_path / "wrong.py").write_text(FUNCTION.format(slope="1", **tanh))
    done = check(tmp_path / "wrong.py")
    assert done.returncode == 1
    assert "tanh hidden" in done.stdout
    assert "1. missing_derivative, layer 1" in done.stdout
    done = check(tmp_path / "right.py", "--hidden", "sigmoid", "--output", "sigmoid", "--loss", "quadratic")
    assert "1. unknown" in done.stdout


def test_another_loss_in_which_it_is_right_is_told(tmp_path):
    (tmp_path / "theirs.py").write_text(FUNCTION.format(answer="dW, db", **{**SIGMOID, "last": "1"}))
    done = check(tmp_path / "theirs.py")
    assert done.returncode == 1
    assert "1. missing_derivative, layer 2" in done.stdout
    told = " ".join(done.stdout.split())
    assert "the gradient is right: say so with --loss binary_cross_entropy." in told
    assert check(tmp_path / "theirs.py", "--loss", "binary_cross_entropy").returncode == 0


def test_what_ends_the_file_after_backprop_is_no_obstacle(tmp_path):
    (tmp_path / "theirs.py").write_text(FUNCTION.format(answer="dW, db", **SIGMOID) + "open('no such data')\n")
    done = check(tmp_path / "theirs.py")
    assert done.returncode == 0
    assert "ended early, line 14: FileNotFoundError" in done.stdout


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("class Network", "class MLP", "right"),
        ("def __init__(self, sizes):", "def __init__(self, *sizes):", "right"),
        ("self.weights", "self.W", "right"),
        ("return nb, nw", "return nw, nb", "the book's order is (nabla_b, nabla_w)"),
    ],
)
def test_classes_like_the_books(tmp_path, old, new, told):
    (tmp_path / "net.py").write_text(NIELSEN.replace(old, new))
    done = check(tmp_path / "net.py")
    assert "The gradient is right" in done.stdout, done.stderr
    assert told in done.stdout


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("def backprop(x, y):\n    return 1\n", "must take (weights, biases, x, y)"),
        ("def backprop(w, b, x, y, rate):\n    return 1\n", "it takes (w, b, x, y, rate)"),
        ("def backprop(w, b, x, y):\n    one, two, three = w\n", "--sizes 4,5,3"),
        ("def backprop(w, b, x, y):\n    pass\n", "it returned None"),
        ("class A:\n    def backward(self): pass\n", "it has class A (backward)"),
        ("class A:\n    def backprop(self, x, y): pass\n", "it holds no arrays"),
        ("def backprop(w, b, x, y):\n    while True: print('x' * 1000)\n", "stopped after 3 s"),
        ("def backprop(w, b, x, y):\n    return w[9]\n", "line 2: IndexError"),
        ("def backprop(w, b, x, y):\n    return 3\n", "must return a pair"),
        ("def backprop(w, b, x, y):\n    return w[0].ravel(), 1\n", "it returned (an array of shape (20,), 1)"),
        ("def backprop(w, b, x, y):\n    return [None], ['a']\n", "arrays of numbers"),
        ("import sys\nsys.exit(3)\n", "line 2: SystemExit"),
        ("import os\nos._exit(5)\n", "exit code 5"),
        ("def backprop(\n", "SyntaxError"),
        ("x = input()\n", "asks for input()"),
        ("x = 1\n", "must have a function backprop"),
    ],
)
def test_whatever_the_file_does_becomes_one_line(tmp_path, text, wanted):
    (tmp_path / "theirs.py").write_text(text)
    done = check(tmp_path / "theirs.py", "--time-limit", "3")
    assert done.returncode == 1
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    assert wanted in done.stderr


def test_no_such_file(tmp_path):
    assert "there is no file" in check("nowhere.py").stderr
    assert "is a folder" in check(str(tmp_path)).stderr


def test_a_time_limit_that_never_comes_is_misuse(tmp_path):
    (tmp_path / "theirs.py").write_text("while True: pass\n")
    done = check(tmp_path / "theirs.py", "--time-limit", "nan")
    assert done.returncode == 2
    assert "seconds is wanted; got 'nan'" in done.stderr


LOGISTIC = """
import numpy as np
class Kept:  # as arrays of other libraries are
    def __init__(self, array): self.array = array
    def __array__(self, dtype=None): return self.array
def backprop(weights, biases, x, y):
    a = 1 / (1 + np.exp(-(x @ weights[0] + biases[0])))
    delta = (a - y) * a * (1 - a) / len(x)
    dW, db = x.T @ delta, delta.sum(axis=0)
    return ANSWER
"""


@pytest.mark.parametrize(
    ("answer", "form"), [("dW, db", "the arrays of the one layer, without lists"), ("[Kept(dW)], [Kept(db)]", "")]
)
def test_a_network_of_one_layer(tmp_path, answer, form):
    (tmp_path / "theirs.py").write_text(LOGISTIC.replace("ANSWER", answer))
    done = check(tmp_path / "theirs.py", "--sizes", "4,3")
    assert done.returncode == 0, done.stderr
    assert form in done.stdout
    assert "It printed" not in done.stdout
