"""The book's modules: against the formulas one example at a time, the printed lines, the shapes, the worked cases.

``Formulas`` below is the expected side: plain NumPy, one example after the other, nothing from the package.
"""

from __future__ import annotations

import copy
import gc
import json
import pickle
import random
import re
import struct
import warnings
import weakref
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

import backlit as bl
from backlit.nielsen import mnist_loader, network, network2


def seeded() -> None:
    np.random.seed(12345)
    random.seed(6789)


class Formulas:
    """z = w·a + b, a = 1/(1 + e⁻ᶻ); deltas by the chain rule; w ← (1 − eta·lmbda/n)·w − (eta/m)·Σ ∂C/∂w."""

    def __init__(self, sizes, cost="quadratic", scaled=False):
        self.b = [np.random.randn(o, 1) for o in sizes[1:]]
        self.w = [np.random.randn(o, i) for i, o in pairwise(sizes)]
        if scaled:
            self.w = [w / np.sqrt(w.shape[1]) for w in self.w]
        self.cost = cost

    def output(self, x):
        a = x
        for w, b in zip(self.w, self.b, strict=True):
            a = 1 / (1 + np.exp(-(w @ a + b)))
        return a

    def gradient(self, x, y):
        activations = [x]
        for w, b in zip(self.w, self.b, strict=True):
            activations.append(1 / (1 + np.exp(-(w @ activations[-1] + b))))
        a = activations[-1]
        delta = (a - y) * (a * (1 - a)) if self.cost == "quadratic" else a - y
        gb, gw = [], []
        for layer in reversed(range(len(self.w))):
            gb.insert(0, delta)
            gw.insert(0, delta @ activations[layer].T)
            below = activations[layer]
            delta = (self.w[layer].T @ delta) * (below * (1 - below))
        return gb, gw

    def example_cost(self, x, y):
        a = self.output(x)
        if self.cost == "quadratic":
            return float(0.5 * ((a - y) ** 2).sum())
        return float(-(y * np.log(a) + (1 - y) * np.log(1 - a)).sum())

    def total_cost(self, pairs, lmbda):
        mean = sum(self.example_cost(x, y) for x, y in pairs) / len(pairs)
        return mean + 0.5 * lmbda / len(pairs) * sum(float((w**2).sum()) for w in self.w)

    def right(self, pairs):
        return sum(int(np.argmax(self.output(x)) == y) for x, y in pairs)

    def epoch(self, pairs, size, eta, lmbda=0.0):
        """Shuffles ``pairs`` in place; gives the number of updates."""
        random.shuffle(pairs)
        n = len(pairs)
        for start in range(0, n, size):
            batch = pairs[start : start + size]
            gradients = [self.gradient(x, y) for x, y in batch]
            for layer in range(len(self.w)):
                self.b[layer] = self.b[layer] - eta / len(batch) * sum(gb[layer] for gb, _ in gradients)
                step = eta / len(batch) * sum(gw[layer] for _, gw in gradients)
                self.w[layer] = (1 - eta * lmbda / n) * self.w[layer] - step
        return -(-n // size)

    def parameters(self):
        return np.concatenate([p.ravel() for p in (*self.w, *self.b)])


def parameters(net):
    return np.concatenate([p.ravel() for p in (*net.weights, *net.biases)])


def columns(rows, n_in=6, n_out=3, seed=0):
    """Pairs x (n_in, 1), y (n_out, 1) of a task that can be learnt, and the same with digits."""
    draw = np.random.default_rng(seed)
    digits = draw.integers(0, n_out, rows)
    x = draw.random((rows, n_in, 1)) * 0.5
    x[np.arange(rows), digits, 0] += 0.7
    y = np.eye(n_out)[digits][:, :, None]
    return list(zip(x, y, strict=True)), list(zip(x, digits.tolist(), strict=True))


def close(net, formulas, tolerance=1e-8):
    assert np.abs(parameters(net) - formulas.parameters()).max() < tolerance


class TestSGDFollowsTheFormulas:
    """The same seeds, the same numbers: 500 updates and more, a shorter last batch in each epoch."""

    sizes = (6, 5, 4, 3)

    def test_network(self, capsys):
        training, _ = columns(499)
        _, test = columns(200, seed=1)
        theirs = list(training)
        seeded()
        formulas = Formulas(self.sizes)
        updates, lines = 0, []
        for epoch in range(10):
            updates += formulas.epoch(theirs, 10, 3.0)
            lines.append(f"Epoch {epoch}: {formulas.right(test)} / 200\n")
        assert updates == 500

        seeded()
        net = network.Network(self.sizes)
        assert net.SGD(training, 10, 10, 3.0, test_data=test) is None
        close(net, formulas)
        assert capsys.readouterr().out == "".join(lines)
        assert all(a is b for a, b in zip(training, theirs, strict=True)), "the reader's list is not shuffled as theirs"
        assert formulas.right(test) > 150, "the task is not learnt, so the counts say little"

    @pytest.mark.parametrize("cost", ["quadratic", "cross-entropy"])
    @pytest.mark.parametrize("initializer", ["default", "large"])
    def test_network2(self, capsys, cost, initializer):
        training, training_digits = columns(499)
        _, evaluation = columns(200, seed=1)
        theirs = list(training)
        as_columns = [(x, np.eye(3)[[y]].T) for x, y in evaluation]
        lmbda, expected, lines = 5.0, ([], [], [], []), []
        seeded()
        formulas = Formulas(self.sizes, cost, scaled=initializer == "default")
        for epoch in range(10):
            formulas.epoch(theirs, 10, 0.5, lmbda)
            for part, value in zip(
                expected,
                (
                    formulas.total_cost(as_columns, lmbda),
                    formulas.right(evaluation),
                    formulas.total_cost(training, lmbda),
                    formulas.right(training_digits),
                ),
                strict=True,
            ):
                part.append(value)
            lines.append(
                rf"Epoch {epoch} training complete\nCost on training data: (\S+)\n"
                rf"Accuracy on training data: {expected[3][-1]} / 499\nCost on evaluation data: (\S+)\n"
                rf"Accuracy on evaluation data: {expected[1][-1]} / 200\n\n"
            )

        seeded()
        net = network2.Network(
            self.sizes, cost=network2.QuadraticCost if cost == "quadratic" else network2.CrossEntropyCost
        )
        if initializer == "large":
            seeded()
            net.large_weight_initializer()
        history = net.SGD(training, 10, 10, 0.5, lmbda, evaluation, True, True, True, True)
        close(net, formulas)
        assert history[1] == expected[1]
        assert history[3] == expected[3]
        np.testing.assert_allclose(history[0], expected[0], rtol=1e-9)
        np.testing.assert_allclose(history[2], expected[2], rtol=1e-9)
        printed = re.fullmatch("".join(lines), capsys.readouterr().out)
        assert printed
        shown = [float(text) for text in printed.groups()]
        assert shown == [cost for pair in zip(history[2], history[0], strict=True) for cost in pair]

    def test_without_test_data_and_without_monitors(self, capsys):
        training, _ = columns(20)
        network.Network([6, 3]).SGD(training, 2, 10, 1.0)
        assert network2.Network([6, 3]).SGD(training, 1, 10, 1.0) == ([], [], [], [])
        assert capsys.readouterr().out == "Epoch 0 complete\nEpoch 1 complete\nEpoch 0 training complete\n\n"

    @pytest.mark.parametrize("module", [network, network2])
    def test_calls_follow_one_another_and_start_from_the_weights_as_they_are(self, module):
        training, _ = columns(60)
        theirs, more = list(training), {} if module is network else {"lmbda": 2.0}
        seeded()
        formulas = Formulas(self.sizes, "quadratic" if module is network else "entropy", scaled=module is network2)
        seeded()
        net = module.Network(self.sizes)
        state = random.getstate()
        for _ in range(2):
            formulas.epoch(theirs, 7, 1.0, **more)
            formulas.w[0] = formulas.w[0] * 0.5
            formulas.b[1][2] += 1
        random.setstate(state)
        for _ in range(2):
            net.SGD(training, 1, 7, 1.0, **more)
            net.weights[0] *= 0.5  # changed in place
            net.biases[1][2] += 1
        close(net, formulas)

    def test_the_plain_code_keeps_the_roundings_of_the_formulas(self):
        """To the bit, so that a long run, in which any rounding grows, can be compared with the original's."""

        class Plain(network.Network):
            def update_mini_batch(self, mini_batch, eta):
                super().update_mini_batch(mini_batch, eta)

        training, _ = columns(205)
        theirs = list(training)
        seeded()
        formulas = Formulas(self.sizes)
        for _ in range(3):
            formulas.epoch(theirs, 10, 3.0)
        seeded()
        net = Plain(self.sizes)
        net.SGD(training, 3, 10, 3.0)
        assert np.array_equal(parameters(net), formulas.parameters())

    def test_a_list_that_is_changed_between_the_epochs(self):
        """By a subclass's evaluate: the next epoch trains on what stands there then."""
        training, test = columns(40)
        extra, theirs = columns(12, seed=9)[0], list(training)

        class Growing(network.Network):
            def evaluate(self, test_data):
                training.extend(extra)
                return super().evaluate(test_data)

        seeded()
        formulas = Formulas(self.sizes)
        for _ in range(3):
            formulas.epoch(theirs, 10, 1.0)
            theirs.extend(extra)
        seeded()
        net = Growing(self.sizes)
        net.SGD(training, 3, 10, 1.0, test_data=test)
        close(net, formulas)

    def test_ctrl_c_leaves_what_was_learnt_until_then(self, monkeypatch):
        def interrupted(*arguments, **options):
            yield next(bl.train(*arguments, **options))
            raise KeyboardInterrupt

        monkeypatch.setattr("backlit.nielsen.epochs.train", interrupted)
        training, _ = columns(50)
        seeded()
        net = network.Network(self.sizes)
        formulas = Formulas(self.sizes)
        formulas.w, formulas.b = list(net.weights), list(net.biases)
        state = random.getstate()
        with pytest.raises(KeyboardInterrupt):
            net.SGD(training, 3, 50, 1.0)
        random.setstate(state)
        formulas.epoch(list(training), 50, 1.0)  # the one update of the first stretch
        close(net, formulas)

    def test_the_plain_methods_are_the_same_computation(self):
        """update_mini_batch called by hand, as the loop would."""
        training, _ = columns(30)
        for module, more, arguments in ((network, {}, ()), (network2, {"lmbda": 3.0}, (3.0, 30))):
            seeded()
            fast, slow = module.Network(self.sizes), None
            slow = copy.deepcopy(fast)
            data = list(training)
            fast.SGD(data, 1, 10, 2.0, **more)
            for start in (0, 10, 20):
                slow.update_mini_batch(data[start : start + 10], 2.0, *arguments)
            np.testing.assert_allclose(parameters(fast), parameters(slow), rtol=0, atol=1e-13)


class TestWhatIsKeptBetweenCalls:
    sizes = (6, 4, 3)

    def trained(self, training, change=lambda data: None):
        """The weights after an epoch, ``change``, and another, here and by the formulas."""
        theirs = [type(pair)(part.copy() for part in pair) for pair in training]
        seeded()
        formulas = Formulas(self.sizes)
        formulas.epoch(theirs, 10, 1.0)
        change(theirs)
        formulas.epoch(theirs, 10, 1.0)
        seeded()
        net = network.Network(self.sizes)
        net.SGD(training, 1, 10, 1.0)
        stacked = net._kept.stacked
        change(training)
        net.SGD(training, 1, 10, 1.0)
        close(net, formulas)
        return net._kept.stacked is stacked

    def test_the_stacking_is_kept_for_the_same_list(self):
        assert self.trained(columns(305)[0])

    def test_other_elements(self):
        def replace(data):
            data[3] = (np.full((6, 1), 0.25), np.array([[0.0], [1.0], [0.0]]))

        assert not self.trained(columns(305)[0], replace)

    def test_more_elements(self):
        assert not self.trained(columns(305)[0], lambda data: data.extend(columns(5, seed=3)[0]))

    def test_fewer_elements_and_repeated_ones(self):
        def change(data):
            data[:] = data[10:40] + data[20:60]

        assert self.trained(columns(305)[0], change)

    @pytest.mark.parametrize("part", [0, 1])
    def test_one_number_changed_in_place(self, part):
        def change(data):
            data[217][part][1, 0] += 1e-6

        assert not self.trained(columns(305)[0], change)

    def test_an_array_replaced_in_a_pair_that_is_a_list(self):
        def change(data):
            data[217][0] = np.full((6, 1), 0.25)

        assert not self.trained([list(pair) for pair in columns(305)[0]], change)

    def test_two_networks_share_it_and_it_goes_with_them(self):
        training, _ = columns(50)
        first, second = network.Network(self.sizes), network2.Network(self.sizes)
        first.SGD(training, 1, 10, 1.0)
        second.SGD(training, 1, 10, 1.0)
        assert first._kept.stacked is second._kept.stacked
        stacked = weakref.ref(first._kept.stacked)
        copied, pickled = copy.deepcopy(first), pickle.loads(pickle.dumps(first))
        del first, second
        gc.collect()
        assert stacked() is None
        assert np.array_equal(parameters(copied), parameters(pickled))


class TestReadersOwn:
    """Exercises: what a subclass overrides is called, and nothing else changes."""

    sizes = (6, 4, 3)

    @pytest.mark.parametrize("name", ["cost_derivative", "backprop", "update_mini_batch"])
    def test_an_override_is_called(self, name):
        calls = []

        def counted(self, *arguments):
            calls.append(name)
            return getattr(network.Network, name)(self, *arguments)

        training, _ = columns(25)
        own = type("Own", (network.Network,), {name: counted})
        seeded()
        net = own(self.sizes)
        seeded()
        formulas = Formulas(self.sizes)
        theirs, state = list(training), random.getstate()
        formulas.epoch(theirs, 10, 1.0)
        random.setstate(state)
        net.SGD(training, 1, 10, 1.0)
        assert len(calls) == (3 if name == "update_mini_batch" else 25)
        close(net, formulas)

    def test_another_cost_by_cost_derivative(self):
        """C = Σ(a − y)⁴/4: the derivative is (a − y)³."""

        class Fourth(network.Network):
            def cost_derivative(self, output_activations, y):
                return (output_activations - y) ** 3

        training, _ = columns(30)
        seeded()
        net, plain = Fourth(self.sizes), None
        plain = network.Network(self.sizes)
        plain.weights, plain.biases = [w.copy() for w in net.weights], [b.copy() for b in net.biases]
        x, y = training[0]
        nabla_b, _ = net.backprop(x, y)
        a = net.feedforward(x)
        np.testing.assert_allclose(nabla_b[-1], (a - y) ** 3 * a * (1 - a), rtol=1e-13)
        state = random.getstate()
        net.SGD(list(training), 1, 10, 1.0)
        random.setstate(state)
        plain.SGD(list(training), 1, 10, 1.0)
        assert np.abs(parameters(net) - parameters(plain)).max() > 1e-3

    def test_a_cost_of_ones_own_in_network2(self, tmp_path):
        class Fourth:
            @staticmethod
            def fn(a, y):
                return float(np.sum((a - y) ** 4) / 4)

            @staticmethod
            def delta(z, a, y):
                return (a - y) ** 3 * a * (1 - a)

        training, _ = columns(30)
        net = network2.Network(self.sizes, cost=Fourth)
        before = [net.total_cost(training, 0.0), *net.SGD(training, 20, 10, 3.0, monitor_training_cost=True)[2]]
        assert before[-1] < before[0]
        by_hand = np.mean([((net.feedforward(x) - y) ** 4).sum() / 4 for x, y in training])
        assert before[-1] == pytest.approx(by_hand, rel=1e-12)
        net.save(tmp_path / "own.json")
        with pytest.raises(bl.BadInput, match="Fourth"):
            network2.load(tmp_path / "own.json")

    def test_a_method_of_the_object_or_a_function_of_the_module(self, monkeypatch):
        training, _ = columns(20)
        net = network.Network(self.sizes)
        before = parameters(net)
        net.update_mini_batch = lambda mini_batch, eta: None
        net.SGD(training, 1, 10, 1.0)
        assert np.array_equal(parameters(net), before)
        monkeypatch.setattr(network, "sigmoid", np.tanh)
        net = network.Network(self.sizes)
        x, _ = training[0]
        hidden = np.tanh(net.weights[0] @ x + net.biases[0])
        np.testing.assert_allclose(net.feedforward(x), np.tanh(net.weights[1] @ hidden + net.biases[1]))
        other = copy.deepcopy(net)
        net.SGD(training, 1, 10, 1.0)
        for start in (0, 10):
            other.update_mini_batch(training[start : start + 10], 1.0)
        assert np.array_equal(parameters(net), parameters(other))

    def test_feedforward_of_ones_own_decides_what_is_counted(self, capsys):
        class Always(network.Network):
            def feedforward(self, a):
                return np.array([[0.0], [1.0], [0.0]])

        training, test = columns(40)
        Always(self.sizes).SGD(training, 1, 10, 1.0, test_data=test)
        assert capsys.readouterr().out == f"Epoch 0: {sum(y == 1 for _, y in test)} / 40\n"

    def test_odd_weights_go_through_the_plain_code(self):
        training, _ = columns(20)
        net, twin = network.Network(self.sizes), None
        twin = copy.deepcopy(net)
        net.weights = [w.tolist() for w in net.weights]
        net.biases = [b[:, 0] * 1.0 for b in net.biases]  # (fan_out,): refused by engines
        net.biases = [b[:, None] for b in net.biases]
        state = random.getstate()
        net.SGD(list(training), 1, 10, 1.0)
        random.setstate(state)
        twin.SGD(list(training), 1, 10, 1.0)
        np.testing.assert_allclose(parameters(net), parameters(twin), atol=1e-13)
        wider = network.Network(self.sizes)
        wider.weights = [np.random.randn(7, 6), np.random.randn(3, 7)]
        wider.biases = [np.random.randn(7, 1), np.random.randn(3, 1)]
        before = parameters(wider)
        wider.SGD(training, 1, 10, 1.0)
        assert wider.weights[0].shape == (7, 6)
        assert np.abs(parameters(wider) - before).max() > 1e-3

    def test_a_negative_rate_climbs_as_in_the_book(self):
        training, _ = columns(30)
        net = network2.Network(self.sizes)
        before = net.total_cost(training, 0.0)
        net.SGD(training, 1, 10, -0.1)
        assert net.total_cost(training, 0.0) > before

    @pytest.mark.parametrize("module", [network, network2])
    def test_gradients_can_be_checked(self, module):
        net = module.Network([4, 5, 3])
        (x, y), *_ = columns(1, 4, 3)[0]
        assert bl.check_gradients(net, x=x, y=y).passed

    def test_a_wrong_gradient_is_diagnosed(self):
        class Wrong(network.Network):
            def cost_derivative(self, output_activations, y):
                return y - output_activations

        (x, y), *_ = columns(1, 4, 3)[0]
        net = Wrong([4, 5, 3])
        assert not bl.check_gradients(net, x=x, y=y).passed
        assert bl.diagnose(net, x=x, y=y).suspects[0].name == "sign"


class TestShapes:
    """(n,) where (n, 1) belongs is reshaped with one warning; what can't be meant is refused; nothing is broadcast."""

    sizes = (6, 4, 3)

    @pytest.mark.parametrize("module", [network, network2])
    @pytest.mark.parametrize("own", [False, True])
    def test_flat_examples_train_like_columns_with_one_warning(self, module, own, capsys):
        training, test = columns(40)
        flat = [(x[:, 0], y[:, 0]) for x, y in training]
        flat_test = [(x[:, 0], y) for x, y in test]

        class Own(module.Network):
            def feedforward(self, a):
                return super().feedforward(a)

        seeded()
        net = (Own if own else module.Network)(self.sizes)
        twin = copy.deepcopy(net)
        state = random.getstate()
        more = {"evaluation_data": flat_test, "monitor_training_cost": True} if module is network2 else {}
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            net.SGD(flat, 3, 7, 1.0, **more)
        assert [w.category for w in caught][:1] == [UserWarning]
        if not own:
            assert len(caught) == 1
        assert caught[0].filename == __file__
        assert re.search(r"\(6,\).*\(6, 1\).*\(m, m\)", str(caught[0].message))
        random.setstate(state)
        twin.SGD(training, 3, 7, 1.0)
        np.testing.assert_allclose(parameters(net), parameters(twin), atol=1e-14)

    def test_one_warning_for_test_data_too(self, capsys):
        training, test = columns(40)
        with pytest.warns(UserWarning, match=r"x of test_data\[0\]") as caught:
            network.Network(self.sizes).SGD(training, 3, 7, 1.0, test_data=[(x[:, 0], y) for x, y in test])
        assert len(caught) == 1

    def test_single_calls(self):
        net, net2 = network.Network(self.sizes), network2.Network(self.sizes)
        (x, y), *_ = columns(1)[0]
        for n in (net, net2):
            right = n.backprop(x, y)
            with pytest.warns(UserWarning, match="backprop") as caught:
                flat = n.backprop(x[:, 0], y[:, 0])
            assert len(caught) == 1
            for a, b in zip([*right[0], *right[1]], [*flat[0], *flat[1]], strict=True):
                assert np.array_equal(a, b)
            assert [part.shape for part in right[0]] == [b.shape for b in n.biases]
            assert [part.shape for part in right[1]] == [w.shape for w in n.weights]
            with pytest.warns(UserWarning, match="feedforward"):
                assert np.array_equal(n.feedforward(x[:, 0]), n.feedforward(x))
            with pytest.warns(UserWarning, match="mini_batch") as caught:
                n.update_mini_batch([(x[:, 0], y[:, 0])] * 3, 1.0, *((0.0, 3) if n is net2 else ()))
            assert len(caught) == 1
        with pytest.warns(UserWarning, match="y has shape"):
            assert net.cost_derivative(y, y[:, 0]).tolist() == [[0], [0], [0]]
        with pytest.warns(UserWarning, match="y has shape"):
            assert network2.QuadraticCost.fn(y, y[:, 0] - 1) == 1.5

    def test_a_matrix_of_columns_goes_forward(self):
        net = network.Network(self.sizes)
        x = np.hstack([x for x, _ in columns(5)[0]])
        np.testing.assert_allclose(net.feedforward(x)[:, [3]], net.feedforward(x[:, [3]]), rtol=1e-14)

    @pytest.mark.parametrize(
        ("pair", "told"),
        [
            ((np.zeros((7, 1)), np.zeros((3, 1))), ["(6, 1)", "(7, 1)", "training_data[1]"]),
            ((np.zeros((6, 2)), np.zeros((3, 1))), ["(6, 1)", "(6, 2)"]),
            ((np.zeros((2, 3)), np.zeros((3, 1))), ["(6, 1)", "(2, 3)", "np.reshape"]),
            ((np.zeros((6, 1)), 2), ["(3, 1)", "()", "vectorized_result"]),
            ((np.zeros((6, 1)), np.zeros((1, 1))), ["(3, 1)", "(1, 1)"]),
            ((np.zeros((6, 1)), np.zeros((3, 3))), ["(3, 1)", "(3, 3)"]),
            ((np.zeros((6, 1)), "two"), ["real numbers", "two"]),
            ((np.zeros((6, 1)), None), ["real numbers", "None"]),
            ((np.zeros((6, 1)), [[1], [2, 3]]), ["real numbers"]),
            ((np.zeros((6, 1)), np.zeros((3, 1)), 1), ["pairs", "tuple of 3"]),
            (5, ["pairs", "5"]),
            ((np.full((6, 1), np.nan), np.zeros((3, 1))), ["nan", "x[1, 0]"]),
        ],
    )
    def test_what_cannot_be_meant(self, pair, told):
        training, _ = columns(3)
        training[1] = pair
        kept, state = list(training), random.getstate()
        for net in (network.Network(self.sizes), network2.Network(self.sizes)):
            before = parameters(net)
            with pytest.raises(bl.BadInput) as error:
                net.SGD(training, 1, 2, 1.0)
            assert all(part in str(error.value) for part in told), str(error.value)
            assert "\n" not in str(error.value)
            assert np.array_equal(parameters(net), before)
            assert all(a is b for a, b in zip(training, kept, strict=True))
            assert random.getstate() == state

    def test_arguments_that_cannot_be_meant(self):
        training, test = columns(3)
        net, net2 = network.Network(self.sizes), network2.Network(self.sizes)
        x, y = training[0]
        for call, told in [
            (lambda: net.SGD(training, 1, 0, 1.0), "mini_batch_size"),
            (lambda: net.SGD(training, 1, 2.5, 1.0), "mini_batch_size"),
            (lambda: net.SGD(training, -1, 2, 1.0), "epochs"),
            (lambda: net.SGD(training, 1, 2, "3.0"), "eta"),
            (lambda: net.SGD(training, 1, 2, np.nan), "eta"),
            (lambda: net2.SGD(training, 1, 2, 1.0, lmbda=np.inf), "lmbda"),
            (lambda: net.SGD([], 1, 2, 1.0), "empty"),
            (lambda: net.SGD(iter(()), 1, 2, 1.0), "used up"),
            (lambda: net.SGD(5, 1, 2, 1.0), "list of pairs"),
            (lambda: net.SGD((np.zeros((50, 6)), np.zeros(50)), 1, 2, 1.0), "list of pairs"),
            (lambda: net.SGD(training, 1, 2, 1.0, test_data=training), "digit itself"),
            (lambda: net2.SGD(training, 1, 2, 1.0, monitor_evaluation_cost=True), "evaluation_data"),
            (lambda: net2.accuracy(training), "convert"),
            (lambda: net2.accuracy(test, convert=True), "convert"),
            (lambda: net2.total_cost(test, 0.0), "(3, 1)"),
            (lambda: net2.total_cost(training, 0.0, convert=True), "convert"),
            (lambda: net2.total_cost([(x, 3)], 0.0, convert=True), "0 to 2"),
            (lambda: net.evaluate([(x, -1)]), "at least 0"),
            (lambda: net.evaluate([(x, 1.5)]), "whole number"),
            (lambda: net.update_mini_batch([], 1.0), "empty"),
            (lambda: net.backprop(np.zeros((6, 2)), y), "(6, 2)"),
            (lambda: net.feedforward(np.zeros((5, 1))), "(5, 1)"),
            (lambda: net.cost_derivative(np.zeros((3, 1)), np.zeros((1, 3, 3))), "(3, 1)"),
            (lambda: network2.CrossEntropyCost.fn(np.zeros((3, 1)), 1.0), "(3, 1)"),
            (lambda: network2.vectorized_result(10), "0 to 9"),
            (lambda: network2.vectorized_result(-1), "at least 0"),
            (lambda: network.Network([5]), "sizes"),
            (lambda: network2.Network([5, 0]), "sizes"),
        ]:
            with pytest.raises(bl.BadInput) as error:
                call()
            assert told in str(error.value), str(error.value)
            assert "\n" not in str(error.value)

    def test_iterators_are_read_once_and_serve_every_epoch(self, capsys):
        training, test = columns(20)
        net = network.Network(self.sizes)
        net.SGD(zip(*zip(*training, strict=True), strict=True), 3, 7, 1.0, test_data=iter(test))
        lines = capsys.readouterr().out.splitlines()
        assert len(lines) == 3
        assert all(line.endswith(" / 20") for line in lines)


class TestWorkedCases:
    """Cases 1, 4 and 5, through these modules."""

    def test_an_epoch_has_as_many_updates_as_mini_batches(self):
        sizes = []

        class Counting(network.Network):
            def update_mini_batch(self, mini_batch, eta):
                sizes.append(len(mini_batch))

        one = (np.zeros((2, 1)), np.zeros((1, 1)))
        Counting([2, 1]).SGD([one] * 50_000, 1, 10, 3.0)
        assert sizes == [10] * 5_000
        sizes.clear()
        Counting([2, 1]).SGD([one] * 1_001, 1, 10, 3.0)
        assert sizes == [10] * 100 + [1]

    def test_the_sum_is_carried_divided_once_and_the_parameters_change_once(self):
        """Every example gradient is [-1, 2, -3, 4, -5]; ten of them, eta = 10: w changes by −10/10·[-10, 20, …]."""
        given = np.array([[-1.0, 2, -3, 4, -5]])
        seen = []

        class Given(network.Network):
            def backprop(self, x, y):
                seen.append(self.weights[0].copy())
                return [np.zeros((1, 1))], [given]

        net = Given([5, 1])
        net.weights = [np.zeros((1, 5))]
        net.update_mini_batch([(np.zeros((5, 1)), np.zeros((1, 1)))] * 10, 10.0)
        assert net.weights[0].tolist() == [[10, -20, 30, -40, 50]]
        assert all((w == 0).all() for w in seen), "something moved inside the loop"

    def test_the_mini_batch_at_full_size(self):
        seeded()
        net = network.Network([784, 30, 10])
        draw = np.random.default_rng(0)
        batch = [(draw.random((784, 1)), np.eye(10)[:, [d]]) for d in draw.integers(0, 10, 10)]
        weights = [w.copy() for w in net.weights]
        gradients = [net.backprop(x, y)[1] for x, y in batch]
        net.update_mini_batch(batch, 3.0)
        for layer in range(2):
            expected = weights[layer] - 3.0 / 10 * sum(g[layer] for g in gradients)
            np.testing.assert_allclose(net.weights[layer], expected, atol=1e-14)

    def test_shapes(self):
        net = network.Network([2, 3, 1])
        assert [w.shape for w in net.weights] == [(3, 2), (1, 3)]
        assert [b.shape for b in net.biases] == [(3, 1), (1, 1)]
        assert net.num_layers == 3
        assert net.sizes == [2, 3, 1]
        assert net.feedforward(np.array([[0.0], [1.0]])).shape == (1, 1)

    def test_a_batch_of_pairs_of_vectors(self):
        pairs = [([0, 1], [1, 2]), ([2, 1], [3, 2])]
        seeded()
        net = network.Network([2, 2])
        seeded()
        formulas = Formulas([2, 2])
        with pytest.warns(UserWarning, match=r"\(2,\)") as caught:
            net.SGD(pairs, 1, 2, 1.0)
        assert len(caught) == 1
        formulas.epoch([(np.array(x).reshape(2, 1), np.array(y).reshape(2, 1)) for x, y in pairs], 2, 1.0)
        close(net, formulas, 1e-13)

    def test_the_cost_derivative_is_analytic(self):
        draw = np.random.default_rng(0)
        a, y = draw.random((4, 1)), draw.random((4, 1))
        analytic = network.Network([4, 4]).cost_derivative(a, y)
        assert np.array_equal(analytic, a - y)
        for i in range(4):
            step = 1e-6 * np.eye(4)[:, [i]]
            numeric = (network2.QuadraticCost.fn(a + step, y) - network2.QuadraticCost.fn(a - step, y)) / 2e-6
            assert numeric == pytest.approx(analytic[i, 0], rel=1e-8)
            numeric = (network2.QuadraticCost.fn(a, y + step) - network2.QuadraticCost.fn(a, y - step)) / 2e-6
            assert numeric == pytest.approx(-analytic[i, 0], rel=1e-8)

    @pytest.mark.parametrize("module", [network, network2])
    def test_backprop_against_differences(self, module):
        cost = network2.QuadraticCost if module is network else network2.CrossEntropyCost
        net = module.Network([4, 5, 3])
        (x, y), *_ = columns(1, 4, 3)[0]
        nabla_b, nabla_w = net.backprop(x, y)
        for numbers, gradient in zip([*net.biases, *net.weights], [*nabla_b, *nabla_w], strict=True):
            for place in np.ndindex(numbers.shape):
                kept = numbers[place]
                numbers[place] = kept + 1e-5
                above = cost.fn(net.feedforward(x), y)
                numbers[place] = kept - 1e-5
                below = cost.fn(net.feedforward(x), y)
                numbers[place] = kept
                assert (above - below) / 2e-5 == pytest.approx(gradient[place], abs=1e-9)


class TestCosts:
    a, y, z = np.array([[0.8], [0.3]]), np.array([[1.0], [0.0]]), np.log(np.array([[0.8], [0.3]]) / [[0.2], [0.7]])

    def test_by_hand(self):
        assert network2.QuadraticCost.fn(self.a, self.y) == pytest.approx(0.5 * (0.04 + 0.09))
        assert network2.CrossEntropyCost.fn(self.a, self.y) == pytest.approx(-np.log(0.8) - np.log(0.7))
        np.testing.assert_allclose(
            network2.QuadraticCost.delta(self.z, self.a, self.y), [[-0.2 * 0.16], [0.3 * 0.21]], rtol=1e-12
        )
        np.testing.assert_allclose(network2.CrossEntropyCost.delta(self.z, self.a, self.y), [[-0.2], [0.3]])

    def test_an_output_that_is_exactly_right_or_wrong(self):
        one, zero = np.ones((1, 1)), np.zeros((1, 1))
        assert network2.CrossEntropyCost.fn(one, one) == 0
        assert network2.CrossEntropyCost.fn(zero, zero) == 0
        assert network2.CrossEntropyCost.fn(zero, one) == np.finfo(float).max

    def test_sigmoid(self):
        assert network.sigmoid(0) == 0.5
        assert network.sigmoid_prime(0) == 0.25
        np.testing.assert_allclose(network2.sigmoid(np.array([[1.0], [-1.0]])), [[0.7310585786], [0.2689414214]])
        with np.errstate(over="raise", invalid="raise", divide="raise"):
            assert network.sigmoid(np.array([-1000.0, 1000.0])).tolist() == [0, 1]

    def test_total_cost_keeps_its_digits_where_outputs_saturate(self):
        net = network2.Network([1, 1])
        net.weights, net.biases = [np.array([[100.0]])], [np.zeros((1, 1))]
        assert net.total_cost([(np.ones((1, 1)), np.zeros((1, 1)))], 0.0) == pytest.approx(100)

    def test_vectorized_result(self):
        assert network2.vectorized_result(7).tolist() == [[0.0]] * 7 + [[1.0]] + [[0.0]] * 2

    def test_numbers_that_run_away(self):
        """eta·lmbda/n = 30: each update multiplies the weights by −29."""
        training, _ = columns(10)
        net = network2.Network([6, 3])
        with pytest.raises(bl.Diverged, match="epoch "):
            net.SGD(training, 1000, 10, 30.0, lmbda=10.0)
        assert np.isfinite(parameters(net)).all()
        with pytest.raises(bl.Diverged, match="epoch "):
            network2.Network([784, 10]).SGD(columns(20, 784, 10)[0], 1000, 10, 30.0, lmbda=100.0)


class TestFiles:
    def test_the_books_form(self, tmp_path):
        seeded()
        net = network2.Network([3, 4, 2], cost=network2.QuadraticCost)
        net.save(tmp_path / "net.json")
        record = json.loads((tmp_path / "net.json").read_text())
        assert record == {
            "sizes": [3, 4, 2],
            "weights": [w.tolist() for w in net.weights],
            "biases": [b.tolist() for b in net.biases],
            "cost": "QuadraticCost",
        }
        again = network2.load(str(tmp_path / "net.json"))
        assert np.array_equal(parameters(again), parameters(net))
        assert again.cost is network2.QuadraticCost
        assert [f.name for f in tmp_path.iterdir()] == ["net.json"]
        training, _ = columns(10, 3, 2)
        again.SGD(training, 1, 5, 1.0)

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "[1, 2]",
            "{}",
            "[" * 100_000,
            '{"sizes": [2, 1], "weights": [[[1, 2]]], "biases": [[[0]]], "cost": "os"}',
            '{"sizes": [2, 1], "weights": [[[1, 2]]], "biases": [[[0]]], "cost": "Network"}',
            '{"sizes": [2, 1], "weights": [[[1, 2]]], "biases": [[[0]]], "cost": ["QuadraticCost"]}',
            '{"sizes": [2, 1], "weights": [[[1, 2, 3]]], "biases": [[[0]]], "cost": "QuadraticCost"}',
            '{"sizes": [2, 1], "weights": [[[1, 2]]], "biases": [[0]], "cost": "QuadraticCost"}',
            '{"sizes": [2, 1], "weights": [[[1, 2]]], "biases": [[[0, 1]]], "cost": "QuadraticCost"}',
            '{"sizes": [2, 1], "weights": [[[1, NaN]]], "biases": [[[0]]], "cost": "QuadraticCost"}',
            '{"sizes": [2, 1], "weights": [[[1, "two"]]], "biases": [[[0]]], "cost": "QuadraticCost"}',
            '{"sizes": [2], "weights": [], "biases": [], "cost": "QuadraticCost"}',
            '{"sizes": [9999999999, 999999999], "weights": [], "biases": [], "cost": "QuadraticCost"}',
        ],
    )
    def test_other_files(self, tmp_path, text):
        (tmp_path / "odd.json").write_text(text)
        with pytest.raises(bl.BadInput, match=re.escape("odd.json")) as error:
            network2.load(tmp_path / "odd.json")
        assert "\n" not in str(error.value)

    def test_places(self, tmp_path):
        with pytest.raises(bl.BadInput, match="can't be read"):
            network2.load(tmp_path / "none.json")
        with pytest.raises(bl.BadInput, match="can't be written"):
            network2.Network([2, 1]).save(tmp_path / "none" / "net.json")


