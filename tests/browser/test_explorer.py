"""The explorer in a real browser, compared with the numbers of the Trace itself."""

from __future__ import annotations

import base64
import re
from pathlib import Path

import numpy as np
import pytest
from requires import requires

import backlit as bl
from backlit.explanations.inside_loop import inside_the_loop, once
from backlit.explanations.wording import parameter_at

AXE = Path(__file__).parents[2] / "node_modules" / "axe-core" / "axe.min.js"


def watched(net, opt, data, watch, dtype="float64", batch_size=4, **options):
    state = bl.initial_state(net, dtype=dtype, seed=3)
    run = bl.train(net, opt, data, batch_size=batch_size, epochs=3, state=state, watch=watch, **options)
    return [record for progress in run for record in progress.watched]


def small(opt=None, loss="squared_error", weights=None):
    random = np.random.default_rng(0)
    x = random.standard_normal((12, 2))
    data = bl.Dataset(x, x[:, :1] * x[:, 1:], weights, columns=["width", "height"])
    net = bl.Network([2, 3, 1], hidden="sigmoid", loss=loss)
    return watched(net, opt or bl.SGD(0.5), data, [0, 1, 5])


@pytest.fixture(scope="session")
def steps():
    return small()


def go(page, k, step=0):
    page.locator("#step").evaluate(
        "(slider, n) => { slider.value = n; slider.dispatchEvent(new Event('input')); }", step
    )
    page.locator("#example").evaluate(
        "(slider, n) => { slider.value = n; slider.dispatchEvent(new Event('input')); }", k
    )


def pick(page, layer, source, unit):
    page.select_option("#layer", index=layer)
    last = page.locator("#source option").count() - 1
    page.select_option("#source", index=last if source is None else source)
    page.select_option("#unit", index=unit)


def values(page, selector):
    found = page.locator(selector).evaluate_all("cells => cells.map(cell => cell.dataset.value)")
    return [float(value) for value in found]


def ledger_sums(page):
    """The running totals that the ledger shows, one per example that has been through."""
    return values(page, "#ledger tr.example td.sum[data-value]")


def parameters(net):
    for layer, (fan_in, fan_out) in enumerate(zip(net.sizes, net.sizes[1:], strict=False)):
        for unit in range(fan_out):
            yield from ((layer, source, unit) for source in [*range(fan_in), None])


def entry(layers, layer, source, unit):
    return layers[layer].b[..., unit] if source is None else layers[layer].W[..., source, unit]


@pytest.mark.parametrize(
    "run",
    [
        lambda: small(),
        lambda: small(bl.Adam(0.1, l2=0.2)),
        lambda: small(bl.SGD(0.3, momentum=0.9, l2=0.1), weights=np.linspace(0.2, 2, 12)),
    ],
    ids=["sgd", "adam-l2", "momentum-weighted"],
)
def test_the_sum_grows_the_parameters_stand_still_and_move_once(open_page, run):
    """At every example, against the Trace's own numbers."""
    steps = run()
    page = open_page(bl.explorer(steps))
    for n, record in enumerate(steps[:2]):
        trace = record.trace()
        for at in list(parameters(trace.network))[n::3]:
            go(page, 0, n)
            pick(page, *at)
            before, after = (float(entry(state.layers, *at)) for state in (trace.before, trace.after))
            for k in range(5):
                if k:
                    page.click("#example-on")
                assert ledger_sums(page) == pytest.approx(
                    [float(entry(trace.running_sum(i), *at)) for i in range(1, k + 1)], rel=1e-12, abs=1e-15
                )
                assert values(page, "#weight-now") == [before]
            page.click("#example-on")
            assert values(page, "#weight-now") == [after]
            closing = values(page, "#ledger tr:not(.example):not(.still) td.sum")
            expected = [float(entry(trace.update, *at)), after]
            reduced = float(entry(trace.running_sum(4), *at)) / trace.sample_weight.sum()
            l2 = [float(entry(trace.gradient, *at))] if trace.optimizer.l2 and at[1] is not None else []
            assert closing == pytest.approx([reduced, *l2, *expected], rel=1e-12, abs=1e-16)


def test_every_weight_drawn_stands_still_until_the_last(open_page, steps):
    page = open_page(bl.explorer(steps))
    trace = steps[0].trace()
    drawn = "#matrices table.parameter td"
    for k in range(5):
        go(page, k)
        assert values(page, drawn) == [entry(trace.before.layers, 0, i, j) for i in (0, 1, None) for j in range(3)]
    go(page, 5)
    assert values(page, drawn) == [entry(trace.after.layers, 0, i, j) for i in (0, 1, None) for j in range(3)]


