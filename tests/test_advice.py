"""Advice: the range test, batch sizes, and which examples matter. Numbers come from formulas and planted cases."""

from __future__ import annotations

import json
import re
import zlib

import numpy as np
import pytest
from ladder import NETWORKS, batch, far, states
from refusals import refusal
from requires import requires

import backlit as bl
from backlit.advice.batch_size import BatchAdvice, BatchSize, Trial, _check
from backlit.advice.example_page import png
from backlit.advice.example_tables import times
from backlit.advice.examples import Example
from backlit.advice.tables import duration
from backlit.state import Layers


def matplotlib_here() -> None:
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        requires("matplotlib", False)


def digits(rows: int = 400):
    """(network, Dataset) of some of the bundled digits, pixels from 0 to 1."""
    data = bl.load_dataset("digits").take(np.arange(rows))
    x = (np.asarray(data.x) / 16).astype(np.float32)
    net = bl.Network([64, 20, 10], hidden="relu", output="softmax", loss="cross_entropy")
    return net, bl.Dataset(x, data.y, classes=range(10))


# --- the range test -------------------------------------------------------------------------------------------------

LINE = bl.Network([1, 1], loss="mean_squared_error")
POINTS = np.array([[1.0], [2.0], [3.0], [4.0]]), np.array([[3.0], [6.0], [9.0], [12.0]])


def test_the_rate_runs_away_where_theory_says():
    """Gradient descent on a quadratic bowl diverges at 2 over the largest curvature, and not below."""
    x = np.hstack([POINTS[0], np.ones((4, 1))])
    limit = 2 / np.linalg.eigvalsh(2 * x.T @ x / 4).max()
    state = bl.state_from(LINE, [np.zeros((1, 1))])
    test = bl.range_test(LINE, bl.SGD(1.0), POINTS, state=state, batch_size=4, steps=2000)
    assert limit < test.diverging < 2 * limit
    assert 0 < test.suggestion <= test.diverging / 4 and test.steepest < limit
    assert len(test.rates) == len(test.losses) == len(test.smooth)
    assert test.losses[0] == pytest.approx(np.mean(POINTS[1] ** 2))


@pytest.mark.parametrize("opt", [bl.SGD(0.1), bl.SGD(0.1, momentum=0.9), bl.Adam(0.1)], ids=str)
def test_the_state_is_left_as_it_was_and_the_same_again(opt):
    net, data = digits()
    state = bl.initial_state(net, opt, seed=4)
    parameters, slots = state.parameters.copy(), {name: slot.copy() for name, slot in state.slots.items()}
    test = bl.range_test(net, opt, data, state=state, batch_size=16)
    assert np.array_equal(state.parameters, parameters) and state.step == 0
    assert all(np.array_equal(state.slots[name], slot) for name, slot in slots.items())
    again = bl.range_test(net, opt, data, state=state, batch_size=16)
    assert test.record() == again.record()
    assert 1e-5 < max(test.steepest, test.suggestion) < test.diverging < 100


def test_the_suggested_rate_trains():
    net, data = digits()
    test = bl.range_test(net, bl.SGD(1.0), data)
    _, history = bl.fit(net, bl.SGD(test.suggestion), data, epochs=20, progress=False)
    _, slow = bl.fit(net, bl.SGD(test.suggestion / 30), data, epochs=20, progress=False)
    assert history.loss[-1] < 0.2 < slow.loss[-1]


def test_what_a_range_test_refuses():
    net, data = digits()
    assert "lowest < highest" in refusal(bl.range_test, net, bl.SGD(1.0), data, lowest=1.0, highest=0.1)
    assert "steps" in refusal(bl.range_test, net, bl.SGD(1.0), data, steps=3)
    assert "batch_size" in refusal(bl.range_test, net, bl.SGD(1.0), data, batch_size=0)
    assert "bl.SGD" in refusal(bl.range_test, net, "sgd", data)
    flat = bl.Network([1, 1], loss="quadratic")
    nothing = bl.state_from(flat, [np.zeros((1, 1))])
    assert "at no rate" in refusal(bl.range_test, flat, bl.SGD(1.0), (np.ones((4, 1)), np.zeros((4, 1))), state=nothing)
    huge = np.full((20, 1), 1e30, np.float32), np.ones((20, 1), np.float32)
    assert "scale the inputs" in refusal(bl.range_test, LINE, bl.SGD(1.0), huge, batch_size=2)


