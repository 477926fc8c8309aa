"""``explain``: the factors of one weight, held to the worked case, to chain.py's gradients and to differences."""

from __future__ import annotations

import math
import re
import time

import ladder
import numpy as np
import pytest
from refusals import refusal
from requires import requires

import backlit as bl
from backlit.explanations.wording import ACTIVATION_SLOPES, LOSS_SLOPES
from backlit.network import HIDDEN, LOSSES, NEEDS_OUTPUT, OUTPUT


def case_6():
    net = bl.Network([2, 3, 1], hidden="sigmoid", loss="squared_error")
    state = bl.state_from(net, [[[0.8, 0.4, 0.3], [0.2, 0.9, 0.5]], [[0.3], [0.5], [0.9]]])
    return bl.step(net, bl.SGD(1.0), state, [[1.0, 1.0]], [[0.0]])


def random_networks(count: int = 30):
    """1 to 4 layers with weights; every output with every loss it goes with, and every hidden activation."""
    random = np.random.default_rng(5)
    pairs = ladder.pairs()
    for n in range(count):
        sizes = [int(size) for size in random.integers(1, 6, 1 + n % 4 + 1)]
        output, loss = pairs[n % len(pairs)]
        sizes[-1] = max(sizes[-1], 2 if output == "softmax" else 1)
        hidden = [HIDDEN[(n + k) % len(HIDDEN)] for k in range(len(sizes) - 2)]
        yield bl.Network(sizes, hidden, output, loss, reduction=("mean", "sum")[n % 2])


def traced(net: bl.Network, rows: int = 3, l2: float = 0.0, weighted: bool = True) -> bl.Trace:
    x, y, s = ladder.batch(net, rows, seed=2)
    opt = bl.SGD(0.1, l2=l2)
    return bl.step(net, opt, ladder.states(net, opt, "float64"), x, y, sample_weight=s if weighted else None)


def parameters(net: bl.Network):
    """(layer, source, unit) of every weight and bias."""
    for layer, (fan_in, fan_out) in enumerate(zip(net.sizes, net.sizes[1:], strict=False), 1):
        for unit in range(fan_out):
            yield from ((layer, source, unit) for source in [*range(fan_in), None])


def near(value: float, expected: float) -> None:
    assert value == pytest.approx(expected, rel=1e-10, abs=1e-300)


def test_the_worked_case_has_exactly_its_four_factors():
    factors = bl.explain(case_6(), layer=1, source=0, unit=0, example=0)
    expected = [2.4664241963, 0.3, 0.1966119332, 1.0]
    assert [term.value for term in factors.terms] == pytest.approx(expected, abs=6e-11)
    assert factors.product == pytest.approx(0.1454785288, abs=6e-11)
    assert factors.difference == pytest.approx(0.1454785288, rel=1e-8)
    symbols = ["∂L/∂a⁽²⁾₁", "∂z⁽²⁾₁/∂a⁽¹⁾₁", "∂a⁽¹⁾₁/∂z⁽¹⁾₁", "∂z⁽¹⁾₁/∂w⁽¹⁾₁₁"]
    assert [term.symbol for term in factors.terms] == symbols
    assert [term.filled for term in factors.terms] == ["2·(1.23321 − 0)", "0.3", "0.731059·(1 − 0.731059)", "1"]
    assert factors.where == "layer 1 · W[0, 0] · from input 1 to unit 1"


@pytest.mark.parametrize("net", list(random_networks()), ids=lambda net: f"{net.sizes}-{net.output}-{net.loss}")
def test_the_product_is_the_gradient_of_every_parameter(net):
    trace = traced(net)
    s = trace.sample_weight
    for layer, source, unit in parameters(net):
        entries = [g[layer - 1] for g in (trace.example_gradients, trace.gradient)]
        at = (unit,) if source is None else (source, unit)
        each, reduced = (g.b[..., *at] if source is None else g.W[..., *at] for g in entries)
        for example in range(3):
            near(bl.explain(trace, layer, source, unit, example).product, each[example])
        whole = bl.explain(trace, layer, source, unit)
        assert whole.product == pytest.approx(reduced, rel=1e-10, abs=1e-13)
        over = s.sum() if net.reduction == "mean" else 1.0
        assert [term.value for term in whole.terms] == pytest.approx(s * each / over, rel=1e-10)


@pytest.mark.parametrize("net", list(random_networks())[:16], ids=lambda net: f"{net.sizes}-{net.output}-{net.loss}")
def test_every_gathered_factor_opens_into_paths_that_add_up_to_it(net):
    trace = traced(net)
    opened = []

    def open_all(term):
        if paths := term.open():
            opened.append(term)
            assert math.fsum(path.product for path in paths) == pytest.approx(term.value, rel=1e-9, abs=1e-14)
            for path in paths:
                for part in path.terms:
                    open_all(part)

    for layer, source, unit in parameters(net):
        for term in bl.explain(trace, layer, source, unit, 1).terms:
            open_all(term)
    wide = any(size > 1 for size in net.sizes[2:]) or (net.output == "softmax" and net.loss not in NEEDS_OUTPUT)
    assert bool(opened) == wide