@pytest.mark.parametrize(
    ("sizes", "hidden", "output", "loss"),
    [
        ([2, 3, 1], "sigmoid", "linear", "squared_error"),
        ([3, 4, 2], "tanh", "sigmoid", "mean_squared_error"),
        ([3, 4, 5, 3], "relu", "softmax", "cross_entropy"),
        ([2, 3, 1, 1], "gelu", "sigmoid", "binary_cross_entropy"),
        ([2, 2, 2], "leaky_relu", "exp", "poisson"),
        ([2, 2, 3], "softplus", "softmax", "quadratic"),
        ([2, 2, 2], "linear", "tanh", "huber"),
    ],
)
def test_the_factors_of_a_clicked_edge_are_those_of_explain(open_page, sizes, hidden, output, loss):
    net = bl.Network(sizes, hidden, output, loss)
    random = np.random.default_rng(1)
    y = np.eye(max(sizes[-1], 2))[random.integers(0, max(sizes[-1], 2), 3)][:, : sizes[-1]]
    trace = bl.step(
        net, bl.SGD(0.1), bl.initial_state(net, dtype="float64", init="nielsen"), random.random((3, sizes[0])), y
    )
    page = open_page(bl.explorer(trace))
    go(page, 2)
    for layer in range(len(sizes) - 1):
        for source, unit in [(0, 0), (sizes[layer] - 1, sizes[layer + 1] - 1)]:
            page.locator(f"[data-edge='{layer}:{source}:{unit}']").dispatch_event("click")
            factors = bl.explain(trace, layer + 1, source, unit, example=1)
            assert values(page, "#factors .chain > li") == pytest.approx([t.value for t in factors.terms], rel=1e-12)
            symbols = page.locator("#factors .chain > li").evaluate_all(
                "cards => cards.map(card => card.dataset.symbol)"
            )
            assert symbols == [t.symbol for t in factors.terms]
            assert values(page, "#factors .result") == pytest.approx([factors.product], rel=1e-12, abs=1e-300)
            shown = page.locator("#factors .formula").all_inner_texts()
            for text, term in zip(shown, factors.terms, strict=True):
                wanted = f"{term.formula} = {term.filled}" if "paths" not in term.filled else term.formula
                assert text.replace("−", "-") in (wanted.replace("−", "-"), term.formula.replace("−", "-"))


def test_gathered_paths_open_and_lead_on(open_page):
    net = bl.Network([2, 3, 4], "sigmoid", "softmax", "cross_entropy")
    random = np.random.default_rng(1)
    state = bl.initial_state(net, dtype="float64")
    trace = bl.step(net, bl.SGD(0.1), state, random.random((3, 2)), np.eye(4)[[0, 3, 2]])
    page = open_page(bl.explorer(trace))
    go(page, 3)
    pick(page, 0, 1, 2)
    page.click("#factors summary")
    paths = bl.explain(trace, 1, 1, 2, example=2).terms[0].open()
    shown = values(page, "#factors details td:last-child")
    assert shown == pytest.approx(sorted((path.product for path in paths), key=lambda p: -abs(p)), rel=1e-12)
    page.locator("#factors details button").first.click()
    assert page.input_value("#layer") == "1"
    assert page.input_value("#source") == "2"


def test_inside_the_loop_is_another_result(open_page, steps):
    page = open_page(bl.explorer(steps))
    page.check("#inside")
    trace = steps[0].trace()
    path, end = inside_the_loop(trace), once(trace)
    state = trace.before
    for i in range(4):  # the same, step by step, through the public door
        x, y = trace.x[i : i + 1], trace.y[i : i + 1]
        state = bl.step(trace.network, bl.SGD(0.5 / 4), state, x, y).after
        np.testing.assert_allclose(path[i + 1], state.parameters, rtol=0, atol=1e-15)
    pick(page, 0, 1, 2)
    p = 1 * 3 + 2
    for k in range(5):
        go(page, k)
        assert values(page, "#weight-now") == [path[k][p]]
    go(page, 5)
    assert values(page, "#ledger tr.gap td.inside") == pytest.approx([path[-1][p] - end[p]], rel=1e-12)
    largest = np.abs(path[-1] - end).max()
    assert largest > 0
    assert f"The largest difference to the one update is {largest:.3g}" in page.inner_text("#said")


