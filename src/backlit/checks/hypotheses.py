"""The bugs that have a name: one table, name -> the wrong passes that are this bug. Numbers only, no judgement.

Every function yields Candidates for a Scene: where the bug would sit, and the backward pass with the wrong line in
place, whose gradient is then computed and compared. Constant factors have no entry: every comparison fits one, see
matching.py. Nor has the gradient of the last step, which is taken off before the comparison.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import chain as chained
from typing import NamedTuple

import numpy as np

from .. import chain
from ..state import Floats, Layers
from .wrong_passes import Edit, Pass, Rows, Scene, SlopeRule, gradient, right_output


class Candidate(NamedTuple):
    """A bug in one place: layer from 1, None for all of them; ``detail`` goes into the text."""

    layer: int | None
    how: Pass
    detail: str = ""


IN_EVERY_HIDDEN = "in every hidden layer"  # how the detail of a Candidate begins whose None leaves the output out
Hypothesis = Callable[[Scene], Iterator[Candidate]]


def _places(layers: Sequence[int]) -> Iterator[tuple[int | None, Sequence[int]]]:
    """(what is reported, the layers from 0): each on its own, then all of them."""
    for l in layers:  # noqa: E741
        yield l + 1, [l]
    if len(layers) > 1:
        yield None, layers


# --- the derivative of the activation ------------------------------------------------------------------------------


def _with_slopes(scene: Scene, slope: SlopeRule, output: Callable[[Scene], Floats] | None) -> Iterator[Candidate]:
    """The slope replaced in one hidden layer, in all of them, in the output layer, in all layers."""
    hidden = [k for k, name in enumerate(scene.net.hidden) if name != "linear"]
    last = len(scene.layers) - 1
    for layer, chosen in _places(hidden):
        yield Candidate(layer, Pass(slopes=dict.fromkeys(chosen, slope)), "" if layer else IN_EVERY_HIDDEN)
    if output is not None and scene.net.output != "linear" and chain.LOSSES[scene.net.loss].slope_at == "a":
        yield Candidate(last + 1, Pass(output=output))
        if hidden:
            yield Candidate(None, Pass(output=output, slopes=dict.fromkeys(hidden, slope)))


def _loss_slope(scene: Scene) -> Floats:
    return chain.LOSSES[scene.net.loss].slope(scene.activations[-1], scene.y)


def _one(activation: chain.Activation, z: Floats, a: Floats) -> Floats:
    return np.ones_like(z)


def _at_a(activation: chain.Activation, z: Floats, a: Floats) -> Floats:
    return activation.slope(a, activation.f(a))


def _squared(activation: chain.Activation, z: Floats, a: Floats) -> Floats:
    return activation.slope(z, a) ** 2


def missing_derivative(scene: Scene) -> Iterator[Candidate]:
    """δ is not multiplied by the slope of the activation."""
    yield from _with_slopes(scene, _one, _loss_slope)


def derivative_of_activation(scene: Scene) -> Iterator[Candidate]:
    """The slope is a function of z, and is given a: σ(a)·(1 − σ(a)) for a·(1 − a)."""
    yield from _with_slopes(scene, _at_a, None if scene.net.output == "softmax" else _output_at_a)


def _output_at_a(scene: Scene) -> Floats:
    return _loss_slope(scene) * scene.slope(_at_a, len(scene.layers) - 1)


def double_derivative(scene: Scene) -> Iterator[Candidate]:
    """δ is multiplied by the slope twice."""
    yield from _with_slopes(scene, _squared, _output_twice)


def _output_twice(scene: Scene) -> Floats:
    return scene.output_slope(right_output(scene))


# What is written for a slope by mistake, in words and as a rule. The slope of another activation is left where the
# forward pass was changed and the backward pass was not.
SIGMOIDS, TANHS, RELUS = "a·(1 − a), sigmoid's", "1 − a², tanh's", "1 if z > 0, otherwise 0, relu's"
OTHERS: dict[str, SlopeRule] = {
    SIGMOIDS: lambda activation, z, a: a * (1 - a),
    TANHS: lambda activation, z, a: 1 - a * a,
    RELUS: lambda activation, z, a: (z > 0).astype(z.dtype),
}
WRONG_SLOPES: dict[str, dict[str, SlopeRule]] = {
    "sigmoid": {
        "a: the factor (1 − a) is missing": lambda activation, z, a: a,
        "1 − a: the factor a is missing": lambda activation, z, a: 1 - a,
        "a·(1 + a): a sign is wrong": lambda activation, z, a: a * (1 + a),
        "z·(1 − z): z, where a belongs": lambda activation, z, a: z * (1 - z),
    },
    "tanh": {
        "1 − a: the square is missing": lambda activation, z, a: 1 - a,
        "a²: the 1 − is missing": lambda activation, z, a: a * a,
        "1 + a²: a sign is wrong": lambda activation, z, a: 1 + a * a,
        "1 − z²: z, where a belongs": lambda activation, z, a: 1 - z * z,
    },
    "gelu": {"Φ(z): the summand z·φ(z) is missing": lambda activation, z, a: chain.normal_cdf(z)},
}


def wrong_derivative(scene: Scene) -> Iterator[Candidate]:
    """Another formula stands for the slope: a part of it is missing, or it is that of another activation."""
    *hidden, output = scene.net.activations
    sloped = [k for k, name in enumerate(hidden) if name != "linear"]
    at_output = output not in ("linear", "softmax") and chain.LOSSES[scene.net.loss].slope_at == "a"
    for name in dict.fromkeys([*(hidden[k] for k in sloped), *([output] if at_output else [])]):
        layers = [k for k in sloped if hidden[k] == name]
        for formula, slope in {**WRONG_SLOPES.get(name, {}), **OTHERS}.items():
            detail = f"by {formula}"
            for layer, chosen in _places(layers):
                if layer or layers == sloped:
                    told = detail if layer else f"{IN_EVERY_HIDDEN}: {detail}"
                    yield Candidate(layer, Pass(slopes=dict.fromkeys(chosen, slope)), told)
            if at_output and name == output:
                out = _output_with(slope)
                yield Candidate(len(hidden) + 1, Pass(output=out), detail)
                if layers and layers == sloped:
                    yield Candidate(None, Pass(output=out, slopes=dict.fromkeys(layers, slope)), detail)


def _output_with(slope: SlopeRule) -> Callable[[Scene], Floats]:
    return lambda scene: _loss_slope(scene) * scene.slope(slope, len(scene.layers) - 1)


def extra_output_derivative(scene: Scene) -> Iterator[Candidate]:
    """The slope of the output is kept with a loss in which it cancels."""
    if chain.LOSSES[scene.net.loss].slope_at != "z":
        return
    last = len(scene.layers)
    if scene.net.output == "softmax":
        sigmoid = chain.ACTIVATIONS["sigmoid"]
        yield Candidate(last, Pass(output=lambda scene: right_output(scene) * sigmoid.slope(
            scene.zs[-1], scene.activations[-1])), "as a·(1 − a)")  # fmt: skip
    yield Candidate(last, Pass(output=_output_twice))


# --- the output and its targets ------------------------------------------------------------------------------------


def broadcast_targets(scene: Scene) -> Iterator[Candidate]:
    """Targets (N,) against outputs (N, 1): every output is held against every target."""
    if scene.net.sizes[-1] != 1 or len(scene.x) < 2:
        return
    yield Candidate(None, Pass(output=_held_against_all))
    if np.ptp(scene.s) and scene.s.all():
        yield Candidate(None, Pass(output=_held_against_all_weighted))


def _held_against_all(scene: Scene) -> Floats:
    """The output delta of each row, averaged over the targets of all rows."""
    return _averaged_over_targets(scene, np.full(len(scene.y), 1 / len(scene.y)))


def _held_against_all_weighted(scene: Scene) -> Floats:
    """The same, where sample weights (N,) are spread over the same axis as the targets, and no row has its own."""
    return _averaged_over_targets(scene, scene.s / scene.n) * (scene.n / len(scene.x) / scene.s[:, None])


def _averaged_over_targets(scene: Scene, share: Floats) -> Floats:
    a, z, total = scene.activations[-1], scene.zs[-1], np.zeros_like(scene.y)
    for y, part in zip(scene.y[:, 0], share, strict=True):
        total += part * chain.output_delta(scene.net, z, a, np.full_like(scene.y, y))
    return total


def double_softmax(scene: Scene) -> Iterator[Candidate]:
    """Softmax (or sigmoid) is applied to an output that has gone through it already."""
    if scene.net.output in ("softmax", "sigmoid"):
        yield Candidate(None, Pass(output=_twice), "a − y with the a that went through it twice")
        through = Pass(output=lambda scene: scene.output_slope(_twice(scene)))
        yield Candidate(None, through, "differentiated through both")


def _twice(scene: Scene) -> Floats:
    a = scene.activations[-1]
    twice = chain.softmax(a) if scene.net.output == "softmax" else chain.ACTIVATIONS["sigmoid"].f(a)
    return chain.output_delta(scene.net, a, twice, scene.y)


# --- the sum over the batch ----------------------------------------------------------------------------------------


def _only(row: int, whole: bool) -> Pass:
    def rows(scene: Scene, inputs: list[Floats], deltas: list[Floats]) -> Rows:
        s = np.zeros_like(scene.s)
        s[row] = scene.s[row] if whole else 1 / scene.factor
        return inputs, deltas, s

    return Pass(rows=rows)


def first_example_only(scene: Scene) -> Iterator[Candidate]:
    """The gradient of the first example stands for the batch."""
    if len(scene.x) > 1:
        yield Candidate(None, _only(0, whole=False))
        yield Candidate(None, _only(0, whole=True), "divided by the whole batch")


def last_example_only(scene: Scene) -> Iterator[Candidate]:
    """The gradient of the last example stands for the batch: each example's overwrites the one before."""
    if len(scene.x) > 1:
        yield Candidate(None, _only(-1, whole=False))
        yield Candidate(None, _only(-1, whole=True), "divided by the whole batch")


