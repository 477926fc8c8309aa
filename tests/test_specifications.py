"""What a run is told beforehand: networks, optimizers, schedules; by their formulas, and refused where they are odd."""

from __future__ import annotations

import pytest

import backlit as bl


class TestSchedules:
    """By their formulas, at hand-computed steps."""

    @pytest.mark.parametrize(
        ("schedule", "rates"),
        [
            (bl.StepDecay(1.0, every=3, factor=0.5), {0: 1, 2: 1, 3: 0.5, 6: 0.25}),
            (bl.Exponential(1.0, factor=0.25, every=2), {0: 1, 1: 0.5, 2: 0.25, 4: 0.0625}),
            (bl.Cosine(2.0, steps=4, final=1.0), {0: 2, 2: 1.5, 4: 1, 9: 1}),
            (bl.OneCycle(1.0, steps=10, rise=0.4), {0: 0.04, 2: 0.52, 4: 1, 7: 0.500002, 10: 4e-6, 99: 4e-6}),
            (bl.WarmUp(1.0, steps=4), {0: 0.25, 1: 0.5, 3: 1, 9: 1}),
            (bl.WarmUp(bl.Cosine(2.0, steps=4), steps=2), {0: 1, 1: 2, 2: 2, 4: 1, 6: 0}),
        ],
    )
    def test_at_some_steps(self, schedule, rates):
        for step, rate in rates.items():
            assert schedule(step, ()) == pytest.approx(rate, rel=1e-12, abs=1e-12)

    def test_the_run_uses_them(self):
        """With one example and a linear unit of slope 1, every update is −rate·delta."""
        net = bl.Network([1, 1])
        state = bl.state_from(net, [[[0.0]]])
        schedule = bl.StepDecay(0.5, every=2, factor=0.1)
        run = bl.train(net, bl.SGD(schedule), ([[1.0]], [[1.0]]), epochs=4, state=state, watch=range(4))
        for p in run:
            (w,) = p.watched
            trace = w.trace()
            rate = [0.5, 0.5, 0.05, 0.05][w.step]
            assert trace.update[0].W[0, 0] == pytest.approx(-rate * trace.layers[0].delta[0, 0])


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: bl.SGD("fast"), "SGD: rate"),
        (lambda: bl.SGD(-1), "SGD: rate"),
        (lambda: bl.SGD(float("nan")), "SGD: rate"),
        (lambda: bl.SGD(1, momentum=1.5), "momentum"),
        (lambda: bl.SGD(1, l2_over="epoch"), "l2_over"),
        (lambda: bl.SGD(1, nesterov="yes"), "nesterov"),
        (lambda: bl.Adam(beta1=1.0), "beta1"),
        (lambda: bl.Adam(epsilon=0), "epsilon"),
        (lambda: bl.AdamW(weight_decay=-1), "weight_decay"),
        (lambda: bl.StepDecay(1.0, every=0), "every"),
        (lambda: bl.Cosine(1.0, steps=2.5), "steps"),
        (lambda: bl.OneCycle(0, steps=10), "peak"),
        (lambda: bl.WarmUp("x", steps=1), "WarmUp: rate"),
    ],
)
def test_odd_optimizers_and_schedules(make, told):
    with pytest.raises(bl.BadInput, match=told) as error:
        make()
    assert "; got " in str(error.value)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (([3],), "sizes"),
        (([3, 0],), "sizes"),
        (([3, 2.5],), "sizes"),
        (("3,2",), "sizes"),
        ((5,), "sizes"),
        (([3, 2, 1], "relux"), "hidden"),
        (([3, 2, 1], ["relu", "relu"]), "1 hidden layers, got 2"),
        (([3, 2, 1], "softmax"), "hidden"),
        (([3, 2, 1], "relu", "relu"), "output"),
        (([3, 1], "relu", "softmax"), "at least 2 outputs"),
        (([3, 2], "relu", "linear", "mse"), "loss"),
        (([3, 2], "relu", "sigmoid", "cross_entropy"), "output='softmax'"),
        (([3, 2], "relu", "linear", "binary_cross_entropy"), "output='sigmoid'"),
        (([3, 2], "relu", "linear", "poisson"), "output='exp'"),
        (([3, 2], "relu", "linear", "quadratic", "median"), "reduction"),
    ],
)
def test_odd_networks(arguments, told):
    with pytest.raises(bl.BadInput, match=told):
        bl.Network(*arguments)


def test_networks_are_frozen_and_hashable():
    net = bl.Network([3, 2, 1], ["relu"])
    assert net == bl.Network((3, 2, 1), "relu")
    assert hash(net) == hash(bl.Network((3, 2, 1), "relu"))
    assert net.n_parameters == 3 * 2 + 2 + 2 * 1 + 1
    with pytest.raises(AttributeError):
        net.sizes = (1, 2)
