"""Whether a gradient is a constant times the right one and an L2 penalty's beside it. No sentences here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ..state import Floats
from .comparison import block_errors, blocks
from .matching import Constant, Ruler
from .wrong_passes import Scene


class Penalty(NamedTuple):
    """theirs = factor · the right gradient + size · W, and nothing of the penalty in the biases."""

    factor: Constant
    size: float
    error: float  # what is left over, worst block


def fitted_penalty(scene: Scene, ruler: Ruler) -> Penalty | None:
    """The penalty that explains their gradient, or None.

    Both numbers are fitted, each block by its largest entry, as in the errors that decide. A constant with a meaning is
    then taken as it is.
    """
    theirs, right = blocks(scene.theirs), blocks(scene.right)
    weights = [part for layer in scene.layers for part in (layer.W, np.zeros_like(layer.b))]
    sizes = [max(largest, floor) or 1.0 for largest, floor in zip(ruler.largest, ruler.floors, strict=True)]

    def in_one(parts: Sequence[Floats]) -> Floats:
        return np.concatenate([part.ravel() / size for part, size in zip(parts, sizes, strict=True)])

    wanted, columns = in_one(theirs), np.stack([in_one(right), in_one(weights)], axis=1)
    scales = np.abs(columns).max(axis=0)
    if not scales.all():
        return None
    fitted = np.linalg.lstsq(columns / scales, wanted, rcond=None)[0] / scales
    factor = ruler.constant(float(fitted[0]), max(ruler.tolerances) / 3)
    if factor.price and not factor.parts and len(wanted) < 3:
        return None  # two numbers fit to two
    size = float(columns[:, 1] @ (wanted - factor.value * columns[:, 0])) / float(columns[:, 1] @ columns[:, 1])

    def left(constant: float) -> list[float]:
        fit = [constant * r + size * W for r, W in zip(right, weights, strict=True)]
        return block_errors(theirs, fit, ruler.floors)

    def fits(errors: list[float]) -> bool:
        return all(error <= limit for error, limit in zip(errors, ruler.tolerances, strict=True))

    # What the penalty alone explains, such as the weights themselves, has no gradient in it.
    return Penalty(factor, size, max(left(factor.value))) if fits(left(factor.value)) and not fits(left(0.0)) else None
