"""Lengths of example gradients and the noise of a batch: every engine against the example gradients of chain.py.

The noise is held against its true value, on networks small enough to compute it, in expectation and over a run.
"""

from __future__ import annotations

import os
import subprocess
import sys
from importlib import import_module

import numpy as np
import pytest
from ladder import NETWORKS, batch, far, states
from refusals import refusal
from requires import requires

import backlit as bl
from backlit import engines
from backlit.engines import ENGINES, native
from backlit.example_norms import products, signal_and_noise, squared_norms

CLOSE = {"float64": 1e-11, "float32": 1e-4}
SMALL = {name for name, net in NETWORKS.items() if net.n_parameters < 20_000}
# Every registered engine that measures; finite_differences inherits the plain one's, at P + 1 passes a step.
MEASURING = [
    name
    for name in ENGINES
    if hasattr(import_module(f"backlit.engines.{name}").Engine, "advance_measured") and name != "finite_differences"
]


def ready(engine: str) -> None:
    reason = bl.available_engines()[engine]
    requires(engine, reason == "ready", reason)


def example_gradients(net, state, x, y):
    """(B, P), each made in full by the plain formulas, in float64."""
    return bl.step(net, bl.SGD(1.0), state.astype("float64"), x, y).example_gradients.flat


# --- the formulas, and every engine's kernel ------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(SMALL))
def test_lengths_and_products_are_those_of_the_gradients(name):
    net = NETWORKS[name]
    x, y, _ = batch(net, 9)
    trace = bl.step(net, bl.SGD(1.0), states(net, bl.SGD(1.0), "float64"), x, y)
    g, deltas = trace.example_gradients.flat, [layer.delta for layer in trace.layers]
    assert far(squared_norms(trace.inputs, deltas), (g * g).sum(1)) < 1e-13
    assert far(products(trace.inputs, deltas), g @ g.T) < 1e-13
    assert far(trace.example_norms, np.linalg.norm(g, axis=1)) < 1e-13


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("dtype", CLOSE)
@pytest.mark.parametrize("name", sorted(SMALL))
@pytest.mark.parametrize("engine", MEASURING)
def test_measured_steps_of_every_network(engine, name, dtype, weighted):
    """mean ‖sᵢgᵢ‖² and ‖mean sᵢgᵢ‖², without L2; and the step is the one that isn't measured, to the bit."""
    ready(engine)
    net, opt = NETWORKS[name], bl.SGD(0.1, l2=0.3, momentum=0.5)
    x, y, s = batch(net, 30)
    x, y, s = x.astype(dtype), y.astype(dtype), s.astype(dtype)
    state, data = states(net, opt, dtype), bl.Dataset(x, y, s if weighted else None)
    rows = np.random.default_rng(3).permutation(30)[:14].reshape(2, 7)
    measured, plain = (engines.open_engine(engine, net, opt, state, data) for _ in range(2))
    losses, squares = measured.advance_measured(rows)
    assert np.array_equal(losses, plain.advance(rows))
    assert np.array_equal(measured.state().parameters, plain.state().parameters)
    h = example_gradients(net, state, x[rows[0]], y[rows[0]]) * (s[rows[0], None] if weighted else 1.0)
    mean = h.mean(0)
    assert far(squares[0], np.array([(h * h).sum(1).mean(), mean @ mean])) < CLOSE[dtype]
    assert squares.shape == (2, 2)


@pytest.mark.parametrize("dtype", CLOSE)
@pytest.mark.parametrize("engine", MEASURING)
def test_the_rate_is_not_in_what_is_measured(engine, dtype):
    """Plain descent may carry the rate in its deltas; rates of zero and nearly zero are measured like any other."""
    ready(engine)
    net, opt = NETWORKS[sorted(SMALL)[0]], bl.SGD(0.1, l2=0.3)
    x, y, _ = (part.astype(dtype) for part in batch(net, 30))
    state, data = states(net, opt, dtype), bl.Dataset(x, y)
    rows = np.broadcast_to(np.arange(9), (3, 9))
    g = example_gradients(net, state, x[:9], y[:9])
    expected = np.array([(g * g).sum(1).mean(), (g.mean(0) ** 2).sum()])
    measured, plain = (engines.open_engine(engine, net, opt, state, data) for _ in range(2))
    _, squares = measured.advance_measured(rows, rates := [0.0, 1e-30, 1e-11])
    for step in range(3):
        assert far(squares[step], expected) < CLOSE[dtype], step
    plain.advance(rows[:1], rates[:1])
    assert np.array_equal(plain.state().parameters, state.parameters)
    plain.advance(rows[1:], rates[1:])
    assert np.array_equal(measured.state().parameters, plain.state().parameters)


