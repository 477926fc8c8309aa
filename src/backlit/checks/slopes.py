"""The bugs in the slope of an activation, as wrong passes: forgotten, taken at a, twice, another formula, or too much.

Numbers only, no judgement; hypotheses.py has the table of all bugs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from .. import chain
from ..state import Floats
from .candidates import IN_EVERY_HIDDEN, Candidate, places
from .wrong_passes import Pass, Scene, SlopeRule, right_output


def _with_slopes(scene: Scene, slope: SlopeRule, output: Callable[[Scene], Floats] | None) -> Iterator[Candidate]:
    """The slope replaced in one hidden layer, in all of them, in the output layer, in all layers."""
    hidden = [k for k, name in enumerate(scene.net.hidden) if name != "linear"]
    last = len(scene.layers) - 1
    for layer, chosen in places(hidden):
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
            for layer, chosen in places(layers):
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
