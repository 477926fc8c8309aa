"""The first rung of the ladder: central differences check chain.py; and planted errors check that check."""

from __future__ import annotations

import numpy as np
import pytest
from ladder import NETWORKS, OPTIMIZERS, batch, far, pairs, states

import backlit as bl
from backlit import chain
from backlit.state import Layers

# A correct gradient shows 4e-7 at worst, a derivative wrong by 0.05 % 5e-4: the limit stands well between.
LIMIT = 1e-5


def error_against_differences(net: bl.Network, rows: int = 6) -> float:
    """The worst error of a layer: |analytic − central difference| over the layer's largest entry, in float64."""
    x, y, s = batch(net, rows)
    state = states(net, bl.SGD(1.0), "float64")
    numeric = Layers(net.sizes, chain.difference_gradient(net, state.parameters, x, y, s, step=1e-5, central=True))
    analytic = bl.step(net, bl.SGD(1.0), state, x, y, sample_weight=s).gradient
    return max(max(far(a.W, n.W), far(a.b, n.b)) for a, n in zip(analytic, numeric, strict=True))


SMALL = {name: net for name, net in NETWORKS.items() if net.n_parameters < 2000}


@pytest.mark.parametrize("name", SMALL)
def test_gradient_against_differences(name):
    assert error_against_differences(SMALL[name]) < LIMIT


@pytest.mark.parametrize(("hidden", "output", "loss"), [(h, o, lo) for h in bl.network.HIDDEN for o, lo in pairs()])
def test_every_activation_with_every_loss(hidden, output, loss):
    net = bl.Network([3, 4, 2], hidden=hidden, output=output, loss=loss)
    assert error_against_differences(net) < LIMIT


@pytest.mark.parametrize("name", [*chain.ACTIVATIONS])
def test_a_slope_wrong_by_a_twentieth_of_a_percent_is_caught(name, monkeypatch):
    right = chain.ACTIVATIONS[name]
    monkeypatch.setitem(chain.ACTIVATIONS, name, right._replace(slope=lambda z, a: right.slope(z, a) * 1.0005))
    net = bl.Network([3, 4, 2], hidden="tanh", output="exp") if name == "exp" else bl.Network([3, 4, 2], hidden=name)
    assert error_against_differences(net) > LIMIT


@pytest.mark.parametrize("name", [*chain.LOSSES])
def test_a_loss_slope_wrong_by_a_twentieth_of_a_percent_is_caught(name, monkeypatch):
    right = chain.LOSSES[name]
    monkeypatch.setitem(chain.LOSSES, name, right._replace(slope=lambda a, y: right.slope(a, y) * 1.0005))
    output = next(o for o, loss in pairs() if loss == name)
    assert error_against_differences(bl.Network([3, 4, 2], hidden="tanh", output=output, loss=name)) > LIMIT


def test_a_softmax_without_its_off_diagonal_terms_is_caught(monkeypatch):
    monkeypatch.setattr(chain, "output_delta", lambda net, z, a, y: chain.LOSSES[net.loss].slope(a, y) * a * (1 - a))
    assert error_against_differences(bl.Network([3, 4, 3], hidden="tanh", output="softmax")) > LIMIT


class TestStability:
    """Logits of ±1000 give finite losses and right gradients."""

    z = np.array([[1000.0, -1000.0, 0.0]])

    @pytest.mark.parametrize("dtype", ["float32", "float64"])
    def test_cross_entropy(self, dtype):
        z = self.z.astype(dtype)
        net = bl.Network([1, 3], output="softmax", loss="cross_entropy")
        for k, loss in enumerate([0, 2000, 1000]):
            y = np.eye(3, dtype=dtype)[[k]]
            a = chain.softmax(z)
            assert chain.LOSSES["cross_entropy"].value(z, a, y).tolist() == [loss]
            np.testing.assert_array_equal(chain.output_delta(net, z, a, y), np.array([[1, 0, 0]]) - y)

    @pytest.mark.parametrize("dtype", ["float32", "float64"])
    def test_binary_cross_entropy(self, dtype):
        z = self.z.astype(dtype)
        a = chain.sigmoid(z)
        assert a.dtype == dtype
        for y, loss in [([1, 0, 1], np.log(2)), ([0, 1, 0], 2000 + np.log(2))]:
            y = np.array([y], dtype)
            assert chain.LOSSES["binary_cross_entropy"].value(z, a, y) == pytest.approx(loss, rel=1e-6)
            delta = chain.output_delta(bl.Network([1, 3], output="sigmoid", loss="binary_cross_entropy"), z, a, y)
            np.testing.assert_array_equal(delta, np.array([[1, 0, 0.5]]) - y)

    def test_small_losses_keep_their_digits(self):
        """At z = 30, y = 1 the loss is log(1 + e⁻³⁰) = 9.36e-14, far below the rounding of z."""
        z, y = np.array([[30.0]]), np.array([[1.0]])
        assert chain.binary_cross_entropy(z, y)[0] == pytest.approx(9.357622968839e-14, rel=1e-9, abs=0)

    @pytest.mark.parametrize("name", ["sigmoid", "tanh", "relu", "leaky_relu", "gelu", "softplus", "linear"])
    @pytest.mark.parametrize("dtype", ["float32", "float64"])
    def test_activations_and_slopes_are_finite_and_keep_the_dtype(self, name, dtype):
        z = np.array([[-1000.0, -30, -1e-3, 0, 1e-3, 30, 1000]], dtype)
        with np.errstate(over="raise", invalid="raise", divide="raise"):
            a = chain.ACTIVATIONS[name].f(z)
            slope = chain.ACTIVATIONS[name].slope(z, a)
        assert a.dtype == slope.dtype == dtype
        assert np.isfinite(a).all()
        assert np.isfinite(slope).all()