@pytest.mark.parametrize("dtype", CLOSE)
@pytest.mark.parametrize("optimizer", [bl.SGD(0.1), bl.Adam(0.01, l2=0.1)], ids=["sgd", "adam"])
@pytest.mark.parametrize("units", [1, 3, 8, 13, 16, 17, 31, 33, 40])
def test_padding_and_threads_add_nothing(units, optimizer, dtype):
    ready("native")
    net = bl.Network([37, units, 5, units], hidden=["gelu", "tanh"], output="linear", loss="quadratic")
    x, y, _ = batch(net, 30)
    x, y = x.astype(dtype), y.astype(dtype)
    state = states(net, optimizer, dtype)
    for rows, threads in ((1, 1), (2, 2), (11, 1), (29, 3)):
        chosen = np.arange(rows)
        engine = native.Engine(net, optimizer, state, bl.Dataset(x, y), threads=threads)
        _, squares = engine.advance_measured(chosen[None])
        g = example_gradients(net, state, x[:rows], y[:rows])
        expected = [(g * g).sum(1).mean(), (g.mean(0) ** 2).sum()]
        assert far(squares[0], np.array(expected)) < CLOSE[dtype], (rows, threads)


@pytest.mark.parametrize("dtype", CLOSE)
@pytest.mark.parametrize("name", sorted(SMALL))
@pytest.mark.parametrize("engine", MEASURING)
def test_every_example_without_a_step(engine, name, dtype):
    """More rows than a block of the core has, and data in another precision or layout than the State's."""
    ready(engine)
    net = NETWORKS[name]
    x, y, _ = batch(net, 250)
    state = states(net, bl.SGD(1.0), dtype)
    losses, squares = import_module(f"backlit.engines.{engine}").examples(net, state, np.asfortranarray(x), y)
    trace = bl.step(net, bl.SGD(1.0), state.astype("float64"), x, y)
    assert far(squares, (trace.example_gradients.flat ** 2).sum(1)) < 10 * CLOSE[dtype]
    assert far(losses, trace.example_losses) < CLOSE[dtype]


def test_every_instruction_set_measures_alike():
    ready("native")
    code = (
        "import numpy as np, backlit as bl\nfrom backlit.engines import native\n"
        "net = bl.Network([20, 33, 7], hidden='gelu', output='softmax', loss='cross_entropy')\n"
        "r = np.random.default_rng(0); x = r.random((9, 20)); y = np.eye(7)[r.integers(0, 7, 9)]\n"
        "e = native.Engine(net, bl.Adam(0.1), bl.initial_state(net, bl.Adam(0.1), dtype='float64'), bl.Dataset(x, y))\n"
        "print(*e.advance_measured(np.arange(9)[None])[1][0])\n"
    )
    found = []
    for name in native.instruction_sets()[1]:
        environment = {**os.environ, "BACKLIT_ISA": name}
        run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
        found.append([float(number) for number in run.stdout.split()])
    assert far(np.array(found), np.repeat(found[:1], len(found), axis=0)) < 1e-12


def test_a_wrong_length_is_caught():
    """Without the + 1 for the biases the comparison fails."""
    net = NETWORKS["one-unit"]
    x, y, _ = batch(net, 9)
    trace = bl.step(net, bl.SGD(1.0), states(net, bl.SGD(1.0), "float64"), x, y)
    pairs = zip(trace.inputs, trace.layers, strict=True)
    wrong = sum((a * a).sum(1) * (layer.delta**2).sum(1) for a, layer in pairs)
    assert far(wrong, (trace.example_gradients.flat ** 2).sum(1)) > 0.01


# --- the noise, against its true value ------------------------------------------------------------------------------

