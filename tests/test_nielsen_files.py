"""The book's modules: networks in files, the images of MNIST, and the programs of the page."""

from __future__ import annotations

import json
import re
import struct
from pathlib import Path

import numpy as np
import pytest
from nielsen_formulas import columns, parameters, seeded

import backlit as bl
from backlit.nielsen import mnist_loader, network, network2


class TestFiles:
    def test_the_books_form(self, tmp_path):
        seeded()
        net = network2.Network([3, 4, 2], cost=network2.QuadraticCost)
        net.save(tmp_path / "net.json")
        record = json.loads((tmp_path / "net.json").read_text())
        assert record == {
            "sizes": [3, 4, 2],
            "weights": [w.tolist() for w in net.weights],
            "biases": [b.tolist() for b in net.biases],
            "cost": "QuadraticCost",
        }
        again = network2.load(str(tmp_path / "net.json"))
        assert np.array_equal(parameters(again), parameters(net))
        assert again.cost is network2.QuadraticCost
        assert [f.name for f in tmp_path.iterdir()] == ["net.json"]
        training, _ = columns(10, 3, 2)
        again.SGD(training, 1, 5, 1.0)

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "[1, 2]",
            "{}",
            "[" * 100_000,
            '{"sizes": [2, 1], "weights": [[[1, 2]]], "biases": [[[0]]], "cost": "os"}',
            '{"sizes": [2, 1], "weights": [[[1, 2]]], "biases": [[[0]]], "cost": "Network"}',
            '{"sizes": [2, 1], "weights": [[[1, 2]]], "biases": [[[0]]], "cost": ["QuadraticCost"]}',
            '{"sizes": [2, 1], "weights": [[[1, 2, 3]]], "biases": [[[0]]], "cost": "QuadraticCost"}',
            '{"sizes": [2, 1], "weights": [[[1, 2]]], "biases": [[0]], "cost": "QuadraticCost"}',
            '{"sizes": [2, 1], "weights": [[[1, 2]]], "biases": [[[0, 1]]], "cost": "QuadraticCost"}',
            '{"sizes": [2, 1], "weights": [[[1, NaN]]], "biases": [[[0]]], "cost": "QuadraticCost"}',
            '{"sizes": [2, 1], "weights": [[[1, "two"]]], "biases": [[[0]]], "cost": "QuadraticCost"}',
            '{"sizes": [2], "weights": [], "biases": [], "cost": "QuadraticCost"}',
            '{"sizes": [9999999999, 999999999], "weights": [], "biases": [], "cost": "QuadraticCost"}',
        ],
    )
    def test_other_files(self, tmp_path, text):
        (tmp_path / "odd.json").write_text(text)
        with pytest.raises(bl.BadInput, match=re.escape("odd.json")) as error:
            network2.load(tmp_path / "odd.json")
        assert "\n" not in str(error.value)

    def test_places(self, tmp_path):
        with pytest.raises(bl.BadInput, match="can't be read"):
            network2.load(tmp_path / "none.json")
        with pytest.raises(bl.BadInput, match="can't be written"):
            network2.Network([2, 1]).save(tmp_path / "none" / "net.json")


class TestMNIST:
    @pytest.fixture
    def folder(self, tmp_path, monkeypatch):
        """A data set of MNIST's sizes: image i has the digit i % 10, and pixels that are bytes made from i."""
        for name, count in (("train", 60_000), ("t10k", 10_000)):
            images = (np.arange(count * 784, dtype=np.uint32) * 7 % 256).astype(np.uint8)
            labels = (np.arange(count) % 10).astype(np.uint8)
            (tmp_path / f"{name}-images-idx3-ubyte").write_bytes(
                struct.pack(">IIII", 0x803, count, 28, 28) + images.tobytes()
            )
            (tmp_path / f"{name}-labels-idx1-ubyte").write_bytes(struct.pack(">II", 0x801, count) + labels.tobytes())
        monkeypatch.setenv("BACKLIT_DATA", str(tmp_path))
        return tmp_path

    def test_the_books_division(self, folder):
        parts = mnist_loader.load_data()
        assert [(x.shape, y.shape) for x, y in parts] == [((n, 784), (n,)) for n in (50_000, 10_000, 10_000)]
        for (x, y), first in zip(parts, (0, 50_000, 0), strict=True):
            assert x.dtype == np.float32
            expected = np.arange(first * 784, (first + len(x)) * 784, dtype=np.uint32) * 7 % 256 / 256
            assert np.array_equal(x.ravel(), expected)
            assert np.array_equal(y, np.arange(first, first + len(x)) % 10)

    def test_the_wrapper(self, folder):
        training, validation, test = mnist_loader.load_data_wrapper()
        assert [type(part) for part in (training, validation, test)] == [list] * 3
        assert [len(part) for part in (training, validation, test)] == [50_000, 10_000, 10_000]
        x, y = training[123]
        assert x.shape == (784, 1)
        assert y.tolist() == [[float(i == 3)] for i in range(10)]
        assert (x[:, 0] * 256).tolist() == [(123 * 784 + i) * 7 % 256 for i in range(784)]
        x, y = validation[4]
        assert x.shape == (784, 1)
        assert (y, type(y)) == (4, int)
        assert test[9][1] == 9
        net = network.Network([784, 10])
        assert net.evaluate(test) == sum(int(np.argmax(net.feedforward(x)) == y) for x, y in test[:200]) + net.evaluate(
            test[200:]
        )


def test_the_programs_of_the_page_run(monkeypatch, tmp_path):
    """The Python of docs/book.md in its order, as one session, on a tenth of a percent of the images."""
    training, digits = columns(50, 784, 10)
    monkeypatch.setattr(mnist_loader, "load_data_wrapper", lambda: (training, digits, digits))
    monkeypatch.chdir(tmp_path)
    page = (Path(__file__).parent.parent / "docs" / "book.md").read_text("utf-8")
    programs = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert len(programs) == 4
    session: dict[str, object] = {}
    for program in programs:
        exec(compile(program, "docs/book.md", "exec"), session)
    assert (tmp_path / "digits.json").exists()
    assert len(session["evaluation_accuracy"]) == 30