def test_losses_at_hand_computed_points():
    """a = (0.5, 3), y = (1, 1): the differences are −0.5 and 2."""
    a, y = np.array([[0.5, 3.0]]), np.array([[1.0, 1.0]])
    by_hand = {
        "quadratic": 0.5 * (0.25 + 4),
        "squared_error": 4.25,
        "mean_squared_error": 2.125,
        "absolute_error": 2.5,
        "huber": 0.125 + 1.5,
        "poisson": (0.5 - 1 - np.log(0.5)) + (3 - 1 - np.log(3)),
    }
    for name, loss in by_hand.items():
        assert chain.LOSSES[name].value(np.log(a), a, y)[0] == pytest.approx(loss, rel=1e-14), name


class TestSampleWeightsAndReduction:
    @pytest.mark.parametrize("reduction", ["mean", "sum"])
    def test_a_whole_weight_is_a_repeated_row(self, reduction):
        net = bl.Network([5, 4, 3], hidden="tanh", reduction=reduction)
        x, y, _ = batch(net, 3)
        state = states(net, bl.SGD(1.0), "float64")
        weighted = bl.step(net, bl.SGD(1.0), state, x, y, sample_weight=[2, 0, 1])
        repeated = bl.step(net, bl.SGD(1.0), state, x[[0, 0, 2]], y[[0, 0, 2]])
        assert far(weighted.gradient.flat, repeated.gradient.flat) < 1e-14
        assert weighted.loss == pytest.approx(repeated.loss, rel=1e-14)

    @pytest.mark.parametrize("weights", [[1, 1], [1, 1, -1], [1, 1, np.inf], [1, 1, np.nan], [[1, 1, 1]], "abc"])
    def test_odd_weights_are_refused(self, weights):
        net = bl.Network([5, 4, 3])
        x, y, _ = batch(net, 3)
        with pytest.raises(bl.BadInput, match="sample_weight"):
            bl.step(net, bl.SGD(1.0), bl.initial_state(net), x, y, sample_weight=weights)


class TestL2:
    net = bl.Network([5, 4, 3], hidden="tanh")

    def gradients(self, **l2):
        x, y, s = batch(self.net, 6)
        state = states(self.net, bl.SGD(1.0), "float64")
        plain = bl.step(self.net, bl.SGD(1.0), state, x, y, sample_weight=s)
        return state, s, plain, bl.step(self.net, bl.SGD(1.0, **l2), state, x, y, sample_weight=s)

    @pytest.mark.parametrize("over", ["update", "batch"])
    def test_it_is_added_to_the_weights_gradient_only(self, over):
        state, s, plain, with_l2 = self.gradients(l2=0.3, l2_over=over)
        factor = 0.3 / s.sum() if over == "batch" else 0.3
        for before, a, b in zip(state.layers, plain.gradient, with_l2.gradient, strict=True):
            np.testing.assert_allclose(b.W, a.W + factor * before.W, rtol=1e-14)
            assert np.array_equal(a.b, b.b)
        assert plain.loss == with_l2.loss
        assert np.array_equal(plain.example_gradients.flat, with_l2.example_gradients.flat)


