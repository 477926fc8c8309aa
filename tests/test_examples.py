"""The examples and the README do what they say."""

from __future__ import annotations

import re
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import backlit as bl

ROOT = Path(__file__).parent.parent


class TestPerturb:
    perturb = runpy.run_path(str(ROOT / "examples" / "perturb.py"))
    net = bl.Network([2, 3, 1], hidden="sigmoid", loss="mean_squared_error")
    W1 = np.array([[-0.0053, -0.5820, -0.2723], [0.3793, -0.5204, 0.1896]])
    b1 = np.array([-0.0140, 0.5607, -0.0628])
    W2 = np.array([[0.1528], [-0.1745], [-0.1135]])
    b2 = np.array([-0.5516])
    x, y = np.array([[1.0, 1.0]]), np.array([[0.0]])

    def test_it_agrees_with_the_engine(self):
        """Both measure the same quotient of differences: they agree to its rounding, 1e-16/1e-4 of the loss."""
        weights = [self.W1, self.b1, self.W2, self.b2]
        engine = bl.open_engine(
            "finite_differences",
            self.net,
            bl.SGD(0.01),
            bl.state_from(self.net, [self.W1, self.W2], [self.b1, self.b2]),
            (self.x, self.y),
        )
        for _ in range(100):
            weights = self.perturb["update_weights"](self.x, self.y, weights, 0.01)
            engine.advance(np.array([[0]]))
        (W1, b1), (W2, b2) = engine.state().layers
        for mine, theirs in zip(weights, (W1, b1, W2, b2), strict=True):
            np.testing.assert_allclose(mine, theirs, atol=1e-10)
        out = bl.predict(self.net, engine.state(), self.x)[0, 0]
        assert out == pytest.approx(-0.0174745124, abs=6e-11)

    def test_the_procedure_is_twenty_lines(self):
        source = (ROOT / "examples" / "perturb.py").read_text("utf-8")
        body = source[source.index("def loss") : source.index('if __name__')]
        assert len([line for line in body.splitlines() if line.strip()]) <= 20

    def test_it_runs(self):
        found = subprocess.run(
            [sys.executable, ROOT / "examples" / "perturb.py"], capture_output=True, text=True, check=True
        )
        assert found.stdout.startswith("loss before: 0.334550")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", (ROOT / "README.md").read_text("utf-8"), re.DOTALL)


def test_the_readmes_python_runs(capsys, tmp_path, monkeypatch):
    """The blocks in order, as one session; what they print is what the README shows."""
    monkeypatch.chdir(tmp_path)
    session: dict[str, object] = {}
    for block in blocks("python"):
        exec(compile(block, "README.md", "exec"), session)
    printed = capsys.readouterr().out
    shown = "".join(re.findall(r"# → (.*)\n", "".join(blocks("python"))))
    assert shown
    assert shown.replace(" ", "") == printed.replace("\n", "").replace(" ", "")


def test_the_readme_names_both_commands():
    shell = "\n".join(blocks("sh"))
    assert "make train" in shell
    assert "make test" in shell