def test_difference_quotients_stand_beside(open_page, steps):
    page = open_page(bl.explorer(steps))
    for at in [(0, 0, 0), (0, 1, 2), (1, 2, 0), (1, None, 0)]:
        pick(page, *at)
        (text,) = [t for t in page.locator("#ledger .note-cell").all_inner_texts() if "differences" in t]
        shown = float(text.split(": ")[1].replace("−", "-"))
        assert shown == pytest.approx(bl.explain(steps[0], at[0] + 1, at[1], at[2]).product, rel=1e-5)


HOSTILE = ["</script><script>window.hacked = 1</script>", "<img src=x onerror='window.hacked=1'>", "a\"b'c&amp;\u2028"]


def test_hostile_names_are_shown_as_text(open_page):
    random = np.random.default_rng(0)
    x, labels = random.random((12, 3)), [HOSTILE[i % 3] for i in range(12)]
    data = bl.Dataset(x, labels, columns=HOSTILE)
    net = bl.Network([3, 2, 3], "tanh", "softmax", "cross_entropy")
    html = bl.explorer(watched(net, bl.SGD(0.1), data, [0]))
    assert "<script>window" not in html
    assert "<img" not in html
    page = open_page(html)
    for k in range(6):
        go(page, k)
    page.click("#numbers summary")
    assert page.evaluate("window.hacked") is None
    assert page.locator("img").count() == 0
    assert page.locator("script").count() == 2
    options = page.locator("#source option").all_text_contents()
    assert options == [*HOSTILE, "bias"]
    page.select_option("#layer", index=1)
    assert page.locator("#unit option").all_text_contents() == sorted(HOSTILE)


def test_keys_choose_a_weight(open_page, steps):
    page = open_page(bl.explorer(steps))
    pick(page, 0, 0, 0)
    page.focus("#graph")
    for key, place in [
        ("ArrowDown", ("0", "1", "0")),
        ("ArrowRight", ("0", "1", "1")),
        ("ArrowDown", ("0", "bias", "1")),
        ("PageDown", ("1", "0", "0")),
    ]:
        page.keyboard.press(key)
        assert tuple(page.input_value(f"#{name}") for name in ("layer", "source", "unit")) == place
    page.focus("#example")
    page.keyboard.press("End")
    assert "moves, once" in page.inner_text("#said")


@pytest.fixture(scope="session")
def large():
    random = np.random.default_rng(0)
    data = random.random((300, 784)), random.integers(0, 10, 300)
    net = bl.Network([784, 30, 10], "sigmoid", "softmax", "cross_entropy")
    return watched(net, bl.SGD(1.0, momentum=0.9), data, range(0, 80, 4), "float32", batch_size=10)


def test_a_large_page_keeps_its_limits(open_page, large):
    """784-30-10, batches of 10, 20 watched steps: at most 5 MB, opened within a second, sums as the Trace has them."""
    assert len(large) == 20
    html = bl.explorer(large)
    assert len(html.encode()) <= 5_000_000
    page = open_page(html)
    opened = page.evaluate("performance.now()")
    assert page.evaluate("page.steps.length") == 20
    trace = large[7].trace()
    for at in [(0, 391, 17), (1, 20, 3), (0, None, 5)]:
        go(page, 10, 7)
        pick(page, *at)
        expected = [float(entry(trace.running_sum(i), *at)) for i in range(1, 11)]
        assert ledger_sums(page) == pytest.approx(expected, rel=1e-5, abs=1e-7)
        assert values(page, "#weight-now") == [entry(trace.before.layers, *at)]
        go(page, 11, 7)
        assert values(page, "#weight-now") == [entry(trace.after.layers, *at)]
        rows = "#ledger tr:not(.example):not(.still) td.sum, #ledger tr.still ~ tr.still td.sum"
        reduced, update, old, new = values(page, rows)
        assert reduced == pytest.approx(float(entry(trace.gradient, *at)), rel=1e-5, abs=1e-8)
        found = [update, old, new]
        assert found == [entry(part, *at) for part in (trace.update, trace.before.layers, trace.after.layers)]
    assert "200 parameters with the largest gradient" in page.inner_text("#notes")
    assert opened < 3000, "a second on a free core; tests share theirs"


