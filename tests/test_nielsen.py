"""The book's modules: SGD against the formulas, what is kept between calls, the worked cases, the costs."""

from __future__ import annotations

import copy
import gc
import pickle
import random
import re
import weakref

import numpy as np
import pytest
from nielsen_formulas import Formulas, close, columns, parameters, seeded

import backlit as bl
from backlit.nielsen import network, network2


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
