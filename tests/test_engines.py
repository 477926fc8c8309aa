"""The second rung of the ladder: chain.py checks every engine, over one step from a shared State.

An engine is tested by being registered: there is no list of engines here.
"""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from ladder import NETWORKS, OPTIMIZERS, batch, far, states
from refusals import refusal
from requires import requires

import backlit as bl
from backlit.engines import ENGINES
from backlit.network import HIDDEN, LOSSES, OUTPUT

# One step from one State. float32: NumPy's own change differs from float64's by 4e-6 to 1.7e-4 of its largest entry;
# differences of 0.0001: by their step times the curvature.
CLOSE = {"float64": 1e-11, "float32": 5e-4}
FORWARD_DIFFERENCES = 5e-3
SMALL = {name for name, net in NETWORKS.items() if net.n_parameters < 2000}


def enough() -> set[str]:
    """Networks that hold every activation, output and loss: enough where each one is compiled for itself."""
    chosen, seen = set(), set()
    for name, net in reversed(NETWORKS.items()):  # those with several parts first
        parts = {*(("hidden", h) for h in net.hidden), ("output", net.output), ("loss", net.loss)}
        if not parts <= seen:
            chosen.add(name)
            seen |= parts
    return chosen


ENOUGH = enough()
SINGLE = {"mixed", "digits", "sgd", "adam", "adamw"}  # that jax tries in float32 too


def cases(names):
    """(engine, name, dtype): all of them; those of jax that only repeat parts of others are slow tests."""
    found = []
    for engine, name, dtype in product(ENGINES, names, CLOSE):
        repeats = engine == "jax" and (name in NETWORKS.keys() - ENOUGH or (dtype == "float32" and name not in SINGLE))
        found.append(pytest.param(engine, name, dtype, marks=[pytest.mark.slow] if repeats else []))
    return found


def test_the_quick_cases_of_jax_hold_everything():
    held = {part for name in ENOUGH for part in (*NETWORKS[name].hidden, NETWORKS[name].output, NETWORKS[name].loss)}
    assert held >= {*HIDDEN, *OUTPUT, *LOSSES} and {"mixed", "sum"} <= ENOUGH


def ready(engine: str) -> None:
    reason = bl.available_engines()[engine]
    requires(engine, reason == "ready", reason)


def one_step(engine, net, opt, dtype, rows=7, weighted=False):
    """(change by chain.step, change by the engine, their losses, their States after), in the engine's dtype."""
    x, y, s = batch(net, 2 * rows)
    s = s if weighted else None
    state = states(net, opt, dtype)
    chosen = np.random.default_rng(5).permutation(2 * rows)[:rows]
    opened = bl.open_engine(engine, net, opt, state, bl.Dataset(x, y, s))
    loss = opened.advance(chosen[None, :])[0]
    trace = bl.step(net, opt, state, x[chosen], y[chosen], sample_weight=None if s is None else s[chosen])
    return trace, loss, opened.state(), state


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("engine", "name", "dtype"), cases(NETWORKS))
def test_one_step_of_every_network(engine, name, dtype, weighted):
    ready(engine)
    if engine == "finite_differences" and name not in SMALL:
        return  # P + 1 passes; the small networks have every kind of layer
    trace, loss, after, before = one_step(engine, NETWORKS[name], bl.SGD(0.5), dtype, weighted=weighted)
    limit = FORWARD_DIFFERENCES if engine == "finite_differences" else CLOSE[dtype]
    change = after.parameters.astype(float) - before.parameters
    exact = trace.after.parameters.astype(float) - before.parameters
    assert far(change, exact) < limit
    assert loss == pytest.approx(trace.loss, rel=1e-12 if dtype == "float64" else 3e-6)
    assert after.step == before.step + 1
    assert after.dtype == dtype


@pytest.mark.parametrize(("engine", "name", "dtype"), cases(OPTIMIZERS))
def test_one_step_of_every_optimizer(engine, name, dtype):
    ready(engine)
    limit = 0.05 if engine == "finite_differences" else CLOSE[dtype]
    trace, _, after, before = one_step(engine, NETWORKS["no-hidden"], OPTIMIZERS[name], dtype, weighted=True)
    change = after.parameters.astype(float) - before.parameters
    assert far(change, trace.update.flat) < limit
    for slot, values in trace.after.slots.items():
        assert far(after.slots[slot], values) < limit
    assert after.started == before.started


@pytest.mark.parametrize("opt", [bl.SGD(0.1, l2=0.1, l2_over="batch"), bl.Adam(0.1)], ids=repr)
@pytest.mark.parametrize("engine", ENGINES)
def test_a_batch_in_which_nothing_weighs(engine, opt):
    ready(engine)
    net = NETWORKS["no-hidden"]
    x, y, _ = batch(net, 4)
    state = states(net, opt, "float64")
    opened = bl.open_engine(engine, net, opt, state, bl.Dataset(x, y, [0.0, 0.0, 1.0, 1.0]))
    assert opened.advance(np.array([[0, 1]]))[0] == 0
    exact = bl.step(net, opt, state, x[:2], y[:2], [0.0, 0.0]).after
    assert opened.state().parameters == pytest.approx(exact.parameters, rel=1e-12)
    assert np.isfinite(opened.advance(np.array([[2, 3]]))[0])


