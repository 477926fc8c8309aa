"""How two gradients are compared, and the limits that decide. No formula of backpropagation may live here.

The error of a layer is the largest difference over the largest entry of that layer's gradient, and 0 where both are
0: ratios of single entries raise false alarms on tiny ones.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..state import Floats, Layers

# A right gradient shows 4e-7 against central differences at worst, a derivative wrong by 0.05 % 5e-4.
DIFFERENCES_LIMIT = 1e-5

# Against the chain rule in float64 a right gradient shows rounding only: 1e-9 at worst, in saturated layers.
EXACT_LIMIT = 1e-7


def error(theirs: Floats, right: Floats, floor: float = 0.0) -> float:
    """The largest |theirs − right| over the largest entry of either, at least ``floor``; 0 where both are 0."""
    largest = max(float(np.abs(theirs).max(initial=0)), float(np.abs(right).max(initial=0)), floor)
    return float(np.abs(theirs - right).max(initial=0)) / largest if largest else 0.0


def blocks(gradient: Layers) -> list[Floats]:
    """[W, b, W, b, …], layer by layer."""
    return [array for layer in gradient for array in layer]


def block_errors(theirs: Sequence[Floats], right: Sequence[Floats], floors: Sequence[float]) -> list[float]:
    """``error`` of each block of [W, b, W, b, …], each held against its own largest entry, or its floor."""
    return [error(t, r, floor) for t, r, floor in zip(theirs, right, floors, strict=True)]
