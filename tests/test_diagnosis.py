"""diagnose: the right bug first, with its layer, and no right gradient accused.

The wrong programs are those of benchmarks/learners.py, written apart from the hypotheses.
"""

from __future__ import annotations

import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from ladder import NETWORKS, batch, states

import backlit as bl

sys.path.insert(0, str(Path(__file__).parent.parent / "benchmarks"))
import diagnosis as benchmark
from learners import Bug, Problem, wrong_gradient


def test_the_first_suspect_is_right_and_nobody_is_accused():
    score = benchmark.measure(76, seed=3)
    assert score.right >= 0.98 * score.asked, score.confusions
    assert score.accused == 0


@pytest.mark.slow
@pytest.mark.parametrize("seed", [11, 12])
def test_over_three_hundred_cases(seed):
    score = benchmark.measure(304, seed)
    assert score.right >= 0.98 * score.asked, score.confusions
    assert score.accused == 0


def problem(
    sizes=(4, 5, 3), loss="quadratic", output="sigmoid", n=6, reduction="mean"
) -> tuple[Problem, bl.Network, bl.State]:
    random = np.random.default_rng(7)
    shapes = list(pairwise(sizes))
    weights = [random.standard_normal(s) / 2 for s in shapes]
    y = np.eye(sizes[-1])[random.integers(0, sizes[-1], n)] if sizes[-1] > 1 else random.random((n, 1))
    biases, x = [random.standard_normal(o) / 2 for o in sizes[1:]], random.standard_normal((n, sizes[0]))
    p = Problem(list(sizes), ["tanh"] * (len(sizes) - 2), output, loss, reduction, weights, biases, x, y, np.ones(n))
    return p, *benchmark.network(p)


def diagnosed(gradient, p, net, state, **more):
    return bl.diagnose(gradient, net, state, p.x, p.y, **more)


def names(why):
    return [(s.name, s.layer) for s in why.suspects]


class TestForms:
    p, net, state = problem()
    right = wrong_gradient(p, Bug("none"))

    def test_right(self):
        why = diagnosed(self.right, self.p, self.net, self.state)
        assert why.correct
        assert why.suspects == []

    def test_the_books_form_is_recognised_and_said(self):
        W, b = self.right
        why = diagnosed(([v[:, None] for v in b], [w.T for w in W]), self.p, self.net, self.state)
        assert why.correct
        assert any("transposed" in r for r in why.remarks)
        assert any("other order" in r for r in why.remarks)

    def test_float32_is_a_remark(self):
        W, b = self.right
        why = diagnosed(
            ([w.astype(np.float32) for w in W], [v.astype(np.float32) for v in b]), self.p, self.net, self.state
        )
        assert why.correct
        assert any("float32" in r for r in why.remarks)

    def test_biases_with_a_row_axis(self):
        W, _ = self.right
        rows = []
        for layer in bl.step(self.net, bl.SGD(1.0), self.state, self.p.x, self.p.y).layers:
            rows.append(layer.delta / 6)
        assert names(diagnosed((W, rows), self.p, self.net, self.state)) == [("bias_not_summed", None)]

    def test_no_biases_at_all(self):
        assert names(diagnosed((self.right[0], None), self.p, self.net, self.state))[0] == ("bias_missing", None)

    @pytest.mark.parametrize(
        "bad", [None, 3, "ab", ([1], [2]), ([np.ones((4, 5))], [np.ones(5)]), ([["a"]], [[1]]), {}]
    )
    def test_what_is_no_gradient_is_refused(self, bad):
        with pytest.raises(bl.BadInput, match="diagnose: a gradient is a pair"):
            diagnosed(bad, self.p, self.net, self.state)

    def test_nan_is_placed(self):
        W, b = [w.copy() for w in self.right[0]], self.right[1]
        W[1][0, 0] = np.nan
        suspect = diagnosed((W, b), self.p, self.net, self.state).suspects[0]
        assert (suspect.name, suspect.layer) == ("unknown", 2)
        assert "NaN" in suspect.text

    def test_nonsense_is_unknown_and_says_what_was_excluded(self):
        random = np.random.default_rng(0)
        W, b = ([random.standard_normal(a.shape) for a in part] for part in self.right)
        suspect = diagnosed((W, b), self.p, self.net, self.state).suspects[0]
        assert suspect.name == "unknown"
        assert "missing_derivative" in suspect.text
        assert "previous" in suspect.text