@pytest.mark.parametrize("engine", ENGINES)
def test_several_steps_a_short_batch_and_given_rates(engine):
    """k steps a call are k calls of one; rates given are the rates used; a batch may be shorter than the one before."""
    ready(engine)
    net = NETWORKS["no-hidden"]
    x, y, _ = batch(net, 23)
    state = states(net, bl.Adam(0.1), "float64")
    rows, rates = np.arange(20).reshape(4, 5), [0.1, 0.2, 0.0, 0.3]
    at_once = bl.open_engine(engine, net, bl.Adam(9.0), state, (x, y))
    losses = [*at_once.advance(rows, rates), *at_once.advance(np.array([[20, 21]]), [0.1])]
    one_by_one = bl.open_engine(engine, net, bl.Adam(9.0), state, (x, y))
    singles = [one_by_one.advance(rows[k : k + 1], rates[k : k + 1])[0] for k in range(4)]
    singles.append(one_by_one.advance(np.array([[20, 21]]), [0.1])[0])
    assert losses == singles
    assert np.array_equal(at_once.state().parameters, one_by_one.state().parameters)
    expected = state
    for k, chosen in enumerate([*rows, np.array([20, 21])]):
        expected = bl.step(net, bl.Adam([*rates, 0.1][k]), expected, x[chosen], y[chosen]).after
    limit = 0.05 if engine == "finite_differences" else 1e-10
    assert far(at_once.state().parameters, expected.parameters) < limit


@pytest.mark.parametrize("engine", ENGINES)
def test_no_steps_are_no_change(engine):
    ready(engine)
    net = NETWORKS["one-unit"]
    x, y, _ = batch(net, 4)
    state = bl.initial_state(net, dtype="float64")
    opened = bl.open_engine(engine, net, bl.SGD(1.0), state, (x, y))
    assert len(opened.advance(np.empty((0, 3), np.int64))) == 0
    assert np.array_equal(opened.state().parameters, state.parameters)


@pytest.mark.parametrize("rows", [[[4]], [[-1]], [[0.5]], [0, 1], [[]], [[[0]]], "rows"])
@pytest.mark.parametrize("engine", ENGINES)
def test_rows_that_do_not_exist(engine, rows):
    ready(engine)
    net = NETWORKS["one-unit"]
    x, y, _ = batch(net, 4)
    opened = bl.open_engine(engine, net, bl.SGD(1.0), bl.initial_state(net), (x, y))
    with pytest.raises(bl.BadInput, match="rows"):
        opened.advance(np.array(rows))


def test_unknown_engines_and_other_mistakes():
    net = NETWORKS["one-unit"]
    x, y, _ = batch(net, 4)
    state = bl.initial_state(net)
    with pytest.raises(bl.BadInput, match=r"one of .*reference.*got 'fast'"):
        bl.open_engine("fast", net, bl.SGD(1.0), state, (x, y))
    with pytest.raises(bl.BadInput, match=r"bl\.SGD"):
        bl.open_engine("reference", net, "sgd", state, (x, y))
    with pytest.raises(bl.BadInput, match="2 inputs"):
        bl.open_engine("reference", net, bl.SGD(1.0), state, (np.zeros((4, 3)), y))
    assert bl.available_engines()["reference"] == "ready"


def test_a_wrong_engine_is_caught(monkeypatch):
    """The ladder rejects an engine whose activation is wrong by 0.05 %."""
    from backlit import chain
    from backlit.engines import reference

    right = chain.ACTIVATIONS["tanh"]
    _, _, _, before = one_step("reference", NETWORKS["linear-quadratic"], bl.SGD(0.5), "float64")
    step = reference.chain.step

    def wrong_step(*args, **kwargs):
        with pytest.MonkeyPatch.context() as patch:
            patch.setitem(chain.ACTIVATIONS, "tanh", right._replace(slope=lambda z, a: 1.0005 * right.slope(z, a)))
            return step(*args, **kwargs)

    monkeypatch.setattr(reference, "chain", type("Wrong", (), {"step": staticmethod(wrong_step)}))
    trace, _, after, before = one_step("reference", NETWORKS["linear-quadratic"], bl.SGD(0.5), "float64")
    assert far(after.parameters - before.parameters, trace.update.flat) > CLOSE["float64"]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("rates", [[1.0, 2.0, 3.0], "a", [[1.0, 2.0]]], ids=str)
def test_odd_rates_are_refused_by_every_engine(engine, rates):
    reason = bl.available_engines()[engine]
    requires(engine, reason == "ready", reason)
    net = bl.Network([2, 1])
    opened = bl.open_engine(engine, net, bl.SGD(0.1), bl.initial_state(net), (np.ones((4, 2)), np.ones((4, 1))))
    assert "rates must be 2 numbers" in refusal(opened.advance, np.zeros((2, 3), int), rates)


SHAPES = ("mixed", "wide", "digits", "one-weight", "no-hidden", "hidden-relu")  # whatever the activations


@pytest.mark.parametrize("dtype", CLOSE)
@pytest.mark.parametrize(
    ("engine", "name"), [(e, n) for e in ENGINES for n in (SHAPES if e != "jax" else ["mixed"])]
)
def test_the_size_of_the_weights_is_told_before_each_step(engine, name, dtype):
    """‖W‖² of every layer, without biases and padding, and the steps are the same to the bit."""
    ready(engine)
    if engine == "finite_differences" and name not in SMALL:
        return
    net = NETWORKS[name]
    x, y, _ = batch(net, 12)
    rows = np.random.default_rng(2).integers(0, 12, (3, 5))
    state = states(net, bl.SGD(0.1), dtype)
    plain, telling = (bl.open_engine(engine, net, bl.SGD(0.1), state, bl.Dataset(x, y)) for _ in range(2))
    told = np.empty(3)
    losses = telling.advance(rows, [0.001] * 3, told)
    for step, size in enumerate(told):
        wanted = sum((layer.W.astype(np.float64) ** 2).sum() for layer in plain.state().layers)
        assert size == pytest.approx(wanted, rel=1e-13 if dtype == "float64" else 2e-6)
        assert plain.advance(rows[step : step + 1], [0.001])[0] == losses[step]
    assert np.array_equal(plain.state().parameters, telling.state().parameters)