def averaged_activations(scene: Scene) -> Iterator[Candidate]:
    """mean(a)ᵀ·mean(δ) for mean(aᵀδ)."""
    if len(scene.x) < 2:
        return

    yield Candidate(None, Pass(rows=_means))
    yield Candidate(None, Pass(rows=_means, edits=(_weights_times_n,)), "summed, not averaged")
    if np.ptp(scene.s):
        yield Candidate(None, Pass(rows=lambda s, a, d: _means(replace(s, s=np.ones_like(s.s)), a, d)))
    yield Candidate(None, Pass(scene=_average_example), "the batch replaced by its average example")


def _average_example(scene: Scene) -> Scene:
    share = scene.s / scene.s.sum()
    return Scene(scene.net, scene.layers, (share @ scene.x)[None], (share @ scene.y)[None], scene.s.sum()[None],
                 scene.theirs)  # fmt: skip


def _means(scene: Scene, inputs: list[Floats], deltas: list[Floats]) -> Rows:
    share = scene.s / scene.n
    return [(share @ a)[None] for a in inputs], [(share @ d)[None] for d in deltas], np.array([scene.n])


def _weights_times_n(scene: Scene, total: Layers, deltas: list[Floats]) -> None:
    for layer in total:
        layer.W[...] *= scene.n


