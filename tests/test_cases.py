"""The worked cases that the project exists to answer, one by one, through public names only.

Every expected number is from the case's own hand calculation, or from a formula written out here.
"""

from __future__ import annotations

import math

import numpy as np
import pytest

import backlit as bl

SGD = bl.SGD(1.0)


def mnist_like(rows: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    return random.random((rows, 784), dtype=np.float32), np.eye(10, dtype=np.float32)[random.integers(0, 10, rows)]


class TestOncePerMiniBatch:
    net = bl.Network([784, 30, 10], hidden="sigmoid", output="sigmoid")

    @pytest.mark.parametrize(("rows", "updates"), [(50_000, 5_000), (1_001, 101)])
    def test_updates_of_an_epoch(self, rows, updates):
        net = bl.Network([2, 1])
        x, y = np.zeros((rows, 2)), np.zeros((rows, 1))
        last = list(bl.train(net, bl.SGD(0.1), (x, y), batch_size=10, epochs=1))[-1]
        assert last.step == last.batches == updates

    def test_a_last_shorter_batch_is_divided_by_its_own_length(self):
        x, y = mnist_like(11)
        state = bl.initial_state(self.net, seed=3)
        run = bl.train(self.net, bl.SGD(3.0), (x, y), batch_size=10, epochs=1, state=state, order="as_given", watch=[1])
        (last,) = [w for p in run for w in p.watched]
        assert last.rows.tolist() == [10]
        only = bl.step(self.net, bl.SGD(3.0), last.before, x[10:], y[10:])
        assert np.array_equal(only.gradient.flat, only.example_gradients.flat[0])
        assert np.abs(only.after.parameters - last.after.parameters).max() < 1e-6

    def test_the_sum_is_carried_not_reset(self):
        """One weight vector whose every example gradient is [-1, 2, -3, 4, -5]."""
        given = np.array([-1.0, 2, -3, 4, -5])
        net = bl.Network([5, 1], reduction="sum")  # ∂L/∂W = x·(a − y); with W = 0, y = −1 it is x
        trace = bl.step(net, SGD, bl.state_from(net, [np.zeros((5, 1))]), np.tile(given, (10, 1)), -np.ones((10, 1)))
        assert trace.running_sum(0)[0].W[:, 0].tolist() == [0, 0, 0, 0, 0]
        assert trace.running_sum(1)[0].W[:, 0].tolist() == given.tolist()
        assert trace.running_sum(10)[0].W[:, 0].tolist() == [-10, 20, -30, 40, -50]

    def test_the_update_is_the_mean_of_gradients_at_unmoved_parameters(self):
        x, y = mnist_like(10)
        state = bl.initial_state(self.net, seed=1, dtype="float64")
        trace = bl.step(self.net, bl.SGD(3.0), state, x, y)
        one_by_one = [bl.step(self.net, bl.SGD(3.0), state, x[i : i + 1], y[i : i + 1]) for i in range(10)]
        mean = sum(t.gradient.flat for t in one_by_one) / 10
        np.testing.assert_allclose(trace.after.parameters, state.parameters - 3.0 * mean, rtol=0, atol=1e-14)
        assert np.array_equal(trace.before.parameters, state.parameters)

    def test_updating_inside_the_loop_differs_by_the_square_of_the_rate(self):
        x, y = mnist_like(10)
        start = bl.initial_state(self.net, seed=1, dtype="float64")

        def difference(eta):
            inside = start
            for i in range(10):
                inside = bl.step(self.net, bl.SGD(eta / 10), inside, x[i : i + 1], y[i : i + 1]).after
            once = bl.step(self.net, bl.SGD(eta), start, x, y).after
            return np.abs(once.parameters - inside.parameters).max()

        assert difference(0.01) > 0
        assert difference(0.01) / difference(0.005) == pytest.approx(4, rel=0.03)


@pytest.mark.parametrize(
    ("x", "y", "reduction", "gradient"),
    [
        ([0.1], [0.05], "sum", -0.006),
        ([0.2], [0.1], "sum", -0.024),
        ([0.1, 0.2], [0.05, 0.1], "sum", -0.030),
        ([0.1, 0.2], [0.05, 0.1], "mean", -0.015),
    ],
)
def test_the_sum_over_a_batch_is_the_batchs_gradient(x, y, reduction, gradient):
    """Case 2 prints out = x·0.2, loss (out − y)²: ∂/∂W = 2·(0.2x − y)·x, so −0.006 at x = 0.1, y = 0.05."""
    net = bl.Network([1, 1], loss="squared_error", reduction=reduction)
    state = bl.state_from(net, [[[0.2]]])
    trace = bl.step(net, SGD, state, np.array(x)[:, None], np.array(y)[:, None])
    assert trace.gradient[0].W[0, 0] == pytest.approx(gradient, rel=1e-12)


def test_what_happens_in_an_epoch():
    """8 features, 20 examples, batch size 2: 10 updates an epoch; the second starts where the first ended."""
    random = np.random.default_rng(0)
    data = random.random((20, 8)), random.random((20, 1))
    net = bl.Network([8, 3, 1])
    progress = [
        (p.step, p.epoch, p.state()) for p in bl.train(net, bl.SGD(0.1), data, batch_size=2, epochs=2, watch=range(20))
    ]
    assert [step for step, _, _ in progress] == list(range(1, 21))
    assert [epoch for _, epoch, _ in progress] == [1] * 10 + [2] * 10
    again = [p.watched[0] for p in bl.train(net, bl.SGD(0.1), data, batch_size=2, epochs=2, watch=range(20))]
    assert np.array_equal(again[10].before.parameters, again[9].after.parameters)
    assert np.array_equal(again[0].before.parameters, bl.initial_state(net, seed=0).parameters)
    single = list(bl.train(net, bl.SGD(0.1), data, batch_size=1, epochs=1))
    assert single[-1].step == 20


class TestShapes:
    net = bl.Network([2, 3, 1])

    def test_of_the_parameters(self):
        state = bl.initial_state(self.net)
        assert [(layer.W.shape, layer.b.shape) for layer in state.layers] == [((2, 3), (3,)), ((3, 1), (1,))]

    def test_a_batch_of_pairs(self):
        net = bl.Network([2, 2])
        pairs = [([0, 1], [1, 2]), ([2, 1], [3, 2])]
        x, y = zip(*pairs, strict=True)
        trace = bl.step(net, SGD, bl.initial_state(net), x, y)
        assert trace.layers[0].z.shape == (2, 2)

    @pytest.mark.parametrize(
        ("x", "y", "told"),
        [
            (np.zeros((4, 3)), np.zeros((4, 1)), ["(B, 2)", "(4, 3)"]),
            (np.zeros(4), np.zeros((4, 1)), ["(B, 2)", "(4,)"]),
            (np.zeros((4, 2)), np.zeros(4), ["(4, 1)", "(4,)"]),
            (np.zeros((4, 2)), np.zeros((4, 4)), ["(4, 1)", "(4, 4)"]),
            (np.zeros((4, 2)), np.zeros((1, 1)), ["(4, 1)", "(1, 1)"]),
            (np.zeros((2, 1)), np.zeros((1, 1)), ["(B, 2)", "(2, 1)"]),
            (0.5, 0.5, ["(B, 2)", "()"]),
        ],
    )
    def test_everything_else_is_refused_with_both_shapes(self, x, y, told):
        with pytest.raises(bl.BadInput) as error:
            bl.step(self.net, SGD, bl.initial_state(self.net), x, y)
        assert all(part in str(error.value) for part in told)


def test_the_cost_derivative_is_analytic():
    """∂C/∂a = a − y for C = ½‖a − y‖²; a linear output lets it through as delta. Differences agree with it."""
    net = bl.Network([3, 2])
    random = np.random.default_rng(0)
    state = bl.state_from(net, [random.random((3, 2))], [random.random(2)])
    x, y = random.random((4, 3)), random.random((4, 2))
    trace = bl.step(net, SGD, state, x, y)
    assert np.array_equal(trace.layers[-1].delta, trace.layers[-1].a - y)
    by_differences = bl.step(net, SGD, state, x, y, gradient="finite_differences")
    np.testing.assert_allclose(by_differences.gradient.flat, trace.gradient.flat, atol=2e-4)


def test_one_weight_by_the_chain_rule():
    net = bl.Network([2, 3, 1], hidden="sigmoid", loss="squared_error")
    state = bl.state_from(net, [[[0.8, 0.4, 0.3], [0.2, 0.9, 0.5]], [[0.3], [0.5], [0.9]]])
    trace = bl.step(net, SGD, state, [[1.0, 1.0]], [[0.0]])
    hidden, out = trace.layers
    np.testing.assert_allclose(hidden.z[0], [1.0, 1.3, 0.8], rtol=1e-15)
    np.testing.assert_allclose(hidden.a[0], [0.7310585786, 0.7858349830, 0.6899744811], atol=5e-11)
    assert out.a[0, 0] == pytest.approx(1.2332120981, abs=5e-11)
    assert sum(round(a, 2) * w for a, w in zip(hidden.a[0], [0.3, 0.5, 0.9], strict=True)) == pytest.approx(1.235)
    assert trace.loss == pytest.approx(1.5208120790, abs=5e-11)
    factors = 2 * out.a[0, 0], 0.3, hidden.a[0, 0] * (1 - hidden.a[0, 0]), 1.0
    assert factors[0] == pytest.approx(2.4664241963, abs=1e-10)
    assert factors[2] == pytest.approx(0.1966119332, abs=5e-11)
    assert trace.example_gradients[0].W[0, 0, 0] == pytest.approx(math.prod(factors), rel=1e-14)
    assert trace.example_gradients[0].W[0, 0, 0] == pytest.approx(0.1454785288, abs=5e-11)


class TestPerturbingEveryWeight:
    net = bl.Network([2, 3, 1], hidden="sigmoid", loss="mean_squared_error")
    state = bl.state_from(
        net,
        [[[-0.0053, -0.5820, -0.2723], [0.3793, -0.5204, 0.1896]], [[0.1528], [-0.1745], [-0.1135]]],
        [[-0.0140, 0.5607, -0.0628], [-0.5516]],
    )
    x, y = np.array([[1.0, 1.0]]), np.array([[0.0]])
    W1 = np.array([[0.0374886061, -0.6289373301, -0.3049512602], [0.4220886061, -0.5673373301, 0.1569487398]])
    b1 = np.array([0.0287886061, 0.5137626699, -0.0954512602])
    W2 = np.array([[0.8342055880], [0.2509642822], [0.4228983225]])

    def test_the_gradient(self):
        trace = bl.step(self.net, SGD, self.state, self.x, self.y)
        assert trace.layers[-1].a[0, 0] == pytest.approx(-0.5784030676, abs=5e-11)
        assert trace.loss == pytest.approx(0.3345501086, abs=5e-11)
        row = [-0.0427886061, 0.0469373301, 0.0326512602]
        np.testing.assert_allclose(trace.gradient[0].W, [row, row], atol=6e-11)
        np.testing.assert_allclose(trace.gradient[0].b, row, atol=6e-11)
        np.testing.assert_allclose(trace.gradient[1].W[:, 0], [-0.6814055880, -0.4254642822, -0.5363983225], atol=6e-11)
        assert trace.gradient[1].b[0] == pytest.approx(-1.1568061352, abs=6e-11)

    @pytest.mark.parametrize(("gradient", "near"), [("backpropagation", 6e-11), ("finite_differences", 1.5e-4)])
    def test_one_update_with_rate_one(self, gradient, near):
        after = bl.step(self.net, SGD, self.state, self.x, self.y, gradient=gradient).after.layers
        np.testing.assert_allclose(after[0].W, self.W1, atol=near)
        np.testing.assert_allclose(after[0].b, self.b1, atol=near)
        np.testing.assert_allclose(after[1].W, self.W2, atol=near)
        assert after[1].b[0] == pytest.approx(0.6052061352, abs=near)

    @pytest.mark.parametrize(("engine", "out"), [("reference", -0.0174361581), ("finite_differences", -0.0174745124)])
    def test_a_hundred_updates(self, engine, out):
        *_, last = bl.train(self.net, bl.SGD(0.01), (self.x, self.y), epochs=100, state=self.state, engine=engine)
        assert last.step == 100
        assert bl.predict(self.net, last.state(), self.x)[0, 0] == pytest.approx(out, abs=6e-11)


class TestTheLearningRate:
    net = bl.Network([1, 1], loss="mean_squared_error")
    x = np.array([[1.0], [2.0], [3.0], [4.0]])
    start = bl.state_from(net, [[[0.0]]])

    def weights(self, rate):
        run = bl.train(self.net, bl.SGD(rate), (self.x, 3 * self.x), batch_size=4, epochs=6, state=self.start)
        return [float(p.state().layers[0].W[0, 0]) for p in run]

    @pytest.mark.parametrize(
        ("rate", "weights"),
        [
            (0.01, [0.45, 0.825, 1.1375, 1.3980, 1.6151, 1.7962]),
            (0.1, [4.5, 1.5, 3.525, 2.1825, 3.096, 2.4974]),
            (1, [45, -660, 10410, -163395, 2565450, -40279080]),
        ],
    )
    def test_creeps_swings_diverges(self, rate, weights):
        assert self.weights(rate) == pytest.approx(weights, abs=6e-5, rel=1e-12)

    @pytest.mark.parametrize("dtype", ["float32", "float64"])
    @pytest.mark.parametrize("run", ["train", "fit"])
    def test_diverged_tells_the_step_the_loss_and_the_rate(self, run, dtype):
        arguments = (self.net, bl.SGD(1), (self.x, 3 * self.x))
        options = {"batch_size": 4, "epochs": 1000, "state": self.start.astype(dtype)}
        with pytest.raises(bl.Diverged) as error:
            list(bl.train(*arguments, **options)) if run == "train" else bl.fit(*arguments, progress=False, **options)
        state = error.value.state
        assert np.isfinite(state.parameters).all()
        assert state.dtype == dtype
        replay = bl.step(self.net, bl.SGD(1), state, self.x, 3 * self.x)
        assert f"step {state.step})" in str(error.value)
        assert f"{replay.loss:.6g}" in str(error.value)
        assert "rate 1" in str(error.value)
        with np.errstate(all="ignore"):
            assert not np.isfinite(bl.evaluate(self.net, replay.after, (self.x, 3 * self.x))[0])


def test_the_batch_size():
    """Rows drawn with replacement: E‖G_B‖² = ‖G‖² + tr(Σ)/B, here to four standard errors of 4,000 draws."""
    net = bl.Network([4, 3, 2], hidden="tanh")
    random = np.random.default_rng(0)
    x, y = random.standard_normal((50, 4)), random.standard_normal((50, 2))
    state = bl.initial_state(net, dtype="float64")
    g = bl.step(net, SGD, state, x, y).example_gradients.flat
    mean = g.mean(axis=0)
    trace_of_covariance = ((g - mean) ** 2).sum(axis=1).mean()
    for B in (2, 8):
        norms = np.array([(g[random.integers(0, 50, B)].mean(axis=0) ** 2).sum() for _ in range(4000)])
        expected = mean @ mean + trace_of_covariance / B
        assert norms.mean() == pytest.approx(expected, abs=4 * norms.std() / np.sqrt(4000))


def test_one_pass_over_the_batch_is_the_sum_over_its_examples():
    net = bl.Network([6, 5, 4, 3], hidden=["relu", "gelu"], output="softmax", loss="cross_entropy", reduction="sum")
    random = np.random.default_rng(0)
    x, y = random.standard_normal((8, 6)), np.eye(3)[random.integers(0, 3, 8)]
    state = bl.initial_state(net, dtype="float64")
    whole = bl.step(net, SGD, state, x, y).gradient.flat
    one_by_one = sum(bl.step(net, SGD, state, x[i : i + 1], y[i : i + 1]).gradient.flat for i in range(8))
    np.testing.assert_allclose(whole, one_by_one, rtol=1e-11, atol=1e-14)