class TestNothingFits:
    p, net, state = problem()

    def unknown(self, gradient):
        (suspect,) = diagnosed(gradient, self.p, self.net, self.state).suspects
        assert suspect.name == "unknown"
        return suspect.text

    def test_what_is_right_and_what_is_wrong_comes_first(self):
        W, b = wrong_gradient(self.p, Bug("none"))
        text = self.unknown((W, [b[0] + 0.01, b[1]]))
        assert text.startswith("layer 1: W right, b wrong by 0.01 in every entry; layer 2 (the output): W and b right.")

    def test_single_entries_are_counted(self):
        W, b = wrong_gradient(self.p, Bug("none"))
        W[1][2, 1] += 0.5
        assert "layer 2 (the output): W wrong in 1 of 15 entries, by 0.5 at most, b right" in self.unknown((W, b))

    def test_zeros_have_no_nearest(self):
        text = self.unknown(([np.zeros_like(a) for a in self.p.weights], [np.zeros_like(a) for a in self.p.biases]))
        assert text.startswith("every entry is 0")
        assert "nearest" not in text

    def test_what_is_far_away_is_not_near(self):
        random = np.random.default_rng(0)
        assert "nearest" not in self.unknown(
            tuple([random.standard_normal(a.shape) for a in part] for part in (self.p.weights, self.p.biases))
        )

    def test_weights_are_named_as_weights(self):
        assert self.unknown((self.p.weights, self.p.biases)).startswith("these are the weights, not a gradient")


class TestTogether:
    p, net, state = problem()

    def test_a_sum_on_top_is_told_as_the_factor(self):
        why = diagnosed(wrong_gradient(self.p, Bug("missing_derivative", 1, top=6.0)), self.p, self.net, self.state)
        assert names(why) == [("missing_derivative", 1), ("sum_not_mean", None)]
        assert why.suspects[0].factor == pytest.approx(6)

    def test_two_bugs(self):
        W, _ = wrong_gradient(self.p, Bug("missing_derivative", 1))
        _, b = wrong_gradient(self.p, Bug("bias_missing", 2))
        b[0] = wrong_gradient(self.p, Bug("missing_derivative", 1))[1][0]
        assert set(names(diagnosed((W, b), self.p, self.net, self.state))) == {
            ("missing_derivative", 1),
            ("bias_missing", 2),
        }

    def test_only_the_biases_are_summed(self):
        W, b = wrong_gradient(self.p, Bug("none"))
        first = diagnosed((W, [6 * v for v in b]), self.p, self.net, self.state).suspects[0]
        assert first.name == "sum_not_mean"
        assert "only the biases" in first.text

    def test_a_rate_is_found(self):
        gradient = wrong_gradient(self.p, Bug("updated_before_backward", number=0.7))
        first = diagnosed(gradient, self.p, self.net, self.state).suspects[0]
        assert first.name == "updated_before_backward"
        assert "0.7 times" in first.text


class TestFunctions:
    p, net, state = problem()

    def test_one_that_keeps_adding_to_the_same_arrays(self):
        W, b = ([np.zeros_like(a) for a in part] for part in (self.p.weights, self.p.biases))

        def accumulating(weights, biases, x, y):
            new_W, new_b = wrong_gradient(self.p, Bug("none"))
            for total, new in zip([*W, *b], [*new_W, *new_b], strict=True):
                total += new
            return W, b

        why = diagnosed(accumulating, self.p, self.net, self.state)
        assert names(why) == [("stale_gradient", None)]
        assert any("second call" in r for r in why.remarks)

    def test_nan_twice_is_the_same_gradient(self):
        W, b = wrong_gradient(self.p, Bug("none"))
        W[0][0, 0] = np.nan
        why = diagnosed(lambda *_: (W, b), self.p, self.net, self.state)
        assert not any("second call" in r for r in why.remarks)

    def test_one_that_changes_the_weights(self):
        def moving(weights, biases, x, y):
            weights[0] -= 1
            return wrong_gradient(self.p, Bug("none"))

        why = diagnosed(moving, self.p, self.net, self.state)
        assert why.correct
        assert any("only read" in r for r in why.remarks)


def test_broadcast_targets_by_hand():
    """a = (1, 3), y = (0, 2), quadratic: every a against the mean target 1 gives the deltas (0, 2)."""
    net = bl.Network([1, 1])
    state = bl.state_from(net, [[[1.0]]], [[0.0]])
    x, y = np.array([[1.0], [3.0]]), np.array([[0.0], [2.0]])
    why = bl.diagnose(([np.array([[3.0]])], [np.array([1.0])]), net, state, x, y)
    assert not why.correct
    assert "broadcast_targets" in [s.name for s in why.suspects]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", NETWORKS)
def test_no_right_gradient_of_the_ladder_is_accused(name, dtype):
    net = NETWORKS[name]
    x, y, s = batch(net, 6)
    state = states(net, bl.SGD(1.0), dtype)
    gradient = bl.step(net, bl.SGD(1.0), state, x, y, sample_weight=s).gradient
    why = bl.diagnose(gradient, net, state.astype("float64"), x, y, sample_weight=s)
    assert why.correct, str(why)


def test_the_noise_of_a_few_numbers_is_no_constant():
    """One unit a layer: two numbers a layer, and a constant near 1 fits to what differences leave behind."""
    net = bl.Network([1, 1, 1], hidden="tanh", output="linear")
    state, x, y = bl.initial_state(net, seed=1, init="normal", dtype="float64"), np.array([[0.4]]), np.array([[0.1]])
    gradient = bl.step(net, bl.SGD(1.0), state, x, y).gradient
    for layer, off in zip(gradient, (7e-6, -7e-6), strict=True):
        layer.W[...] *= 1 + off
        layer.b[...] *= 1 + off
    assert bl.diagnose(gradient, net, state, x, y).correct