@pytest.mark.parametrize("net", list(random_networks())[:16], ids=lambda net: f"{net.sizes}-{net.output}-{net.loss}")
def test_the_difference_quotient_agrees(net):
    trace = traced(net)
    for example in (0, None):
        found = [bl.explain(trace, *at, example) for at in parameters(net)]
        products, differences = ([getattr(f, name) for f in found] for name in ("product", "difference"))
        assert ladder.far(products, differences) < 1e-5


def test_the_batch_leaves_l2_out():
    net = bl.Network([3, 2], loss="quadratic")
    with_l2, without = traced(net, l2=0.7), traced(net)
    assert bl.explain(with_l2, 1, 1, 1).product == bl.explain(without, 1, 1, 1).product
    assert with_l2.gradient[0].W[1, 1] != without.gradient[0].W[1, 1]


def test_a_bias_is_explained_too():
    trace = case_6()
    for source in (None, "bias"):
        factors = bl.explain(trace, 1, source, 2, example=0)
        assert factors.terms[-1].value == 1
        near(factors.product, trace.example_gradients[0].b[0, 2])
    assert factors.where == "layer 1 · b[2] · the bias of unit 3"


def evaluated(filled: str) -> float:
    """What the text with the numbers filled in amounts to: the formulas once more, from the text alone."""
    normal = lambda z: 0.5 * (1 + math.erf(z / math.sqrt(2)))  # noqa: E731
    density = lambda z: math.exp(-z * z / 2) / math.sqrt(2 * math.pi)  # noqa: E731
    functions = {"N": normal, "d": density, "s": lambda z: 1 / (1 + math.exp(-z)), "clip": np.clip, "sign": np.sign}
    text = filled.split(", for")[0]
    for shown, meant in [("·", "*"), ("−", "-"), ("²", "**2"), ("Φ", "N"), ("φ", "d"), ("σ", "s")]:
        text = text.replace(shown, meant)
    assert re.fullmatch(r"[\w\s.,()*/+-]+", text), filled
    return float(eval(text, {"__builtins__": {}}, functions))


def test_formulas_with_their_numbers_amount_to_their_values():
    assert {*HIDDEN, *OUTPUT} - {"softmax"} == set(ACTIVATION_SLOPES)
    assert set(LOSSES) == set(LOSS_SLOPES)
    seen = set()
    for net in [*random_networks(), *ladder.NETWORKS.values()]:
        if net.n_parameters > 300:
            continue
        trace = traced(net, rows=5)
        for at in list(parameters(net))[::5]:
            for example in range(5):
                for term in bl.explain(trace, *at, example).terms:
                    if not term.open():
                        assert evaluated(term.filled) == pytest.approx(term.value, rel=2e-4, abs=2e-5), term
                        seen.add(term.formula)
    assert len(seen) > 12


@pytest.mark.parametrize("name", ["softmax-cross_entropy", "sigmoid-binary_cross_entropy", "exp-poisson"])
def test_losses_joined_with_their_output_say_why_the_slope_is_so_short(name):
    (first, *others) = bl.explain(traced(ladder.NETWORKS[name]), 2, 0, 1, example=0).terms
    assert first.symbol == "∂L/∂z⁽²⁾₂"
    assert first.formula == "a − y"
    assert "no separate factor ∂a/∂z follows" in first.words
    assert len(others) == 1


def test_cross_entropy_of_targets_that_do_not_add_up_to_one():
    net = bl.Network([2, 3], output="softmax", loss="cross_entropy")
    state = bl.initial_state(net, dtype="float64")
    trace = bl.step(net, bl.SGD(0.1), state, [[1.0, -1.0]], [[0.5, 0.25, 0.0]])
    factors = bl.explain(trace, 1, 0, 1, example=0)
    assert evaluated(factors.terms[0].filled) == pytest.approx(factors.terms[0].value, rel=1e-4)
    near(factors.product, trace.example_gradients[0].W[0, 0, 1])


def test_text_opens_as_deep_as_asked():
    trace = traced(bl.Network([2, 3, 4, 3], "tanh", "softmax", "cross_entropy"))
    factors = bl.explain(trace, 1, 0, 1, example=2)
    lines = [len(factors.text(depth).splitlines()) for depth in range(4)]
    assert lines == sorted(set(lines))
    assert "4 paths" in factors.text()
    assert "central differences" in factors.text()


@pytest.mark.parametrize("example", [0, None])
def test_latex_can_be_set(example):
    try:
        from matplotlib.mathtext import MathTextParser
    except ImportError:
        requires("matplotlib", False, 'pip install "backlit[plot]"')
    for net in random_networks(12):
        latex = bl.explain(traced(net), len(net.sizes) - 1, None, 0, example).latex()
        assert MathTextParser("agg").parse(f"${latex}$").depth is not None