class TestUpdate:
    """Each optimizer against its formula, written out here for one parameter after another."""

    net = bl.Network([2, 2])

    def step(self, opt, **slots):
        x, y = np.array([[0.3, -1.2], [2.0, 0.7]]), np.array([[1.0, 0.0], [0.5, -1.0]])
        W, b = [[0.4, -0.1], [0.7, 0.2]], [0.1, -0.3]
        state = bl.state_from(self.net, [W], [b])
        state = bl.State(state.sizes, state.parameters, {k: np.array(v) for k, v in slots.items()}, step=9, started=5)
        return bl.step(self.net, opt, state, x, y)

    def test_momentum(self):
        v0 = [0.1, -0.2, 0.3, 0.4, 0.5, -0.6]
        for nesterov in (False, True):
            trace = self.step(bl.SGD(0.1, momentum=0.9, nesterov=nesterov), velocity=v0)
            v = [0.9 * v - 0.1 * g for v, g in zip(v0, trace.gradient.flat, strict=True)]
            change = [0.9 * v_ - 0.1 * g for v_, g in zip(v, trace.gradient.flat, strict=True)] if nesterov else v
            np.testing.assert_allclose(trace.update.flat, change, rtol=1e-15)
            np.testing.assert_allclose(trace.after.slots["velocity"], v, rtol=1e-15)

    @pytest.mark.parametrize("decay", [None, 0.3])
    def test_adam_and_adamw(self, decay):
        m0, v0 = [0.1, -0.2, 0.3, 0.4, 0.5, -0.6], [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]
        opt = bl.Adam(0.1, 0.8, 0.99, 1e-3) if decay is None else bl.AdamW(0.1, 0.8, 0.99, 1e-3, weight_decay=decay)
        trace = self.step(opt, first_moment=m0, second_moment=v0)
        t = 9 - 5 + 1
        for p, g in enumerate(trace.gradient.flat):
            m, v = 0.8 * m0[p] + 0.2 * g, 0.99 * v0[p] + 0.01 * g**2
            change = -0.1 * (m / (1 - 0.8**t)) / ((v / (1 - 0.99**t)) ** 0.5 + 1e-3)
            if decay and p < 4:  # the four weights; the biases come after them
                change -= 0.1 * decay * trace.before.parameters[p]
            assert trace.update.flat[p] == pytest.approx(change, rel=1e-13)
            assert trace.after.slots["first_moment"][p] == pytest.approx(m, rel=1e-14)
            assert trace.after.slots["second_moment"][p] == pytest.approx(v, rel=1e-14)

    @pytest.mark.parametrize("name", OPTIMIZERS)
    @pytest.mark.parametrize("dtype", ["float32", "float64"])
    def test_after_is_before_plus_update_and_nothing_else_moved(self, name, dtype):
        net, opt = NETWORKS["mixed"], OPTIMIZERS[name]
        x, y, _ = batch(net, 5)
        state = states(net, opt, dtype)
        kept = state.parameters.copy()
        trace = bl.step(net, opt, state, x, y)
        assert np.array_equal(trace.after.parameters, trace.before.parameters + trace.update)
        assert np.array_equal(state.parameters, kept)
        assert trace.after.step == state.step + 1
        assert trace.after.dtype == trace.update.flat.dtype == dtype

    def test_a_state_without_slots_starts_adam_anew(self):
        """The first update of Adam is −rate·g/(|g| + ε), whatever number of steps another optimizer has done."""
        x, y, _ = batch(self.net, 4)
        state = bl.initial_state(self.net, dtype="float64")
        for _ in range(3):
            state = bl.step(self.net, bl.SGD(0.1), state, x, y).after
        trace = bl.step(self.net, bl.Adam(0.1), state, x, y)
        g = trace.gradient.flat
        np.testing.assert_allclose(trace.update.flat, -0.1 * g / (np.abs(g) + 1e-8), rtol=1e-12)


class TestTrace:
    net = NETWORKS["mixed"]

    def trace(self):
        x, y, s = batch(self.net, 5)
        return bl.step(self.net, bl.SGD(0.1), states(self.net, bl.SGD(0.1), "float64"), x, y, sample_weight=s), s

    def test_the_running_sum_ends_in_the_gradient(self):
        trace, s = self.trace()
        for i in range(6):
            expected = sum((s[k] * trace.example_gradients.flat[k] for k in range(i)), np.zeros(self.net.n_parameters))
            np.testing.assert_allclose(trace.running_sum(i).flat, expected, atol=1e-13)
        np.testing.assert_allclose(trace.running_sum(5).flat / s.sum(), trace.gradient.flat, atol=1e-13)

    @pytest.mark.parametrize("i", [-1, 6])
    def test_of_examples_that_do_not_exist(self, i):
        with pytest.raises(bl.BadInput, match="0 to 5"):
            self.trace()[0].running_sum(i)

    def test_an_unknown_way_to_the_gradient(self):
        x, y, _ = batch(self.net, 2)
        with pytest.raises(bl.BadInput, match="finite_differences"):
            bl.step(self.net, bl.SGD(0.1), bl.initial_state(self.net), x, y, gradient="magic")