# --- how large a batch ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def advice():
    net, data = digits()
    return bl.advise_batch_size(net, data, epochs=12)


def test_the_table_holds_the_formulas(advice):
    assert [size.batch for size in advice.sizes] == [1, 2, 4, 8, 16, 32, 64, 128, 256]  # 400 rows
    assert advice.updates == 12 * 13
    for size in advice.sizes:
        assert size.progress == pytest.approx(1 / (1 + advice.noise_scale / size.batch))
        assert size.total == pytest.approx(size.updates * size.batch * size.seconds)
        assert 0 < size.seconds < 1e-2
        # (S/S_min − 1)(E/E_min − 1) = 1 (McCandlish et al., 2018, equation 2.11), with E = S·B
        least_updates = advice.sizes[0].updates / (1 + advice.noise_scale)
        s, e = size.updates / least_updates, size.updates * size.batch / (least_updates * advice.noise_scale)
        assert (s - 1) * (e - 1) == pytest.approx(1)
    trained = next(size for size in advice.sizes if size.batch == advice.batch)
    assert trained.updates == pytest.approx(advice.updates)
    assert advice.fastest.total == min(size.total for size in advice.sizes)
    assert advice.loss < advice.check_loss < advice.loss_before
    assert len(advice.noise_curve) == len(advice.noise_step) and advice.noise_step[-1] == advice.updates


def test_the_check_compares_equal_rows(advice):
    small, large, same = advice.check
    assert large.batch == same.batch == 2 * small.batch and 2 * large.updates == small.updates
    assert same.rate == small.rate < large.rate < 2 * small.rate
    assert all(loss < advice.check_loss for loss in small.losses)
    assert 0.5 < large.expected < 1 and same.expected is None


def test_advice_shows_itself(advice):
    text = str(advice)
    assert "guidance for plain gradient descent (SGD), not a law" in text
    assert "Shortest on this machine" in text and "formula expects" in text
    assert advice._repr_html_().startswith("<pre") and json.dumps(advice.record())


def test_a_noise_too_large_and_a_check_that_diverged_are_said():
    sizes = tuple(BatchSize(b, 0.0, 1e-6, 100.0 / b, 1e-4) for b in (1, 2))
    away, same = Trial(2, 0.2, 50, (0.4, float("inf")), 1.0), Trial(2, 0.1, 50, (0.5, 0.4), None)
    check = (Trial(1, 0.1, 100, (0.4, 0.5), 1.0), away, same)
    shown = str(BatchAdvice(LINE, 2, 2, 0.1, 50, 2.0, 1.0, [50], [float("inf")], float("inf"), sizes, 1.2, check))
    assert "too large to be measured" in shown and "diverged" in shown
    weak = (Trial(1, 0.1, 100, (1.1, 1.3), 1.0), Trial(2, 0.2, 50, (1.0, 1.3), 1.0), same)
    shown = str(BatchAdvice(LINE, 2, 2, 0.1, 50, 2.0, 1.0, [50], [20.0], 20.0, sizes, 1.2, weak))
    assert "tells nothing" in shown
    steep = (Trial(1, 0.1, 100, (1.0, 1.01), 1.0), Trial(2, 0.2, 50, (1.3, 1.3), 1.0), same)
    shown = str(BatchAdvice(LINE, 2, 2, 0.1, 50, 2.0, 1.0, [50], [20.0], 20.0, sizes, 1.2, steep))
    assert "curvature limits" in shown


def test_tiny_data_and_other_mistakes():
    net, data = digits()
    assert "4 rows" in refusal(bl.advise_batch_size, LINE, (np.ones((3, 1)), np.ones((3, 1))))
    assert "bl.Network" in refusal(bl.advise_batch_size, "net", data)
    assert "at least 2 rows" in refusal(bl.advise_batch_size, net, data, batch_size=1, rate=0.1)
    found = bl.advise_batch_size(LINE, POINTS, rate=0.01, epochs=40)
    assert [size.batch for size in found.sizes] == [1, 2, 4]
    with pytest.raises(bl.Diverged):
        bl.advise_batch_size(LINE, POINTS, rate=10.0, epochs=400)


