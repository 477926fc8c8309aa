"""The shuffle of the book's programs, as Python's ``random`` does it and with its numbers, sooner. No training here."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..engines import native


def shuffle_both(items: list[Any], rows: NDArray[np.int64]) -> None:
    """``random.shuffle(items)``, and rows (N,) in the same way: the same draws from the same generator.

    The compiled core does it in a tenth of the time. Where it is not there, or ``random.shuffle`` is somebody's own,
    that is called.
    """
    generator = getattr(random.shuffle, "__self__", None)
    if native.availability() == "ready" and type(items) is list and type(generator) is random.Random:
        version, words, gauss = generator.getstate()
        generator.setstate((version, native.shuffle_both(items, rows, words), gauss))
        return
    both = list(zip(items, rows.tolist(), strict=True))
    random.shuffle(both)
    items[:] = [item for item, _ in both]
    rows[:] = [row for _, row in both]
