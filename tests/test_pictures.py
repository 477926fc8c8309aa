"""Pictures: what is drawn are the numbers of the run, and units in trouble are called by name."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from refusals import refusal
from requires import requires

import backlit as bl
from backlit.explanations import pictures

try:
    import matplotlib  # noqa: F401

    present = True
except ImportError:
    present = False
requires("matplotlib", present, 'pip install "backlit[plot]"')


def history(**lists):
    return bl.History(epoch=[1, 2, 3], loss=[3.0, 2.0, 1.0], rate=[0.1] * 3, **lists)


def lines(axis):
    return [list(line.get_ydata()) for line in axis.lines]


def test_curves_draw_the_lists_and_mark_the_best_epoch():
    figure = pictures.curves(history(validation_loss=[3.5, 1.5, 2.5], validation_score=[0.1, 0.9, 0.5]))
    left, right = figure.axes
    assert lines(left)[:2] == [[3.0, 2.0, 1.0], [3.5, 1.5, 2.5]]
    assert list(left.lines[2].get_xdata()) == [2, 2]
    assert lines(right)[0] == [0.1, 0.9, 0.5]
    (only,) = pictures.curves(history()).axes
    assert list(only.lines[1].get_xdata()) == [3, 3]


def test_a_notebook_shows_a_picture_without_pyplot():
    assert pictures.curves(history())._repr_png_().startswith(b"\x89PNG")
    assert list(pictures.curves(history(), mark=1).axes[0].lines[1].get_xdata()) == [1, 1]
    assert "epochs 1 to 3; got 7" in refusal(pictures.curves, history(), mark=7)
    assert "no finished epoch" in refusal(pictures.curves, bl.History())


def test_first_layer_as_images():
    net = bl.Network([12, 5, 1])
    state = bl.initial_state(net)
    figure = pictures.first_layer(state, shape=(3, 4))
    images = [axis.images[0].get_array() for axis in figure.axes if axis.images]
    assert len(images) == 5
    assert np.array_equal(images[2], state.layers[0].W[:, 2].reshape(3, 4))
    assert "12 inputs don't fill an image of 3 × 3" in refusal(pictures.first_layer, state)


def test_decision_regions_answer_as_predict_does():
    net = bl.Network([2, 3], output="softmax", loss="cross_entropy")
    state = bl.initial_state(net)
    random = np.random.default_rng(0)
    data = bl.Dataset(random.random((20, 2)), random.integers(0, 3, 20), columns=["cost in $", "$x$"])
    figure = pictures.decision_regions(net, state, data)
    image = figure.axes[0].images[0]
    left, right, bottom, top = image.get_extent()
    corners = [[left, bottom], [right, bottom], [left, top], [right, top]]
    answers = bl.predict(net, state, corners).argmax(axis=1)
    assert [image.get_array()[i, j] for i, j in [(0, 0), (0, -1), (-1, 0), (-1, -1)]] == answers.tolist()
    figure.draw_without_rendering()
    wide = bl.Network([3, 1])
    assert "2 inputs is wanted; this one has 3" in refusal(
        pictures.decision_regions, wide, bl.initial_state(wide), (np.ones((4, 3)), np.ones((4, 1)))
    )


def test_dead_and_saturated_units_are_named():
    net = bl.Network([2, 3, 2, 1], hidden=["relu", "sigmoid"])
    W = [[1.0, -1.0, 1.0], [1.0, -1.0, 0.5]]
    state = bl.state_from(net, [W, [[0.1, 50.0], [0.1, 0.0], [0.1, 50.0]], [[1.0], [1.0]]])
    x = np.random.default_rng(0).uniform(0.5, 1, (6, 2))
    trace = bl.step(net, bl.SGD(0.1), state, x, np.zeros((6, 1)))
    assert pictures.unit_findings([trace]) == [
        "layer 1: unit 2: dead: z ≤ 0 on all 6 examples of 1 step",
        "layer 2: unit 2: saturated: nearly no slope on all 6 examples of 1 step",
    ]
    figure = pictures.layers_over_time([trace])
    assert "layer 1: unit 2: dead" in figure.get_suptitle()
    assert lines(figure.axes[0])[1] == [float(np.abs(trace.layers[1].a).mean())]
    assert lines(figure.axes[1])[2] == [pytest.approx(np.sqrt((trace.gradient[2].W ** 2).mean()))]


def test_without_matplotlib_a_sentence_names_the_extra():
    code = (
        "import sys; sys.modules['matplotlib.figure'] = None\n"
        "import backlit as bl\nfrom backlit.explanations import pictures\n"
        "try: pictures.curves(bl.History(epoch=[1], loss=[1.0]))\n"
        "except bl.BadInput as error: print(error)\n"
    )
    printed = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert 'pip install "backlit[plot]"' in printed