def test_durations():
    cases = {3.1e-7: "310 ns", 4.21e-6: "4.21 µs", 1.3: "1.3 s", 300: "5 min"}
    assert {seconds: duration(seconds) for seconds in cases} == cases


# --- which examples matter ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["softmax-cross_entropy", "hidden-tanh", "one-unit", "mixed", "sum"])
def test_a_report_lists_the_longest_gradients(name):
    net = NETWORKS[name]
    x, y, _ = batch(net, 40)
    state = states(net, bl.SGD(1.0), "float64")
    report = bl.example_report(net, state, (x, y), largest=5)
    trace = bl.step(net, bl.SGD(1.0), state, x, y)
    norms = np.linalg.norm(trace.example_gradients.flat, axis=1)
    order = np.argsort(-norms)[:5]
    assert [example.row for example in report.largest] == order.tolist()
    assert [example.norm for example in report.largest] == pytest.approx(norms[order])
    assert [example.loss for example in report.largest] == pytest.approx(trace.example_losses[order])
    assert [example.times for example in report.largest] == pytest.approx(norms[order] / np.median(norms))
    by_loss = bl.example_report(net, state, (x, y), largest=3, by="loss")
    assert [example.row for example in by_loss.largest] == np.argsort(-trace.example_losses)[:3].tolist()


def test_agreement_is_the_cosine_of_the_classes_mean_gradients():
    net = NETWORKS["softmax-cross_entropy"]
    x, _, s = batch(net, 60)
    labels = np.array(["red", "green", "blue"])[np.random.default_rng(0).integers(0, 3, 60)]
    data = bl.Dataset(x, labels, s)
    state = states(net, bl.SGD(1.0), "float64")
    report = bl.example_report(net, state, data)
    trace = bl.step(net, bl.SGD(1.0), state, x, data.targets(net))
    g = trace.example_gradients.flat
    means = np.array([np.average(g[labels == name], axis=0, weights=s[labels == name]) for name in data.classes])
    unit = means / np.linalg.norm(means, axis=1, keepdims=True)
    assert far(report.agreement, unit @ unit.T) < 1e-12
    assert [summary.name for summary in report.classes] == ["blue", "green", "red"]
    assert sum(summary.rows for summary in report.classes) == 60
    square = (g[labels == "red"] ** 2).sum(1).mean()
    assert report.classes[2].norm == pytest.approx(np.sqrt(square))


def test_planted_idle_units_are_named():
    net = bl.Network([2, 4, 3, 2], hidden=["relu", "sigmoid"], output="softmax", loss="cross_entropy")
    state = bl.initial_state(net, seed=0, dtype="float64")
    flat = state.parameters.copy()
    layers = Layers(net.sizes, flat)
    layers[0].b[2] = -100.0  # unit 3 lets nothing through
    layers[1].b[0] = 50.0  # unit 1 lies flat
    x = np.random.default_rng(0).random((5000, 2))  # more than one block
    report = bl.example_report(net, bl.State(net.sizes, flat), (x, np.arange(5000) % 2))
    assert [units[:3] for units in report.idle] == [(1, "dead", (3,)), (2, "saturated", (1,))]
    assert "layer 1: 1 of 4 units is dead on all rows: 3" in report.table()
    x[4999] = 1e4
    layers[0].W[:, 2] = 1.0  # the last row alone wakes it
    report = bl.example_report(net, bl.State(net.sizes, flat), (x, np.arange(5000) % 2))
    assert all(units.layer != 1 for units in report.idle)


def test_exchanged_labels_are_found():
    net, data = digits(1000)
    random = np.random.default_rng(0)
    rows = random.choice(1000, 40, replace=False)
    labels = np.array(data.y)
    labels[rows] = (labels[rows] + random.integers(1, 10, 40)) % 10
    wrong = bl.Dataset(data.x, labels, classes=range(10))
    state, _ = bl.fit(net, bl.Adam(0.003), wrong, epochs=8, progress=False)
    report = bl.example_report(net, state, wrong, largest=30)
    assert len({example.row for example in report.largest} & set(rows.tolist())) >= 27
    assert report.largest[0].label == labels[report.largest[0].row]
    assert report.images.shape == (30, 8, 8)