def small(rows: int, reduction: str = "mean"):
    """(network, State, data, true ‖G‖², true tr Σ over the rows)."""
    net = bl.Network([4, 5, 3], hidden="tanh", output="softmax", loss="cross_entropy", reduction=reduction)
    x, y, _ = batch(net, rows, seed=2)
    state = bl.initial_state(net, seed=1, dtype="float64")
    g = example_gradients(net, state, x, y)
    G = g.mean(0)
    return net, state, (x, y), G @ G, ((g - G) ** 2).sum(1).mean()


def drawn(rows: int, steps: int, size: int, replace: bool) -> np.ndarray:
    random = np.random.default_rng(7)
    return np.array([random.choice(rows, size, replace=replace) for _ in range(steps)])


def estimates(rows: int, size: int, replace: bool, population: int | None, formula=signal_and_noise) -> np.ndarray:
    """Relative errors of ‖G‖², tr Σ and the noise scale after 5,000 batches from one State."""
    ready("native")
    net, state, data, square, variance = small(rows)
    chosen = drawn(rows, 5000, size, replace)
    engine = engines.open_engine("native", net, bl.SGD(1.0), state, data)
    _, squares = engine.advance_measured(chosen, np.zeros(5000))
    found = formula(squares[:, 0], squares[:, 1], size, population).mean(0)
    return np.array([found[0] / square, found[1] / variance, found[1] / found[0] / (variance / square)]) - 1


@pytest.mark.parametrize("size", [16, 64])
def test_the_noise_is_within_3_percent_of_the_truth_with_replacement(size):
    assert np.abs(estimates(60, size, True, None)).max() < 0.03


def test_the_noise_is_within_3_percent_of_the_truth_without_replacement():
    assert np.abs(estimates(60, 16, False, 60)).max() < 0.03


def test_wrong_formulas_are_caught():
    """Taken for drawn with replacement; without the noise in m taken off; without B/(B − 1)."""
    assert np.abs(estimates(60, 16, False, None)).max() > 0.03
    for wrong in (lambda n, m, b, p: (m, (n - m) * b / (b - 1)), lambda n, m, b, p: ((b * m - n) / (b - 1), n - m)):
        stacked = estimates(60, 16, True, None, lambda *given, wrong=wrong: np.stack(wrong(*given), 1))
        assert np.abs(stacked).max() > 0.03


def test_all_rows_at_once_are_exact():
    """A batch of the whole population holds no doubt: the estimates are the true values."""
    net, state, data, square, variance = small(40)
    engine = engines.open_engine("reference", net, bl.SGD(1.0), state, data)
    _, squares = engine.advance_measured(np.arange(40)[None])
    found = signal_and_noise(squares[:, 0], squares[:, 1], 40, 40)[0]
    assert found == pytest.approx([square, variance], rel=1e-10)
    assert np.isnan(signal_and_noise(squares[:, 0], squares[:, 1], 1)).all()


# --- in a run -------------------------------------------------------------------------------------------------------


def test_a_run_measures_its_noise_and_stays_the_same_to_the_bit():
    net, _, data, _, _ = small(230)
    options = {"batch_size": 16, "epochs": 20, "seed": 3, "progress": False}
    plain, without = bl.fit(net, bl.Adam(0.01), data, **options)
    state, history = bl.fit(net, bl.Adam(0.01), data, noise=True, **options)
    assert np.array_equal(state.parameters, plain.parameters) and history.loss == without.loss
    assert without.noise_scale == []
    assert history.noise_step == [100, 200, 300]  # 15 updates an epoch
    assert len(history.noise_scale) == 3 and all(value > 0 for value in history.noise_scale)
    quotient = np.divide(history.gradient_variance, history.gradient_square)
    assert history.noise_scale == quotient.tolist()
    assert history.mean_noise_scale(1.0) == pytest.approx(sum(history.gradient_variance) / sum(history.gradient_square))


