"""The book's modules as readers use them: methods of their own, and shapes."""

from __future__ import annotations

import copy
import random
import re
import warnings

import numpy as np
import pytest
from nielsen_formulas import Formulas, close, columns, parameters, seeded

import backlit as bl
from backlit.nielsen import network, network2


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


class TestGradientsOfReaders:
    """bl.diagnose and bl.check_gradients of a reader's object: the mistake is named, and a right exercise is right."""

    pairs = columns(6)[0]
    x, y = [a for a, _ in pairs], [b for _, b in pairs]

    class Own(network.Network):
        """backprop as the book has it, with lines that a test exchanges."""

        lines = ("self.cost_derivative(a[-1], y) * prime(zs[-1])", "(self.weights[k + 1].T @ delta) * prime(zs[k])")
        answer = "nabla_b, nabla_w"

        def backprop(self, x, y):
            names = {"self": self, "y": y, "prime": network.sigmoid_prime, "a": [x], "zs": [], "nabla_b": [],
                     "nabla_w": []}  # fmt: skip
            for w, b in zip(self.weights, self.biases, strict=True):
                names["zs"].append(w @ names["a"][-1] + b)
                names["a"].append(network.sigmoid(names["zs"][-1]))
            for k in reversed(range(len(self.weights))):
                names["k"] = k
                names["delta"] = eval(self.lines[k + 1 < len(self.weights)], names)
                names["nabla_b"].insert(0, names["delta"])
                names["nabla_w"].insert(0, names["delta"] @ names["a"][k].T)
            return eval(self.answer, names)

    def diagnosed(self, **changed):
        kind = type("Theirs", (self.Own,), changed)
        return bl.diagnose(kind([6, 5, 3]), x=self.x, y=self.y)

    def test_the_books_own_is_right(self):
        assert self.diagnosed().correct
        assert bl.check_gradients(self.Own([6, 5, 3]), x=self.x, y=self.y).passed

    @pytest.mark.parametrize(
        ("line", "new", "name", "layer"),
        [
            (0, "self.cost_derivative(a[-1], y)", "missing_derivative", 2),
            (0, "-self.cost_derivative(a[-1], y) * prime(zs[-1])", "sign", None),
            (1, "(self.weights[k + 1].T @ delta)", "missing_derivative", 1),
            (1, "(self.weights[k + 1].T @ delta) * prime(a[k + 1])", "derivative_of_activation", 1),
            (1, "(self.weights[k + 1].T @ delta) * prime(zs[k]) ** 2", "double_derivative", 1),
        ],
    )
    def test_a_planted_mistake_is_named(self, line, new, name, layer):
        lines = [*self.Own.lines]
        lines[line] = new
        first = self.diagnosed(lines=tuple(lines)).suspects[0]
        assert (first.name, first.layer) == (name, layer)

    @pytest.mark.parametrize(
        ("answer", "remark"),
        [("nabla_w, nabla_b", "book's order"), ("[b.ravel() for b in nabla_b], nabla_w", "columns (n, 1)")],
    )
    def test_another_form_is_said(self, answer, remark):
        why = self.diagnosed(answer=answer)
        assert why.correct
        assert any(remark in r for r in why.remarks)

    def test_a_cost_of_their_own_is_recognised_by_its_slope(self):
        assert self.diagnosed(cost_derivative=lambda self, a, y: 2 * (a - y)).correct
        first = self.diagnosed(cost_derivative=lambda self, a, y: y - a).suspects[0]
        assert first.name == "sign"

    def test_a_softmax_layer_is_recognised_by_its_outputs(self):
        def feedforward(self, a):
            hidden = network.sigmoid(self.weights[0] @ a + self.biases[0])
            e = np.exp(self.weights[1] @ hidden + self.biases[1])
            return e / e.sum()

        softmax = "(lambda e: e / e.sum())(__import__('numpy').exp(zs[-1])) - y"
        assert self.diagnosed(feedforward=feedforward, lines=(softmax, self.Own.lines[1])).correct
