"""Which hidden units do nothing: dead (a relu that lets nothing through) and saturated (nearly no slope)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..state import Floats

SATURATED = 0.02  # a slope of at most so much of the steepest, on every example


def idle(activation: str, z: Floats, a: Floats) -> tuple[str, NDArray[np.bool_]] | None:
    """(what it is called, which units (fan_out,)) for the units that are so on all rows of z and a (B, fan_out).

    relu: "dead", z ≤ 0. sigmoid and tanh: "saturated", a slope of at most 2 % of the steepest. None for the others.
    """
    if activation == "relu":
        return "dead", np.asarray((z <= 0).all(axis=0))
    if activation in ("sigmoid", "tanh"):
        slope = 4 * a * (1 - a) if activation == "sigmoid" else 1 - a * a  # over the steepest slope
        return "saturated", np.asarray((slope <= SATURATED).all(axis=0))
    return None