@pytest.mark.parametrize("opt", [bl.SGD(0.3, l2=0.01), bl.SGD(0.3, l2=0.5, l2_over="batch"), bl.Adam(0.01, l2=0.02)])
def test_the_ledger_of_every_edge_is_whole(open_page, opt):
    """830 parameters, of which 200 are listed: the others, too, from the sum to the new value, in steps that follow."""
    random = np.random.default_rng(0)
    net = bl.Network([30, 20, 10], "tanh", "sigmoid", "mean_squared_error")
    steps = watched(net, opt, (random.random((12, 30)), random.random((12, 10))), [0, 1, 5])
    page = open_page(bl.explorer(steps))
    for number, step in enumerate(steps):
        trace = step.trace()
        listed = set(page.evaluate(f"page.steps[{number}].listed"))
        assert len(listed) in (200, 201), "and the one that the page begins with"
        sizes = np.abs(trace.gradient.flat)
        for parameter in [p for p in np.argsort(sizes) if p not in listed][:: len(sizes) // 5]:
            layer, source, unit = parameter_at(net, int(parameter))
            pick(page, layer - 1, source, unit)
            go(page, 5, number)
            rows = values(page, "#ledger tr:not(.example):not(.still) td.sum, #ledger tr.still ~ tr.still td.sum")
            total = trace.running_sum(4).flat[parameter] / 4
            l2 = [trace.gradient.flat[parameter]] if source is not None else []
            ends = [trace.before.parameters[parameter], trace.after.parameters[parameter]]
            assert rows == pytest.approx([total, *l2, trace.update.flat[parameter], *ends], rel=1e-9, abs=1e-16)


def test_it_begins_with_a_weight_that_teaches(open_page, large):
    """Of the first layer the weight with the largest gradient, of those to which the first example adds something."""
    trace = large[0].trace()
    page = open_page(bl.explorer(large[:3]))
    place = tuple(int(page.input_value(f"#{name}")) for name in ("layer", "source", "unit"))
    sizes = np.abs(trace.gradient[0].W) * (trace.example_gradients[0].W[0] != 0)
    assert place == (0, *np.unravel_index(sizes.argmax(), sizes.shape))
    go(page, 1, 2)
    assert "central differences" in page.inner_text("#ledger"), "which has its quotient in every step"
    assert page.inner_text("h1") == "3 training steps, opened"
    assert f"--weight 1:{place[1]}:{place[2]}" in page.inner_text("#weight-where")
    assert open_page(bl.explorer(large[0])).inner_text("h1") == "One training step, opened"


def test_what_does_not_fit_is_left_out_and_said(open_page):
    net = bl.Network([3, 4, 2])
    random = np.random.default_rng(0)
    x, y = random.random((100, 3)), random.random((100, 2))
    trace = bl.step(net, bl.SGD(0.1), bl.initial_state(net, dtype="float64"), x, y)
    page = open_page(bl.explorer(trace))
    assert "The first 64 examples of each batch are shown one by one; the sum counts all" in page.inner_text("#notes")
    pick(page, 0, 1, 2)
    go(page, 65)
    rest, reduced = values(page, "#ledger tr:not(.example):not(.still) td.sum")[:2]
    assert rest == pytest.approx(float((trace.running_sum(100)[0].W - trace.running_sum(64)[0].W)[1, 2]), rel=1e-9)
    assert reduced == pytest.approx(trace.gradient[0].W[1, 2], rel=1e-12)


def test_above_the_limits_only_the_largest_can_be_opened(open_page, monkeypatch):
    monkeypatch.setattr("backlit.explanations.explorer_page.NUMBERS", 3000)
    random = np.random.default_rng(0)
    net = bl.Network([30, 20, 10])
    steps = watched(net, bl.SGD(0.1), (random.random((12, 30)), random.random((12, 10))), [0, 1, 2])
    page = open_page(bl.explorer(steps))
    notes = page.inner_text("#notes")
    assert "2 of 3 steps don't fit and are left out: step 1, 2." in notes
    assert "830 parameters: only the 200 with the largest gradient" in notes
    trace = steps[0].trace()
    sizes = np.abs(trace.gradient[1].W)
    source, unit = (int(i) for i in np.unravel_index(sizes.argmax(), sizes.shape))
    pick(page, 1, source, unit)
    go(page, 4)
    assert ledger_sums(page)[-1] == pytest.approx(float(trace.running_sum(4)[1].W[source, unit]), rel=1e-12)
    assert values(page, "#weight-now") == [trace.before.layers[1].W[source, unit]]
    monkeypatch.setattr("backlit.explanations.explorer_page.NUMBERS", 10)
    with pytest.raises(bl.BadInput, match="a page holds 10"):
        bl.explorer(steps)


@pytest.mark.slow
def test_twenty_steps_fit_even_where_every_bit_is_new(open_page):
    """Random inputs, long steps, none after another: nothing compresses, so the last bits are left away."""
    random = np.random.default_rng(0)
    net = bl.Network([784, 30, 10], "sigmoid", "sigmoid")
    data = random.random((300, 784)), random.integers(0, 10, 300)
    steps = watched(net, bl.SGD(30.0), data, range(0, 80, 4), "float32", batch_size=10)
    html = bl.explorer(steps)
    assert len(html.encode()) <= 5_000_000
    page = open_page(html)
    assert page.evaluate("page.steps.length") == 20
    go(page, 10, 19)
    pick(page, 0, 391, 17)
    before = steps[19].before.layers[0].W[391, 17]
    assert values(page, "#weight-now") == pytest.approx([before], rel=1e-6)


def test_pictures_are_drawn_as_pictures(open_page):
    side = np.linspace(0, 1, 8)
    pictures = np.stack([np.outer(side**p, side) for p in range(1, 7)]).reshape(6, 64)
    net = bl.Network([64, 5, 2])
    trace = bl.step(net, bl.SGD(0.1), bl.initial_state(net), pictures, np.zeros((6, 2)))
    page = open_page(bl.explorer(trace))
    assert page.evaluate("page.image") == [8, 8]
    assert page.locator("#graph .pixel").count() == 64
    noise = np.random.default_rng(0).random((6, 64))
    other = bl.explorer(bl.step(net, bl.SGD(0.1), bl.initial_state(net), noise, np.zeros((6, 2))))
    assert '"image":null' in other


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 1280), ("light", 360)])
def test_it_fits_and_axe_has_no_serious_finding(open_page, steps, scheme, width):
    requires("axe", AXE.exists(), "npm install --no-save axe-core")
    page = open_page(bl.explorer(steps), color_scheme=scheme, viewport={"width": width, "height": 800})
    page.click("#numbers summary")
    for k, inside in [(3, False), (5, True)]:
        go(page, k)
        page.set_checked("#inside", inside)
        page.wait_for_timeout(600)  # until lines have stopped moving
        page.evaluate(AXE.read_text())
        found = page.evaluate("axe.run()")["violations"]
        serious = [v for v in found if v["impact"] in ("serious", "critical")]
        assert not serious, [(v["id"], [n["html"][:120] for n in v["nodes"][:3]]) for v in serious]
        assert page.evaluate("document.documentElement.scrollWidth") <= width, "nothing is pushed off the page"


