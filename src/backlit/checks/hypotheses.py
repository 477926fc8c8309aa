"""The bugs that have a name: one table, name -> the wrong passes that are this bug. Numbers only, no judgement.

Every function yields Candidates for a Scene: where the bug would sit, and the backward pass with the wrong line in
place, whose gradient is then computed and compared. Constant factors have no entry: every comparison fits one, see
matching.py. Nor has the gradient of the last step, which is taken off before the comparison.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import chain as chained

import numpy as np

from .. import chain
from ..state import Floats, Layers
from .candidates import Candidate, Hypothesis, places
from .slopes import (
    derivative_of_activation,
    double_derivative,
    extra_output_derivative,
    missing_derivative,
    wrong_derivative,
)
from .wrong_passes import Edit, Pass, Rows, Scene, gradient

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


def targets_out_of_step(scene: Scene) -> Iterator[Candidate]:
    """Each output is held against the target of a neighbouring row."""
    if len(scene.x) < 3:
        return
    for by, whose in ((-1, "next"), (1, "previous")):
        shifted, end = _output_of_rolled(by), -1 if by < 0 else 0
        yield Candidate(None, Pass(output=shifted), f"that of the {whose} row, round the end")
        for divided in (False, True):
            detail = f"that of the {whose} row, over one row less{', but divided by n' if divided else ''}"
            yield Candidate(None, Pass(output=shifted, rows=_without(end, divided)), detail)
    yield Candidate(None, Pass(output=_output_of_reversed), "they come in the reverse order")


def _output_of_rolled(by: int) -> Callable[[Scene], Floats]:
    return lambda scene: _output_against(scene, np.roll(scene.y, by, axis=0))


def _output_of_reversed(scene: Scene) -> Floats:
    return _output_against(scene, scene.y[::-1])


def _output_against(scene: Scene, y: Floats) -> Floats:
    return chain.output_delta(scene.net, scene.zs[-1], scene.activations[-1], y)


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


def example_left_out(scene: Scene) -> Iterator[Candidate]:
    """The first or the last example is not in the sum: a range that is one too short."""
    if len(scene.x) > 2:
        for row, name in ((-1, "the last"), (0, "the first")):
            yield Candidate(None, Pass(rows=_without(row, divided=False)), name)
            yield Candidate(None, Pass(rows=_without(row, divided=True)), f"{name}; divided by the whole batch")


def _without(row: int, divided: bool) -> Callable[[Scene, list[Floats], list[Floats]], Rows]:
    """Every example but one; ``divided`` by the whole batch all the same, where it is a mean."""

    def rows(scene: Scene, inputs: list[Floats], deltas: list[Floats]) -> Rows:
        s = scene.s.copy()
        s[row] = 0
        if not divided and scene.net.reduction == "mean":
            s *= scene.n / (s.sum() or 1.0)
        return inputs, deltas, s

    return rows


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
                for layer, chosen in places(range(len(scene.layers))):
                    detail = f"{name} row's delta{', ' + divided if divided else ''}"
                    yield Candidate(layer, Pass(edits=(_bias_of_row(chosen, row, factor * factor_s),)), detail)


def _bias_of_row(layers: Sequence[int], row: int, factor: float) -> Edit:
    def edit(scene: Scene, total: Layers, deltas: list[Floats]) -> None:
        for l in layers:  # noqa: E741
            total[l].b[...] = deltas[l][row] * factor

    return edit


def bias_missing(scene: Scene) -> Iterator[Candidate]:
    """The bias gradient is 0, or the forward pass has no biases."""
    for layer, chosen in places(range(len(scene.layers))):
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
    for layer, chosen in places(square):
        yield Candidate(layer, Pass(edits=(_turn(chosen),)), "the gradient of W is transposed")
    for layer, chosen in places([k for k in square if k]):  # nothing goes back through the first layer
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
    "example_left_out": example_left_out,
    "targets_out_of_step": targets_out_of_step,
    "transposed_weights": transposed_weights,
    "updated_before_backward": updated_before_backward,
}


def all_candidates(scene: Scene) -> Iterator[tuple[str, Candidate]]:
    """Every candidate of the table, with its name."""
    yield from chained.from_iterable(((name, c) for c in make(scene)) for name, make in HYPOTHESES.items())