def test_what_does_not_fit_is_refused():
    trace = case_6()
    assert "layer must be a whole number from 1 to 2" in refusal(bl.explain, trace, 0)
    assert "source must be a whole number from 0 to 1, or 'bias'; got 2" in refusal(bl.explain, trace, 1, 2)
    assert "unit must be a whole number from 0 to 2; got -1" in refusal(bl.explain, trace, 1, 0, -1)
    assert "example must be" in refusal(bl.explain, trace, example=1)
    assert "example must be" in refusal(bl.explain, trace, example=True)
    assert "Trace is wanted" in refusal(bl.explain, "a trace")


def test_a_watched_step_is_explained_by_its_replay():
    net = bl.Network([2, 3, 1])
    data = np.ones((4, 2)), np.ones((4, 1))
    (watched,) = [w for p in bl.train(net, bl.SGD(0.1), data, batch_size=2, epochs=1, watch=[1]) for w in p.watched]
    assert bl.explain(watched, 1, 0, 0).product == bl.explain(watched.trace(), 1, 0, 0).product


def test_a_batch_of_one_is_one_example():
    net = bl.Network([2, 1])
    told = str(bl.explain(bl.step(net, bl.SGD(0.1), bl.initial_state(net), np.ones((1, 2)), np.ones((1, 1)))))
    assert told.splitlines()[0].endswith("the mean over 1 example")


class TestLargeBatches:
    """Of more than 16 examples those with the largest shares are told, in the order of the batch, with the gaps."""

    # loss ½(w·x)² with w = 1: the gradient of an example is x², its share x²/n
    X = np.sqrt([1.0, 9.0, *[2.0] * 18, 50.0, 3.0, 60.0, *[1.0] * 9, 70.0])

    def shares(self, x):
        net = bl.Network([1, 1])
        state = bl.state_from(net, [[[1.0]]])
        return bl.explain(bl.step(net, bl.SGD(1.0), state, x[:, None], np.zeros((len(x), 1))), 1, 0, 0)

    def test_the_sum_goes_on_over_the_gaps(self):
        text = self.shares(self.X).text()
        rows = [line.split() for line in text.splitlines() if re.match(r" *(\d+ \[|… \d)", line)]
        assert len(rows) <= 16
        told = {int(row[0]) for row in rows if row[0] != "…"}
        assert {2, 21, 22, 23, 33} <= told
        assert sum(int(row[1]) for row in rows if row[0] == "…") + len(told) == 33
        assert float(rows[-1][-1]) == pytest.approx((10 + 36 + 113 + 9 + 70) / 33, rel=1e-5)
        shares = [float(row[-2]) for row in rows]
        assert [float(row[-1]) for row in rows] == pytest.approx(np.cumsum(shares), rel=1e-4)
        (sentence,) = re.findall(r"The (\d+) largest shares of 33, and (\d+) beside them; all of them with", text)
        largest, beside = map(int, sentence)
        assert largest + beside == len(told) and beside > 0
        gradients = dict(enumerate(self.X**2, 1))
        assert set(sorted(gradients, key=gradients.get, reverse=True)[:largest]) <= told

    def test_without_a_gap_of_one_there_are_none_beside_them(self):
        text = self.shares(np.sqrt([*[1.0] * 12, *range(20, 28), *[1.0] * 12])).text()
        assert re.search(r"The \d+ largest shares of 32; all of them with", text)

    def test_the_time_grows_with_the_batch_and_no_faster(self):
        from types import SimpleNamespace

        from backlit.explanations.chain_text import _largest

        values = np.random.default_rng(0).standard_normal(200_000)
        started = time.process_time()
        shown, _ = _largest(SimpleNamespace(terms=[SimpleNamespace(value=v) for v in values]))
        assert time.process_time() - started < 5  # where every row looks at all rows, it would be an hour
        assert len(shown) <= 16

    def test_opened_by_a_level_all_are_told(self):
        text = self.shares(self.X).text(1)
        assert len(re.findall(r"^ *\d+ \[\d+\] ", text, re.MULTILINE)) == 33
        assert "more" not in text

    @pytest.mark.parametrize("n", [1, 2, 16])
    def test_a_small_batch_is_told_in_full(self, n):
        text = self.shares(self.X[:n]).text()
        assert len(re.findall(r"^ *\d+ \[\d+\] ", text, re.MULTILINE)) == n
        assert "largest shares" not in text

    @pytest.mark.parametrize("seed", range(20))
    def test_never_more_than_16_rows_and_no_gap_of_one(self, seed):
        random = np.random.default_rng(seed)
        text = self.shares(random.standard_normal(random.integers(17, 80))).text()
        rows = [line.split() for line in text.splitlines() if re.match(r" *(\d+ \[|… \d)", line)]
        assert len(rows) <= 16
        assert ["…", "1", "more"] not in [row[:3] for row in rows]


def test_the_formula_of_a_batch_shows_sample_weights_where_there_are_some():
    net = bl.Network([2, 3, 1], hidden="tanh")
    assert "s_i" not in bl.explain(traced(net, weighted=False), 1, 0, 0).latex()
    assert "s_i" in bl.explain(traced(net), 1, 0, 0).latex()