def test_reports_of_numbers_and_of_one_output():
    net = bl.Network([3, 5, 1], hidden="tanh")
    x, y, _ = batch(net, 50)
    report = bl.example_report(net, bl.initial_state(net), (x, y[:, 0]))
    assert report.classes == () and report.agreement is None and report.images is None
    assert isinstance(report.largest[0].label, float) and "longest gradients" in str(report)
    several = bl.Network([3, 5, 2], hidden="tanh")
    assert len(bl.example_report(several, bl.initial_state(several), batch(several, 50)[:2]).largest[0].label) == 2
    one = bl.Network([3, 5, 1], output="sigmoid", loss="binary_cross_entropy")
    report = bl.example_report(one, bl.initial_state(one), bl.Dataset(x, np.where(y[:, 0] > 0, "yes", "no")))
    assert {example.label for example in report.largest} == {"yes", "no"} and report.agreement.shape == (2, 2)
    assert "square pictures" in refusal(report.picture)


def test_what_a_report_refuses():
    net, data = digits()
    state = bl.initial_state(net)
    assert "largest" in refusal(bl.example_report, net, state, data, largest=0)
    assert "by must be" in refusal(bl.example_report, net, state, data, by="size")
    assert "inputs" in refusal(bl.example_report, net, state, (np.ones((4, 3)), np.arange(4)))
    away = bl.State(net.sizes, np.full(net.n_parameters, 1e30, np.float32))
    assert "not finite" in refusal(bl.example_report, net, away, data)


def test_a_page_is_self_contained_and_escapes_what_comes_from_data():
    net, data = digits(300)
    names = ["<script>alert(1)</script>", '"onload=x', "&amp;", *map(str, range(7))]
    hostile = bl.Dataset(data.x, np.array(names)[np.asarray(data.y)])
    page = bl.example_report(net, bl.initial_state(net), hostile).html()
    assert "<script" not in page and '"onload=x' not in page and "&lt;script&gt;" in page
    sources = re.findall(r"""(?:src|href|url)[=(]["']?([^"'>]*)""", re.sub("Content-Security-Policy[^>]*", "", page))
    assert len(sources) == 50 and all(source.startswith("data:image/png;base64,") for source in sources)
    assert page.count("<img ") == 50 and page.count('alt="row ') == 50
    assert "Content-Security-Policy" in page
    assert bl.example_report(net, bl.initial_state(net), hostile)._repr_html_().startswith('<main class="examples">')


def test_many_times_the_median_are_a_whole_number():
    cases = {0.1234: "0.123", 2.345: "2.35", 996.4: "996", 999.6: "1,000", 1823.4: "1,823", float("nan"): "–"}
    assert {value: times(Example(0, 1, 1, 0.0, 0.0, value)) for value in cases} == cases


def test_a_picture_in_the_page_is_a_png():
    image = np.array([[0.0, 0.5], [1.0, 0.0], [0.0, 0.0]])
    content = png(image)
    assert content.startswith(b"\x89PNG\r\n\x1a\n") and content[16:24] == b"\0\0\0\2\0\0\0\3"
    start = content.index(b"IDAT") + 4
    lines = zlib.decompressobj().decompress(content[start:])
    assert lines == bytes([0, 255, 128, 0, 0, 255, 0, 255, 255])
    assert png(np.zeros((2, 2)))
    try:
        from matplotlib.image import imread
    except ImportError:
        return
    import io

    assert far(imread(io.BytesIO(content)), 1 - image) < 0.003


def test_pictures(advice):
    matplotlib_here()
    net, data = digits()
    assert len(advice.picture().axes) == 4
    legend = bl.range_test(net, bl.SGD(1.0), data).picture().axes[0].get_legend()
    assert any("begin here" in text.get_text() for text in legend.texts)
    figure = bl.example_report(net, bl.initial_state(net), data, largest=12).picture()
    assert sum(bool(axis.images) for axis in figure.axes) == 12


