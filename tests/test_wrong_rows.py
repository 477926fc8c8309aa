"""diagnose: a row that is left out, targets of other rows, and a penalty in the gradient are named.

The gradients are made of the rows' own, one at a time, by formulas written here.
"""

from __future__ import annotations

import numpy as np
import pytest

import backlit as bl

RANDOM = np.random.default_rng(8)
X, Y = RANDOM.standard_normal((6, 3)), RANDOM.random((6, 2))
S = RANDOM.uniform(0.5, 2, 6)


def of_row(weights, biases, x, y):
    """[W, b, W, b] of one row: tanh below, linear above, ½‖a − y‖²."""
    below = np.tanh(x @ weights[0] + biases[0])
    delta = below @ weights[1] + biases[1] - y
    under = weights[1] @ delta * (1 - below**2)
    return [np.outer(x, under), under, np.outer(below, delta), delta]


def gradient_of(pairs, divisor, weights=None):
    """The sum over (row of x, row of y), each with its weight, divided once."""

    def gradient(W, b, x, y):
        total = [np.zeros(shape) for shape in ((3, 4), 4, (4, 2), 2)]
        for i, j in pairs:
            for sum_, part in zip(total, of_row(W, b, x[i], y[j]), strict=True):
                sum_ += part * (1 if weights is None else weights[i])
        total = [t / divisor for t in total]
        return total[::2], total[1::2]

    return gradient


def diagnosed(gradient, reduction="mean", **more):
    net = bl.Network([3, 4, 2], hidden="tanh", reduction=reduction)
    return bl.diagnose(gradient, net, bl.initial_state(net, seed=1, init="normal"), X, Y, **more)


def names(why):
    return [(s.name, s.layer) for s in why.suspects]


ALL = [(i, i) for i in range(6)]


@pytest.mark.parametrize(
    ("pairs", "divisor", "said"),
    [
        (ALL[:-1], 5, "(the last)"),
        (ALL[1:], 5, "(the first)"),
        (ALL[:-1], 6, "(the last; divided by the whole batch)"),
        (ALL[1:], 6, "(the first; divided by the whole batch)"),
    ],
)
def test_an_example_left_out(pairs, divisor, said):
    why = diagnosed(gradient_of(pairs, divisor))
    assert names(why) == [("example_left_out", None)]
    assert said in why.suspects[0].text


def test_left_out_of_a_sum_and_with_sample_weights():
    assert names(diagnosed(gradient_of(ALL[:-1], 1), "sum")) == [("example_left_out", None)]
    weighted = gradient_of(ALL[:-1], S[:-1].sum(), S)
    assert names(diagnosed(weighted, sample_weight=S)) == [("example_left_out", None)]


@pytest.mark.parametrize(
    ("pairs", "divisor", "said"),
    [
        ([(i, (i + 1) % 6) for i in range(6)], 6, "that of the next row, round the end"),
        ([(i, i - 1) for i in range(6)], 6, "that of the previous row, round the end"),
        ([(i, i + 1) for i in range(5)], 5, "that of the next row, over one row less)"),
        ([(i, i - 1) for i in range(1, 6)], 5, "that of the previous row, over one row less)"),
        ([(i, i + 1) for i in range(5)], 6, "over one row less, but divided by n"),
        ([(i, 5 - i) for i in range(6)], 6, "in the reverse order"),
    ],
)
def test_targets_out_of_step(pairs, divisor, said):
    why = diagnosed(gradient_of(pairs, divisor))
    assert names(why) == [("targets_out_of_step", None)]
    assert said in why.suspects[0].text


@pytest.mark.parametrize("single", [False, True])
def test_a_penalty_in_the_gradient(single):
    def gradient(W, b, x, y):
        dW, db = gradient_of(ALL, 6)(W, b, x, y)
        given = [g + 0.03 * w for g, w in zip(dW, W, strict=True)], db
        return tuple([a.astype(np.float32) for a in part] for part in given) if single else given

    why = diagnosed(gradient)
    assert names(why) == [("l2_included", None)]
    assert why.suspects[0].factor == pytest.approx(0.03, rel=1e-4)
    assert "0.03" in why.suspects[0].text


