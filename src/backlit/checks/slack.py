"""How much of a difference a corner of relu excuses: there either slope is right, and rounding decides which it is."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..chain import Activation
from ..state import Floats
from .comparison import blocks
from .wrong_passes import Pass, Scene, SlopeRule, gradient

ONE_BY_ONE = 64  # corners that are turned over singly; more in a layer are turned over together


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
