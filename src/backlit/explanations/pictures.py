"""Pictures of a run: the only room that imports matplotlib (extra ``plot``), on first use. No training, no files.

Every function gives a matplotlib Figure: a notebook shows it, ``figure.savefig("name.png")`` writes it.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from io import BytesIO
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from ..data import Dataset
from ..engines import forward
from ..errors import BadInput
from ..network import Network
from ..state import Floats, State, check_state
from ..trace import Trace
from .factors import Replayed, as_trace
from .units import idle

if TYPE_CHECKING:
    from matplotlib.figure import Figure  # type: ignore[import-not-found,unused-ignore]

FORWARD, BACKWARD, MARK = "#1a5fb4", "#ad4a06", "#6d3aa8"
GRID = 200  # points to a side of the decision regions
UNITS = 100  # first-layer units drawn at most


class Curves(Protocol):
    """What ``fit`` gives as history."""

    epoch: list[int]
    loss: list[float]
    validation_loss: list[float]
    validation_score: list[float]


def curves(history: Curves, mark: int | None = None) -> Figure:
    """Loss, and validation loss and score if there are any, over the epochs.

    mark: the epoch whose state was chosen, from 1. By default the one with the smallest validation loss is marked,
          without validation the last.
    """
    if not history.epoch:
        raise BadInput("curves: the history has no finished epoch; train for one at least.")
    scored = bool(history.validation_score)
    figure = new_figure(width=9 if scored else 6, height=3.6)
    axes = figure.subplots(1, 2 if scored else 1, squeeze=False)[0]
    axes[0].plot(history.epoch, history.loss, color=FORWARD, marker=".", label="training (mean over each epoch)")
    best = len(history.epoch) - 1
    if history.validation_loss:
        epochs = history.epoch[: len(history.validation_loss)]
        axes[0].plot(epochs, history.validation_loss, color=BACKWARD, marker=".", label="validation")
        best = int(np.nanargmin(history.validation_loss))
    marked = history.epoch[best] if mark is None else mark
    if marked not in history.epoch:
        raise BadInput(
            f"curves: mark must be one of the epochs {history.epoch[0]} to {history.epoch[-1]}; got {mark!r}."
        )
    axes[0].set_ylabel("loss")
    if scored:
        axes[1].plot(
            history.epoch[: len(history.validation_score)], history.validation_score, color=BACKWARD, marker="."
        )
        axes[1].set_ylabel("validation score")
    why = "chosen" if mark is not None else "smallest validation loss" if history.validation_loss else "the last"
    for axis in axes:
        at = [curve.get_ydata()[marked - curve.get_xdata()[0]] for curve in axis.lines if marked in curve.get_xdata()]
        axis.axvline(marked, color=MARK, linestyle="--", linewidth=1, label=f"epoch {marked}: {why}")
        axis.scatter([marked] * len(at), at, s=60, facecolors="none", edgecolors=MARK, zorder=3)
        axis.set_xlabel("epoch")
        axis.xaxis.get_major_locator().set_params(integer=True)
        axis.legend(fontsize=8)
    return figure


def first_layer(state: State, shape: tuple[int, int] | None = None) -> Figure:
    """The weights into each unit of the first layer as an image: blue above 0, orange below.

    shape: rows and columns of the images; a square by default. At most 100 units are drawn, those with the largest
    weights first.
    """
    W = state.layers[0].W  # (n_in, units)
    side = int(W.shape[0] ** 0.5)
    rows, columns = (side, side) if shape is None else shape
    if rows * columns != W.shape[0]:
        raise BadInput(
            f"first_layer: {W.shape[0]} inputs don't fill an image of {rows} × {columns}. Give shape=(rows, columns)."
        )
    order = np.argsort(-np.abs(W).max(axis=0), kind="stable")[:UNITS] if W.shape[1] > UNITS else np.arange(W.shape[1])
    across = int(np.ceil(np.sqrt(len(order))))
    down = -(-len(order) // across)
    figure = new_figure(width=min(10, 1.1 * across), height=min(10, 1.2 * down) + 0.3)
    most = float(np.abs(W).max()) or 1.0
    for place, axis in enumerate(figure.subplots(down, across, squeeze=False).flat):
        axis.axis("off")
        if place < len(order):
            unit = int(order[place])
            axis.imshow(W[:, unit].reshape(rows, columns), cmap="PuOr", vmin=-most, vmax=most)
            axis.set_title(f"unit {unit + 1}", fontsize=7, pad=2)
    figure.suptitle(f"W of layer 1, {W.shape}: what leads to each unit", fontsize=9)
    return figure


def decision_regions(net: Network, state: State, data: Any) -> Figure:
    """For 2 inputs: what the network answers over the plane, with the rows of ``data``; the class, or the number."""
    check_state("decision_regions", net, state)
    dataset = Dataset.of(data)
    if net.sizes[0] != 2:
        raise BadInput(f"decision_regions: a network with 2 inputs is wanted; this one has {net.sizes[0]}.")
    x = np.asarray(dataset.x, np.float64)
    low, high = x.min(axis=0), x.max(axis=0)
    margin = 0.1 * np.where(high > low, high - low, 1)
    sides = [np.linspace(a, b, GRID) for a, b in zip(low - margin, high + margin, strict=True)]
    plane = np.stack(np.meshgrid(*sides), axis=-1).reshape(-1, 2).astype(state.dtype)
    outputs, targets = forward(net, state, plane), dataset.targets(net)
    figure = new_figure(width=6, height=5)
    axis = figure.subplots()
    picture = axis.imshow(
        _answer(outputs).reshape(GRID, GRID),
        extent=(*sides[0][[0, -1]], *sides[1][[0, -1]]),
        origin="lower",
        aspect="auto",
        cmap="viridis" if outputs.shape[1] == 1 else "tab10",
        alpha=0.5,
        vmin=None if outputs.shape[1] == 1 else 0,
        vmax=None if outputs.shape[1] == 1 else 9,
    )
    colors: dict[str, Any] = {"c": _answer(targets), "cmap": picture.cmap, "norm": picture.norm}
    axis.scatter(x[:, 0], x[:, 1], s=18, edgecolors="black", linewidths=0.5, **colors)
    names = dataset.columns or ("input 1", "input 2")
    axis.set_xlabel(plain(names[0]))
    axis.set_ylabel(plain(names[1]))
    if outputs.shape[1] == 1:
        figure.colorbar(picture, label="output")
    return figure


def layers_over_time(traces: Sequence[Trace | Replayed]) -> Figure:
    """Sizes of activations and of gradients by layer, over the watched steps; dead and saturated units by name."""
    steps = sorted((as_trace("layers_over_time", trace) for trace in traces), key=lambda trace: trace.before.step)
    if not steps:
        raise BadInput("layers_over_time: at least one Trace is wanted; got none.")
    when = [trace.before.step + 1 for trace in steps]
    figure = new_figure(width=9, height=4.2)
    left, right = figure.subplots(1, 2)
    for l in range(len(steps[0].layers)):  # noqa: E741
        name = f"layer {l + 1}"
        left.plot(when, [float(np.abs(trace.layers[l].a).mean()) for trace in steps], marker=".", label=name)
        sizes = [float(np.sqrt((trace.gradient[l].W ** 2).mean())) for trace in steps]
        right.plot(when, [size if size > 0 else np.nan for size in sizes], marker=".", label=name)
    left.set_title("mean |a| of each layer", fontsize=9)
    right.set_title("root mean square of ∂L/∂W of each layer", fontsize=9)
    right.set_yscale("log")
    for axis in (left, right):
        axis.set_xlabel("update")
        axis.legend(fontsize=8)
    found = unit_findings(steps)
    figure.suptitle("\n".join(found[:6]) or "no unit is dead or saturated on all the examples seen", fontsize=8)
    return figure


def unit_findings(traces: Sequence[Trace | Replayed]) -> list[str]:
    """Sentences that name the dead and the saturated hidden units: those that are so on every example of every step."""
    steps = [as_trace("unit_findings", trace) for trace in traces]
    net, sentences = steps[0].network, []
    for l, activation in enumerate(net.hidden):  # noqa: E741
        z = np.concatenate([trace.layers[l].z for trace in steps])
        a = np.concatenate([trace.layers[l].a for trace in steps])
        rows = f"on all {len(z)} examples of {len(steps)} step{'s' if len(steps) > 1 else ''}"
        found = idle(activation, z, a)
        if found is not None:
            what, units = found
            why = "z ≤ 0" if what == "dead" else "nearly no slope"
            sentences += _named(l, np.flatnonzero(units), f"{what}: {why} {rows}")
    return sentences


def _named(layer: int, units: Any, what: str) -> list[str]:
    if not len(units):
        return []
    more = f" and {len(units) - 10} more" if len(units) > 10 else ""
    names = ", ".join(str(unit + 1) for unit in units[:10])
    return [f"layer {layer + 1}: unit{'s' if len(units) > 1 else ''} {names}{more}: {what}"]


def _answer(outputs: Floats) -> Floats:
    """The class of each row, or its one number."""
    return outputs[:, 0] if outputs.shape[1] == 1 else outputs.argmax(axis=1).astype(np.float64)


def plain(name: str) -> str:
    """A text from data as matplotlib draws it as it is."""
    return name.replace("$", r"\$")  # a dollar would begin a formula


def new_figure(width: float, height: float) -> Figure:
    """An empty Figure, in inches; BadInput where matplotlib isn't there."""
    try:
        from matplotlib.figure import Figure  # type: ignore[import-not-found,unused-ignore]
    except ImportError:
        raise BadInput('pictures need matplotlib, which is not here. Install it: pip install "backlit[plot]"') from None
    figure = Figure(figsize=(width, height), layout="constrained", dpi=120)
    # Without it only a notebook that has loaded pyplot would show the picture.
    figure._repr_png_ = partial(_png, figure)  # type: ignore[attr-defined]
    return figure


def _png(figure: Figure) -> bytes:
    file = BytesIO()
    figure.savefig(file, format="png")
    return file.getvalue()