def penalised(size, constant=1.0, single=False):
    """constant · the mean's gradient, and size · W."""

    def gradient(W, b, x, y):
        dW, db = gradient_of(ALL, 6 / constant)(W, b, x, y)
        given = [g + size * w for g, w in zip(dW, W, strict=True)], db
        return tuple([a.astype(np.float32) for a in part] for part in given) if single else given

    return gradient


@pytest.mark.parametrize("single", [False, True])
@pytest.mark.parametrize(
    ("constant", "also", "said"),
    [
        (6, ["sum_not_mean"], "times the batch size"),
        (1 / 6, ["mean_twice"], "divided by the batch size once more"),
        (-1, ["sign"], "the sign is turned round"),
        (-6, ["sign", "sum_not_mean"], "times the batch size"),
        (2, [], "times 2"),
        (0.5, [], "times ½"),
        (1.7, ["scale"], "times 1.7"),
    ],
)
def test_a_penalty_beside_a_constant(constant, also, said, single):
    why = diagnosed(penalised(0.03, constant, single))
    assert [s.name for s in why.suspects] == ["l2_included", *also]
    assert "0.03 · W" in why.suspects[0].text
    assert f"beside it is {constant:.6g} times" in why.suspects[0].text and said in why.suspects[0].text


def test_a_penalty_that_is_taken_away():
    (suspect,) = diagnosed(penalised(-0.03)).suspects
    assert (suspect.name, suspect.factor) == ("l2_included", pytest.approx(-0.03))
    assert "-0.03 · W, with the wrong sign" in suspect.text
    assert "wrong sign" not in diagnosed(penalised(-0.03, -1)).suspects[0].text  # all of it has the wrong one


def test_what_was_excluded_is_what_was_tried():
    noise = [RANDOM.standard_normal(shape) for shape in ((3, 4), (4, 2), 4, 2)]
    text = diagnosed(lambda *_: (noise[:2], noise[2:])).suspects[0].text
    tried = "any two of them together. Excluded too: l2_included, beside the right gradient or a constant times it."
    assert tried in text


@pytest.mark.parametrize("broken", ["one layer", "biases too", "nothing but the penalty"])
def test_what_is_no_penalty_is_not_named_so(broken):
    def gradient(W, b, x, y):
        dW, db = gradient_of(ALL, 6)(W, b, x, y)
        if broken == "nothing but the penalty":
            return [0.03 * w for w in W], [np.zeros_like(v) for v in b]
        dW = [g + 0.03 * w * (broken != "one layer" or n == 0) for n, (g, w) in enumerate(zip(dW, W, strict=True))]
        return dW, [g + 0.03 * v * (broken == "biases too") for g, v in zip(db, b, strict=True)]

    assert names(diagnosed(gradient))[0][0] == "unknown"


def test_divided_by_one_less():
    (suspect,) = diagnosed(gradient_of(ALL, 5)).suspects
    assert (suspect.name, suspect.factor) == ("scale", pytest.approx(6 / 5))
    assert "divided by the batch size less one" in suspect.text


def test_a_mean_where_a_sum_is_meant_is_told():
    (suspect,) = diagnosed(gradient_of(ALL, 6), "sum").suspects
    assert suspect.factor == pytest.approx(1 / 6)
    assert "a sum over the batch, and a mean was taken" in suspect.text
    assert "mean was taken" not in diagnosed(gradient_of(ALL, 36)).suspects[0].text


@pytest.mark.parametrize("rows", [1, 2, 3, 6])
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_the_right_sum_is_right(rows, reduction):
    net = bl.Network([3, 4, 2], hidden="tanh", reduction=reduction)
    gradient = gradient_of(ALL[:rows], rows if reduction == "mean" else 1)
    assert bl.diagnose(gradient, net, bl.initial_state(net, seed=1, init="normal"), X[:rows], Y[:rows]).correct
