"""check_gradients and check_function: right gradients pass, planted errors are found where they are."""

from __future__ import annotations

import numpy as np
import pytest
from ladder import NETWORKS, batch, states

import backlit as bl
from backlit import chain


def case(name: str = "hidden-tanh", rows: int = 6):
    net = NETWORKS[name]
    x, y, s = batch(net, rows)
    return net, states(net, bl.SGD(1.0), "float64"), x, y, s


def pair(gradient):
    return [g.W.copy() for g in gradient], [g.b.copy() for g in gradient]


@pytest.mark.parametrize("name", NETWORKS)
def test_backlits_own_gradient_passes(name):
    net, state, x, y, s = case(name)
    report = bl.check_gradients(net, state, x, y, sample_weight=s)
    assert report.passed, str(report)
    assert report.worst.error < 1e-7
    assert len(report.layers) == len(net.sizes) - 1


def test_one_wrong_entry_is_found_where_it_is():
    net, state, x, y, _ = case()
    weights, biases = pair(bl.step(net, bl.SGD(1.0), state, x, y).gradient)
    weights[1][2, 3] += 0.01
    report = bl.check_gradients(net, state, x, y, gradient=(weights, biases))
    assert not report.passed
    assert report.worst.place == "layer 2, W[2, 3]"
    assert report.worst.analytic - report.worst.numeric == pytest.approx(0.01, rel=1e-5)
    assert "layer 2" in report.table()
    assert "NOT passed" in str(report)


def test_a_large_network_is_sampled_and_the_wrong_entry_is_still_found():
    net, state, x, y, _ = case("digits", 3)
    weights, biases = pair(bl.step(net, bl.SGD(1.0), state, x, y).gradient)
    weights[0][700, 11] += 1e-3
    report = bl.check_gradients(net, state, x, y, gradient=(weights, biases))
    assert report.layers[0].checked == 230 < report.layers[0].of == 23550
    assert report.worst.place == "layer 1, W[700, 11]"
    assert "sample" in str(report)


def test_rows_at_a_corner_of_relu_are_left_out_and_said():
    net = bl.Network([2, 3, 1], hidden="relu")
    state = bl.state_from(net, [np.eye(2, 3) + 0.1, np.ones((3, 1))])
    x = np.array([[1.0, 2.0], [0.0, 0.0], [-1.0, 0.5]])
    report = bl.check_gradients(net, state, x, np.ones((3, 1)))
    assert report.passed
    assert report.left_out == (1,)
    with pytest.raises(bl.BadInput, match="every row"):
        bl.check_gradients(net, state, x[[1]], np.ones((1, 1)))


def test_a_slope_wrong_by_a_twentieth_of_a_percent_fails(monkeypatch):
    right = chain.ACTIVATIONS["tanh"]
    monkeypatch.setitem(chain.ACTIVATIONS, "tanh", right._replace(slope=lambda z, a: right.slope(z, a) * 1.0005))
    net, state, x, y, _ = case()
    assert not bl.check_gradients(net, state, x, y).passed


def test_a_function_and_its_error_in_one_line():
    net, state, x, y, _ = case()

    def broken(weights, biases, x, y):
        return weights[17]

    with pytest.raises(bl.BadInput, match=r"IndexError.*line \d+ of .*test_check_gradients"):
        bl.check_gradients(net, state, x, y, gradient=broken)


@pytest.mark.parametrize("sample", [2.5, -3, "all", True])
def test_a_sample_that_is_no_number_of_parameters_is_refused(sample):
    net, state, x, y, _ = case()
    with pytest.raises(bl.BadInput, match="check_gradients: sample must"):
        bl.check_gradients(net, state, x, y, sample=sample)


@pytest.mark.parametrize("step", [0, -1, 2, "a", None, float("nan")])
def test_a_step_that_is_none_is_refused(step):
    net, state, x, y, _ = case()
    with pytest.raises(bl.BadInput, match="check_gradients: step must"):
        bl.check_gradients(net, state, x, y, step=step)
    with pytest.raises(bl.BadInput, match="check_function: step must"):
        bl.check_function(lambda v: v**2, lambda v: 2 * v, 3.0, step=step)


class TestAnyFunction:
    def test_one_that_writes_into_its_argument(self):
        def f(v):
            v *= 2
            return float((v**2).sum())

        assert bl.check_function(f, lambda v: 8 * v, np.array([1.0, 2.0])).passed

    def test_no_argument_at_all_is_refused(self):
        with pytest.raises(bl.BadInput, match="check_function: at holds no array"):
            bl.check_function(lambda: 0.0, lambda: (), ())

    def test_of_one_array(self):
        assert bl.check_function(
            lambda x: (x**3).sum(), lambda x: 3 * x**2, np.array([[1.0, -2.0], [0.5, 100.0]])
        ).passed

    def test_of_several(self):
        A, v = np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([0.3, -0.7])
        f = lambda A, v: v @ A @ v  # noqa: E731
        assert bl.check_function(f, lambda A, v: (np.outer(v, v), (A + A.T) @ v), (A, v)).passed
        report = bl.check_function(f, lambda A, v: (np.outer(v, v), 2 * A @ v), (A, v))
        assert not report.passed
        assert report.worst.place.startswith("argument 2")

    @pytest.mark.parametrize(
        ("f", "gradient"),
        [
            (lambda x: x, lambda x: x),
            (lambda x: x.sum(), lambda x: x[0]),
            (lambda x: 1 / 0, lambda x: x),
            (lambda x: "a", lambda x: x),
        ],
    )
    def test_what_is_no_scalar_function_is_refused(self, f, gradient):
        with pytest.raises(bl.BadInput, match="check_function"):
            bl.check_function(f, gradient, np.ones(3))
