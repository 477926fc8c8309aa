"""backlit check: somebody's file, run apart, checked and diagnosed; and the gallery of bugs with its reports."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

GALLERY = Path(__file__).parent.parent / "examples" / "bugs"


def check(file, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "backlit", "check", str(file), *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, env={**os.environ, "COLUMNS": "120"})


@pytest.mark.parametrize("name", ["missing_derivative", "stale_gradient", "double_softmax", "broadcast_targets"])
def test_the_gallery(name):
    """The file's name is the bug's; the options stand in the first line of its report."""
    options = (GALLERY / f"{name}.txt").read_text("utf-8").splitlines()[0].split()[4:]
    done = check(GALLERY / f"{name}.py", *options, "--json")
    assert done.returncode == 1, done.stderr
    assert json.loads(done.stdout)["verdicts"][0]["suspects"][0]["name"] == name


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


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("def backprop(w, b, x, y):\n    while True: print('x' * 1000)\n", "stopped after 3 s"),
        ("def backprop(w, b, x, y):\n    return w[9]\n", "line 2: IndexError"),
        ("def backprop(w, b, x, y):\n    return 3\n", "must return a pair"),
        ("def backprop(w, b, x, y):\n    return [None], ['a']\n", "arrays of numbers"),
        ("import sys\nsys.exit(3)\n", "line 2: SystemExit"),
        ("import os\nos._exit(5)\n", "exit code 5"),
        ("def backprop(\n", "SyntaxError"),
        ("x = input()\n", "EOFError"),
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


def test_no_such_file():
    assert "there is no file" in check("nowhere.py").stderr