def test_readable_at_200_percent(open_page, steps):
    page = open_page(bl.explorer(steps), viewport={"width": 640, "height": 400}, device_scale_factor=2)
    assert page.evaluate("document.documentElement.scrollWidth") <= 640


def test_theme_follows_the_system_and_the_button(open_page, steps):
    page = open_page(bl.explorer(steps), color_scheme="dark")
    background = "getComputedStyle(document.documentElement).backgroundColor"
    dark = page.evaluate(background)
    page.click("#theme")
    light = page.evaluate(background)
    assert [int(re.findall(r"\d+", color)[0]) > 128 for color in (dark, light)] == [False, True]


def test_a_step_that_leaves_the_finite_numbers_is_shown(open_page):
    net = bl.Network([1, 2, 1], loss="squared_error")
    state = bl.state_from(net, [[[1e200, 1.0]], [[1e200], [1.0]]])
    with np.errstate(all="ignore"):
        trace = bl.step(net, bl.SGD(1.0), state, [[1.0], [2.0]], [[0.0], [0.0]])
        page = open_page(bl.explorer(trace))
        assert bl.explain(trace, 1, 0, 0).text()
    for k in range(4):
        go(page, k)
    assert "–" in page.inner_text("#ledger")


def test_one_file_and_nothing_from_outside(steps):
    html = bl.explorer(steps)
    assert not re.findall(r"""(?:src|href)=["'](?!#)""", html)
    assert "http" not in html.replace("http-equiv", "").replace("http://www.w3.org/2000/svg", "")
    assert base64.b64encode(b"\x1f\x8b")[:2].decode() in html


def test_what_cannot_be_shown_is_refused():
    with pytest.raises(bl.BadInput, match="at least one Trace"):
        bl.explorer([])
    with pytest.raises(bl.BadInput, match="a Trace is wanted"):
        bl.explorer(["no trace"])
    one, two = (bl.Network([2, n]) for n in (1, 2))
    traces = [bl.step(net, bl.SGD(0.1), bl.initial_state(net), [[1, 2]], [[0] * net.sizes[1]]) for net in (one, two)]
    with pytest.raises(bl.BadInput, match="one network"):
        bl.explorer(traces)
