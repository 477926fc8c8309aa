"""The native engine on inputs that are mostly zero, which it leaves out: the same numbers, to the bit, as without."""

from __future__ import annotations

import numpy as np
import pytest
from ladder import OPTIMIZERS, far, states
from requires import requires

import backlit as bl
from backlit.engines import native

requires("native", native.availability() == "ready", native.availability())

CLOSE = {"float64": 1e-11, "float32": 5e-4}
INPUTS, ROWS = 101, 300


def network(*units: int) -> bl.Network:
    return bl.Network([INPUTS, *units, 3], output="softmax", loss="cross_entropy")


def mostly_zeros(dtype: str, dense_rows: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """x (ROWS, INPUTS): one number in eight is not zero, all are in the first ``dense_rows``; some zeros are −0."""
    random = np.random.default_rng(0)
    x = random.standard_normal((ROWS, INPUTS))
    x[dense_rows:] *= random.random((ROWS - dense_rows, INPUTS)) < 0.125  # −1 · 0 is −0
    x[:, 7] = 0
    return x.astype(dtype), np.eye(3, dtype=dtype)[random.integers(0, 3, ROWS)]


@pytest.mark.parametrize("dtype", CLOSE)
@pytest.mark.parametrize("units", [(), (16,), (30,), (72,), (100,), (150, 5)])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_with_many_zeros(name, units, dtype):
    net, opt = network(*units), OPTIMIZERS[name]
    x, y = mostly_zeros(dtype)
    state = states(net, opt, dtype)
    opened = native.Engine(net, opt, state, bl.Dataset(x, y))
    rows = np.random.default_rng(len(units)).permutation(ROWS)[: 7 if len(units) else 70]
    loss = opened.advance(rows[None])[0]
    trace = bl.step(net, opt, state, x[rows], y[rows])
    change = opened.state().parameters.astype(float) - state.parameters
    assert far(change, trace.after.parameters.astype(float) - state.parameters) < CLOSE[dtype]
    for slot, values in trace.after.slots.items():
        assert far(opened.state().slots[slot], values) < CLOSE[dtype]
    assert loss == pytest.approx(trace.loss, rel=1e-12 if dtype == "float64" else 3e-6)


@pytest.mark.parametrize("dtype", CLOSE)
@pytest.mark.parametrize("batch", [9, 40, 256])
@pytest.mark.parametrize("units", [(), (30,), (67,), (100,), (200,)])
@pytest.mark.parametrize("name", ["sgd", "sgd-l2", "nesterov", "adamw"])
def test_the_same_bits_as_from_the_full_products(name, units, batch, dtype):
    """The first batch of a call decides whether zeros are left out; it is dense here, and the second is not."""
    net, opt = network(*units), OPTIMIZERS[name]
    x, y = mostly_zeros(dtype, dense_rows=9)
    rows = np.stack([np.arange(batch) % 9, np.arange(ROWS - batch, ROWS)])
    results = []
    for calls in ([rows], [rows[:1], rows[1:]]):
        opened = native.Engine(net, opt, states(net, opt, dtype), bl.Dataset(x, y), threads=1)
        losses = np.concatenate([opened.advance(call) for call in calls])
        state = opened.state()
        results.append([losses, state.parameters, *state.slots.values()])
    assert all(np.array_equal(a, b) for a, b in zip(*results, strict=True))


@pytest.mark.parametrize("units", [(), (30,), (150,)])
def test_the_same_bits_with_any_number_of_threads_and_many_zeros(units):
    net, opt = network(*units), bl.Adam(0.1)
    x, y = mostly_zeros("float32")
    results = []
    for threads in (1, 2, 3, 8):
        opened = native.Engine(net, opt, states(net, opt, "float32"), bl.Dataset(x, y), threads=threads)
        losses = opened.advance(np.random.default_rng(0).integers(0, ROWS, (20, 40)))
        results.append([losses, opened.state().parameters])
    for other in results[1:]:
        assert all(np.array_equal(a, b) for a, b in zip(results[0], other, strict=True))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_number_that_is_not_finite_is_no_zero(bad, tmp_path):
    x, y = mostly_zeros("float32")
    x[5, 7] = bad
    np.save(tmp_path / "x.npy", x)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")  # a file is not looked through for such numbers
    net = network(20)
    opened = native.Engine(net, bl.SGD(0.1), states(net, bl.SGD(0.1), "float32"), bl.Dataset(mapped, y))
    assert np.isfinite(opened.advance(np.array([[1, 2, 3]])))[0]
    assert not np.isfinite(opened.advance(np.array([[1, 5, 3]])))[0]