# --- biases --------------------------------------------------------------------------------------------------------


def bias_not_summed(scene: Scene) -> Iterator[Candidate]:
    """The bias gradient is the delta of one row."""
    if len(scene.x) < 2:
        return
    factors = {1.0: "", scene.factor: "divided by n", 1 / len(scene.x): "divided by n"}
    for row, name in ((-1, "the last"), (0, "the first")):
        for factor, divided in factors.items():
            for factor_s in {1.0, float(scene.s[row])}:
                for layer, chosen in _places(range(len(scene.layers))):
                    detail = f"{name} row's delta{', ' + divided if divided else ''}"
                    yield Candidate(layer, Pass(edits=(_bias_of_row(chosen, row, factor * factor_s),)), detail)


def _bias_of_row(layers: Sequence[int], row: int, factor: float) -> Edit:
    def edit(scene: Scene, total: Layers, deltas: list[Floats]) -> None:
        for l in layers:  # noqa: E741
            total[l].b[...] = deltas[l][row] * factor

    return edit


def bias_missing(scene: Scene) -> Iterator[Candidate]:
    """The bias gradient is 0, or the forward pass has no biases."""
    for layer, chosen in _places(range(len(scene.layers))):
        yield Candidate(layer, Pass(edits=(_no_bias(chosen),)))
    if np.any([layer.b.any() for layer in scene.layers]):
        yield Candidate(None, Pass(scene=_without_biases), "the forward pass leaves b out")
        both = Pass(scene=_without_biases, edits=(_no_bias(range(len(scene.layers))),))
        yield Candidate(None, both, "the forward pass leaves b out, and so does the gradient")


