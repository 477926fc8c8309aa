"""Rows of memory-mapped files: parts of them are no copies, and training on them gives the bits of copies."""

from __future__ import annotations

import numpy as np
import pytest
from requires import requires

import backlit as bl
from backlit.data.mapped_rows import ReadAhead, RowView

RANDOM = np.random.default_rng(6)
X, Y = RANDOM.standard_normal((500, 7)).astype(np.float32), RANDOM.integers(0, 3, 500)
NET = bl.Network([7, 5, 3], output="softmax", loss="cross_entropy")


@pytest.fixture
def mapped(tmp_path):
    np.save(tmp_path / "x.npy", X)
    np.save(tmp_path / "y.npy", Y)
    return bl.load_dataset(tmp_path)


@pytest.mark.parametrize("key", [3, slice(10, 50), slice(None), np.array([[1, 2], [3, 3]]), (slice(5, 9), [0, 2]),
                                 (slice(None), slice(1, 3)), (4, 2)])  # fmt: skip
def test_a_view_gives_what_a_copy_gives(key):
    rows = RANDOM.permutation(500)[:120]
    view = RowView(X, rows)
    assert np.array_equal(view[key], X[rows][key])
    assert (view.shape, view.ndim, view.dtype, view.size, len(view)) == ((120, 7), 2, np.float32, 840, 120)
    assert np.array_equal(np.asarray(view), X[rows]) and np.asarray(view, np.float64).dtype == np.float64


@pytest.mark.parametrize("engine", ["native", "reference", "jax"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_part_of_a_file_trains_to_the_bits_of_its_copy(engine, dtype, mapped):
    reason = bl.available_engines()[engine]
    requires(engine, reason == "ready", reason)
    copies = bl.Dataset(X, Y).split(0.7, 1)
    parts = mapped.split(0.7, 1)
    assert all(isinstance(part.x, RowView) for part in parts), "nothing is copied"
    states = []
    for train, held in (parts, copies):
        inner, rest = train.split(0.5, 2)  # a part of a part
        assert np.array_equal(rest.x[:], copies[0].split(0.5, 2)[1].x)
        state = bl.initial_state(NET, bl.SGD(0.1), dtype=dtype)
        state, history = bl.fit(NET, bl.SGD(0.1), inner, state=state, engine=engine, validation=held, epochs=2,
                                progress=False)  # fmt: skip
        states.append((state.parameters.tobytes(), history.validation_loss, history.validation_score))
    assert states[0] == states[1]


def test_blocks_are_asked_for_before_training_comes_to_them(mapped):
    order = np.concatenate([np.arange(200, 300), np.arange(400, 500), np.arange(0, 100), np.arange(100, 200),
                            np.arange(300, 400)])  # fmt: skip
    ahead = ReadAhead(mapped.x, order, 100)
    for place, asked in ((0, {2}), (40, {2, 4}), (100, {2, 4}), (101, {2, 4, 0}), (250, {2, 4, 0, 1}),
                         (450, {0, 1, 2, 3, 4})):  # fmt: skip
        ahead.until(place)
        assert ahead.asked == asked
    for number in range(5):
        start, end = ahead.place_of(ahead.map, number)
        assert start % 4096 == 0 and ahead.map[start:end].endswith(X[100 * number : 100 * number + 100].tobytes())
    resumed = ReadAhead(mapped.x, order, 100)
    resumed.until(230)
    assert resumed.asked == {0, 1}
    part = ReadAhead(RowView(mapped.x, np.arange(0, 500, 2)), np.arange(250), 100)
    part.until(0)
    assert part.asked == {0, 1}, "the first hundred rows of the part lie in two blocks of the file"
    nothing = ReadAhead(X, order, 100)
    nothing.until(450)
    assert nothing.map is None and not nothing.asked


def test_training_in_blocks_reads_ahead_and_changes_nothing(mapped, monkeypatch):
    monkeypatch.setattr("backlit.batches.BLOCK", 64)
    monkeypatch.setattr("backlit.training.BLOCK", 64)
    seen = []
    monkeypatch.setattr(ReadAhead, "until", lambda self, place: seen.append(place))
    given = {"order": "shuffled_in_blocks", "epochs": 2, "progress": False, "seed": 3}
    state, _ = bl.fit(NET, bl.SGD(0.1), mapped, **given)
    assert seen.count(0) == 2 and set(seen) <= set(range(0, 500, 32)), "where each stretch of each epoch begins"
    other, _ = bl.fit(NET, bl.SGD(0.1), (X, Y), **given)
    assert np.array_equal(state.parameters, other.parameters)