def test_the_curve_of_a_run_comes_near_the_truth():
    """At a rate of nearly nothing the whole run measures one State; rows drawn with replacement, then by epochs."""
    net, state, data, square, variance = small(90)
    opt = bl.SGD(1e-30)
    order = lambda epoch: np.random.default_rng(epoch).integers(0, 90, 1000)  # noqa: E731
    for given, sum_too in ((order, False), ("shuffled", True)):
        epochs = 80 if given is order else 900
        _, history = bl.fit(
            net, opt, data, batch_size=16, epochs=epochs, state=state, order=given, noise=True, progress=False
        )
        assert history.mean_noise_scale(1.0) == pytest.approx(variance / square, rel=0.03)
        if sum_too:
            total, _, _, _, _ = small(90, "sum")
            _, again = bl.fit(total, opt, data, batch_size=16, epochs=20, state=state, noise=True, progress=False)
            assert again.gradient_square[0] == pytest.approx(history.gradient_square[0], rel=1e-9)
            assert again.gradient_variance[0] == pytest.approx(history.gradient_variance[0], rel=1e-9)


def test_points_don_t_depend_on_how_the_loop_is_cut():
    net, _, data, _, _ = small(230)
    histories = []
    for every in (1, 7, None):
        history = bl.History()
        for progress in bl.train(net, bl.SGD(0.1), data, batch_size=16, epochs=9, noise=True, reports_every=every):
            history(progress)
        histories.append((history.noise_step, history.gradient_square, history.gradient_variance))
    assert histories[0] == histories[1] == histories[2]
    assert histories[0][0] == [100, 135]


def test_a_resumed_run_has_the_curve_of_one_never_interrupted(tmp_path):
    net, _, data, _, _ = small(230)
    options = {"batch_size": 16, "seed": 3, "progress": False, "noise": True}
    _, whole = bl.fit(net, bl.SGD(0.1), data, epochs=12, **options)
    bl.fit(net, bl.SGD(0.1), data, epochs=5, checkpoints=bl.Checkpoints(tmp_path, every=10), **options)
    again = bl.Checkpoints(tmp_path, every=10, resume=True)
    _, resumed = bl.fit(net, bl.SGD(0.1), data, epochs=12, checkpoints=again, **options)
    assert resumed.noise_step == whole.noise_step == [100, 180]
    assert resumed.noise_scale == whole.noise_scale


def test_a_last_batch_of_one_row_is_left_out():
    net, _, (x, y), _, _ = small(33)
    progress = list(bl.train(net, bl.SGD(0.1), (x, y), batch_size=16, epochs=1, noise=True, reports_every=1))
    assert [p.rows for p in progress] == [16, 16, 1]
    assert np.isfinite(progress[1].noise).all() and np.isnan(progress[2].noise).all()
    _, history = bl.fit(net, bl.SGD(0.1), (x, y), batch_size=16, epochs=3, noise=True, progress=False)
    assert np.isfinite(history.noise_scale).all()


def test_what_can_t_be_measured_is_refused():
    net, _, data, _, _ = small(20)
    assert "at least 2 rows" in refusal(bl.train, net, bl.SGD(0.1), data, batch_size=1, noise=True)
    assert "at least 2 rows" in refusal(bl.train, net, bl.SGD(0.1), ([[1.0] * 4], [[1.0, 0, 0]]), noise=True)
    if bl.available_engines()["jax"] == "ready":
        assert "native and reference" in refusal(bl.train, net, bl.SGD(0.1), data, engine="jax", noise=True)
    history = bl.History(noise_step=[100], gradient_square=[-1.0], gradient_variance=[2.0])
    assert history.noise_scale == [float("inf")] and history.mean_noise_scale() == float("inf")
    assert np.isnan(bl.History().mean_noise_scale())


def test_a_short_last_point_weighs_little_in_the_mean():
    """201 updates: the last point is a single batch, whose quotient says nothing."""
    history = bl.History(noise_step=[100, 200, 201], gradient_square=[9.0, 2.0, 5.0], gradient_variance=[1.0, 8.0, 900])
    assert history.mean_noise_scale() == pytest.approx((100 * 8 + 900) / (100 * 2 + 5))
    assert history.mean_noise_scale(1.0) == pytest.approx((100 * 1 + 100 * 8 + 900) / (100 * 9 + 100 * 2 + 5))
    resumed = bl.History(noise_step=[800, 900], gradient_square=[1.0, 2.0], gradient_variance=[5.0, 8.0])
    assert resumed.mean_noise_scale() == pytest.approx(4.0)
