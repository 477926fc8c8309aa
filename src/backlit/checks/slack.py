"""What rounding excuses: how large a gradient's terms are before they cancel, and the corners of relu.

At a corner either slope is right, and rounding decides which it is.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .. import chain
from ..chain import Activation
from ..state import Floats
from .comparison import blocks
from .wrong_passes import Pass, Scene, SlopeRule, gradient, right_slope

ONE_BY_ONE = 64  # corners that are turned over singly; more in a layer are turned over together


def magnitudes(scene: Scene) -> list[float]:
    """For each block [W, b, …]: the largest entry if no two terms of opposite signs cancelled.

    Where a gradient is far smaller than this, what is left of it is rounding.
    """
    a = scene.activations[-1]
    slope = np.abs(chain.LOSSES[scene.net.loss].slope(a, scene.y))
    if scene.net.output == "softmax":
        slope = slope + (slope * a).sum(1, keepdims=True)
    elif chain.LOSSES[scene.net.loss].slope_at == "a":
        slope = slope * np.abs(scene.slope(right_slope, len(scene.layers) - 1))
    deltas = [slope]
    for l in range(len(scene.layers) - 2, -1, -1):  # noqa: E741
        deltas.insert(0, (deltas[0] @ np.abs(scene.layers[l + 1].W).T) * np.abs(scene.slope(right_slope, l)))
    total = chain.weighted_sum(scene.net, [np.abs(a) for a in scene.inputs], deltas, scene.s)
    return [float(block.max()) * scene.factor for block in blocks(total)]


def corner_slack(scene: Scene, rounding: float) -> list[Floats]:
    """For each block [W, b, …]: by how much its entries change when units at a corner take the other slope.

    A unit is at its corner where |z| is below ``rounding`` times the sum of what it is made of.
    """
    right = blocks(scene.right)
    slack = [np.zeros_like(block) for block in right]
    for l, name in enumerate(scene.net.activations):  # noqa: E741
        if name not in ("relu", "leaky_relu"):
            continue
        made_of = np.abs(scene.inputs[l]) @ np.abs(scene.layers[l].W) + np.abs(scene.layers[l].b)
        corners = np.argwhere(np.abs(scene.zs[l]) <= rounding * made_of)
        for group in corners[:, None] if len(corners) <= ONE_BY_ONE else [corners]:
            turned = blocks(gradient(scene, Pass(slopes={l: _turned(group, 1.01 if name == "leaky_relu" else 1.0)})))
            for room, block, other in zip(slack, right, turned, strict=True):
                room += np.abs(block - other)
    return slack


def _turned(corners: NDArray[np.intp], both: float) -> SlopeRule:
    """The slope with that of the given (row, unit) turned over: the two slopes at a corner add up to ``both``."""

    def slope(activation: Activation, z: Floats, a: Floats) -> Floats:
        right = activation.slope(z, a)
        at = tuple(corners.T)
        right[at] = both - right[at]
        return right

    return slope