def _no_bias(layers: Sequence[int]) -> Edit:
    def edit(scene: Scene, total: Layers, deltas: list[Floats]) -> None:
        for l in layers:  # noqa: E741
            total[l].b[...] = 0

    return edit


def _without_biases(scene: Scene) -> Scene:
    layers = Layers(scene.net.sizes, scene.layers.flat.copy())
    for layer in layers:
        layer.b[...] = 0
    return Scene(scene.net, layers, scene.x, scene.y, scene.s, scene.theirs)


# --- weights -------------------------------------------------------------------------------------------------------


def transposed_weights(scene: Scene) -> Iterator[Candidate]:
    """Where a layer is square, W for Wᵀ on the way back, or the gradient of W transposed, goes unnoticed."""
    square = [k for k, layer in enumerate(scene.layers) if layer.W.shape[0] == layer.W.shape[1] > 1]
    for layer, chosen in _places(square):
        yield Candidate(layer, Pass(edits=(_turn(chosen),)), "the gradient of W is transposed")
    for layer, chosen in _places([k for k in square if k]):  # nothing goes back through the first layer
        yield Candidate(layer, Pass(turned=frozenset(chosen)), "δ goes back through W, not Wᵀ")


def _turn(layers: Sequence[int]) -> Edit:
    def edit(scene: Scene, total: Layers, deltas: list[Floats]) -> None:
        for l in layers:  # noqa: E741
            total[l].W[...] = total[l].W.T.copy()

    return edit


def updated_before_backward(scene: Scene) -> Iterator[Candidate]:
    """A layer's W is changed before the delta below is taken through it. The rate is found from their numbers."""
    last = len(scene.layers) - 1
    if last:
        yield Candidate(None, Pass(updated=frozenset(range(1, last + 1))))
    if last > 1:
        yield from (Candidate(k + 1, Pass(updated=frozenset([k]))) for k in range(1, last + 1))


def with_rate(scene: Scene, how: Pass) -> Pass | None:
    """``how`` with the rate at which weights had moved, found from their numbers, or None where there is none.

    The gradient of the layer below the topmost changed one is linear in that rate.
    """
    top = max(how.updated)
    still, moving = gradient(scene, replace(how, rate=0.0)), gradient(scene, replace(how, rate=1.0))
    above, below = still[top].W, still[top - 1].W
    change = moving[top - 1].W - below
    squares = float((above * above).sum()), float((change * change).sum())
    if not all(squares):
        return None
    factor = float((above * scene.theirs[top].W).sum()) / squares[0]
    if not factor:
        return None
    rate = float((change * (scene.theirs[top - 1].W / factor - below)).sum()) / squares[1]
    return replace(how, rate=rate) if np.isfinite(rate) and rate > 0 else None


# name -> its candidates, the likelier bug first where the numbers can't tell two apart
HYPOTHESES: dict[str, Hypothesis] = {
    "missing_derivative": missing_derivative,
    "extra_output_derivative": extra_output_derivative,
    "derivative_of_activation": derivative_of_activation,
    "double_derivative": double_derivative,
    "wrong_derivative": wrong_derivative,
    "double_softmax": double_softmax,
    "broadcast_targets": broadcast_targets,
    "bias_missing": bias_missing,
    "bias_not_summed": bias_not_summed,
    "averaged_activations": averaged_activations,
    "last_example_only": last_example_only,
    "first_example_only": first_example_only,
    "transposed_weights": transposed_weights,
    "updated_before_backward": updated_before_backward,
}


def all_candidates(scene: Scene) -> Iterator[tuple[str, Candidate]]:
    """Every candidate of the table, with its name."""
    yield from chained.from_iterable(((name, c) for c in make(scene)) for name, make in HYPOTHESES.items())