def test_losses_of_a_report_are_those_of_evaluate():
    net, data = digits()
    state = bl.initial_state(net)
    losses = bl.example_report(net, state, data).losses
    assert losses.mean() == pytest.approx(bl.evaluate(net, state, data)[0], rel=1e-5)


def test_a_network_may_name_a_class_that_no_row_has():
    net = bl.Network([4, 3], output="softmax", loss="cross_entropy")
    state = bl.state_from(net, [np.zeros((4, 3))], [[0.0, 0.0, 5.0]])  # always the third class
    x = np.random.default_rng(0).normal(size=(20, 4))
    report = bl.example_report(net, state, (x, np.eye(3)[np.arange(20) % 2]), largest=20)
    assert {example.prediction for example in report.largest} == {2}
    assert [summary.rows for summary in report.classes] == [10, 10, 0]


def test_the_sides_of_one_output_are_those_of_the_score():
    """Targets of −1 and 1 meet at 0: what evaluate counts as right, the report reads as the label."""
    net = bl.Network([1, 1], output="tanh", loss="quadratic")
    state = bl.state_from(net, [[[0.2]]])  # outputs well below ½
    x = np.linspace(-2, 2, 40)[:, None]
    data = bl.Dataset(x, np.where(x[:, 0] > 0, 1, -1))
    report = bl.example_report(net, state, data, largest=40)
    assert bl.evaluate(net, state, data)[1] == 1.0
    assert all(example.label == example.prediction for example in report.largest)


def test_what_a_report_needs_of_a_memory_map_is_not_all_of_it(tmp_path, monkeypatch):
    """Some rows of a file are read block by block, and give what the same rows in memory give."""
    from backlit.data.mapped_rows import RowView

    net, data = digits(300)
    np.save(tmp_path / "x.npy", data.x)
    rows = np.arange(0, 300, 2)
    mapped = bl.Dataset(np.load(tmp_path / "x.npy", mmap_mode="r"), data.y, classes=range(10)).take(rows)
    state = bl.initial_state(net)
    expected = bl.example_report(net, state, data.take(rows), largest=7)
    monkeypatch.setattr(RowView, "__array__", None)
    found = bl.example_report(net, state, mapped, largest=7)
    assert np.array_equal(found.norms, expected.norms) and found.largest == expected.largest
    assert np.array_equal(found.images, expected.images)


def test_what_the_advice_refuses():
    net, data = digits(40)
    for name, values in (("batch_size", ("a", 0, 2.5, True)), ("epochs", (0, 2.5, "3", True))):
        for value in values:
            told = refusal(bl.advise_batch_size, net, data, rate=0.1, **{name: value})
            assert f"{name} must be a whole number" in told
    assert "state must be" in refusal(bl.advise_batch_size, net, data, state=3)
    assert "lowest < highest" in refusal(bl.range_test, net, bl.SGD(1.0), data, lowest="a")


def test_the_check_of_summed_batches_is_that_of_mean_ones():
    """A sum over B rows is B times their mean: the same steps come at a rate B times smaller."""
    net, data = digits()
    total = bl.Network(net.sizes, hidden="relu", output="softmax", loss="cross_entropy", reduction="sum")
    state = bl.initial_state(net)
    mean, summed = (_check(n, data, state, data, 8, 0.4, 20.0, seed=0) for n in (net, total))
    for one, other, size in zip(mean[:2], summed[:2], (8, 16), strict=True):
        assert other.rate == pytest.approx(one.rate / size)
        assert other.losses == pytest.approx(one.losses, rel=1e-3)


def test_a_loss_near_zero_that_ripples_has_not_run_away():
    """Rows of very different sizes: the smoothed difference to the beginning passes below 0; nothing doubles there."""
    random = np.random.default_rng(0)
    x = random.normal(size=(400, 3)) * np.exp(2.0 * random.normal(size=(400, 1)))
    y = x @ [[1.0], [2.0], [-1.0]]
    net = bl.Network([3, 1])
    test = bl.range_test(net, bl.Adam(0.1), (x, y), batch_size=32, seed=3)
    first = bl.evaluate(net, bl.initial_state(net, seed=3), (x, y))[0]
    assert test.smooth[-1] > test.smooth.min() + 0.05 * first, "it has risen where it ends"