class TestMNIST:
    @pytest.fixture
    def folder(self, tmp_path, monkeypatch):
        """A data set of MNIST's sizes: image i has the digit i % 10, and pixels that are bytes made from i."""
        for name, count in (("train", 60_000), ("t10k", 10_000)):
            images = (np.arange(count * 784, dtype=np.uint32) * 7 % 256).astype(np.uint8)
            labels = (np.arange(count) % 10).astype(np.uint8)
            (tmp_path / f"{name}-images-idx3-ubyte").write_bytes(
                struct.pack(">IIII", 0x803, count, 28, 28) + images.tobytes()
            )
            (tmp_path / f"{name}-labels-idx1-ubyte").write_bytes(struct.pack(">II", 0x801, count) + labels.tobytes())
        monkeypatch.setenv("BACKLIT_DATA", str(tmp_path))
        return tmp_path

    def test_the_books_division(self, folder):
        parts = mnist_loader.load_data()
        assert [(x.shape, y.shape) for x, y in parts] == [((n, 784), (n,)) for n in (50_000, 10_000, 10_000)]
        for (x, y), first in zip(parts, (0, 50_000, 0), strict=True):
            assert x.dtype == np.float32
            expected = np.arange(first * 784, (first + len(x)) * 784, dtype=np.uint32) * 7 % 256 / 256
            assert np.array_equal(x.ravel(), expected)
            assert np.array_equal(y, np.arange(first, first + len(x)) % 10)

    def test_the_wrapper(self, folder):
        training, validation, test = mnist_loader.load_data_wrapper()
        assert [type(part) for part in (training, validation, test)] == [list] * 3
        assert [len(part) for part in (training, validation, test)] == [50_000, 10_000, 10_000]
        x, y = training[123]
        assert x.shape == (784, 1)
        assert y.tolist() == [[float(i == 3)] for i in range(10)]
        assert (x[:, 0] * 256).tolist() == [(123 * 784 + i) * 7 % 256 for i in range(784)]
        x, y = validation[4]
        assert x.shape == (784, 1)
        assert (y, type(y)) == (4, int)
        assert test[9][1] == 9
        net = network.Network([784, 10])
        assert net.evaluate(test) == sum(int(np.argmax(net.feedforward(x)) == y) for x, y in test[:200]) + net.evaluate(
            test[200:]
        )


def test_the_programs_of_the_page_run(monkeypatch, tmp_path):
    """The Python of docs/book.md in its order, as one session, on a tenth of a percent of the images."""
    training, digits = columns(50, 784, 10)
    monkeypatch.setattr(mnist_loader, "load_data_wrapper", lambda: (training, digits, digits))
    monkeypatch.chdir(tmp_path)
    page = (Path(__file__).parent.parent / "docs" / "book.md").read_text("utf-8")
    programs = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert len(programs) == 4
    session: dict[str, object] = {}
    for program in programs:
        exec(compile(program, "docs/book.md", "exec"), session)
    assert (tmp_path / "digits.json").exists()
    assert len(session["evaluation_accuracy"]) == 30
