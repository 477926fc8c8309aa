"""A reader's list of pairs as the matrices that engines take, kept from call to call, and how a change is noticed.

No formula and no training here.
"""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..data import Dataset
from ..engines.native import addresses
from .columns import Array, Pair, Shaper

VERIFIED = 100  # columns looked at together: they stay in the processor's cache


class Stacked:
    """A list of pairs (x (n_in, 1), y (n_out, 1)) as a Dataset: x (N, n_in) and y (N, n_out), float64.

    The list may be shuffled, cut or joined from the same pairs: a row is found by the identity of its pair, which
    is kept here so that it stays that pair's. Numbers changed inside an array are noticed too: each column has a
    fingerprint, a sum with uneven weights, which only a change within its rounding (1e-13 of the column) escapes.
    """

    def __init__(self, given: Sequence[Any], shaped: Sequence[Pair]) -> None:
        known = dict(zip(map(id, given), zip(given, shaped, strict=True), strict=True))  # a pair may stand there twice
        self.pairs = [pair for pair, _ in known.values()]
        self._as_given = shaped is given
        ids = np.fromiter(known, np.int64, len(known))
        self._row = np.argsort(ids)
        self._ids = ids[self._row]
        xs, ys = zip(*(columns for _, columns in known.values()), strict=True)
        x, y = np.empty((len(xs), len(xs[0]))), np.empty((len(ys), len(ys[0])))
        self._prints = fingerprints(xs, x), fingerprints(ys, y)
        self.data = Dataset(x, y)

    def rows(self, ids: NDArray[np.int64]) -> NDArray[np.int64] | None:
        """The row number of each pair, by its id; None if there is one that was never stacked."""
        places = np.searchsorted(self._ids, ids).clip(max=len(self._ids) - 1)
        return self._row[places] if np.array_equal(self._ids[places], ids) else None

    def holds(self, pairs: Sequence[Any], n_in: int, n_out: int) -> bool:
        """Whether all ``pairs`` are here, for these sizes, with the numbers that they have now."""
        fits = self._as_given and self.data.x.shape[1] == n_in and self.data.y.shape[1] == n_out
        if not fits or self.rows(addresses(pairs)) is None:
            return False
        try:
            now = (
                fingerprints([pair[i] for pair in self.pairs], np.empty((VERIFIED, n)))
                for i, n in enumerate((n_in, n_out))
            )
            return all(map(np.array_equal, self._prints, now))
        except (TypeError, ValueError):  # something that is no column of this length any more
            return False


class Kept:
    """What a network keeps of its last list. A copied or pickled network leaves it behind."""

    _newest: weakref.ref[Stacked] | None = None  # networks that are compared are trained on one list

    def __init__(self) -> None:
        self.stacked: Stacked | None = None

    def __reduce__(self) -> tuple[type[Kept], tuple[()]]:
        return Kept, ()

    def of(self, pairs: Sequence[Any], n_in: int, n_out: int, shaper: Shaper) -> Stacked:
        """``pairs`` stacked: as they were for the last call, or anew. BadInput for what is no pair of columns."""
        newest = Kept._newest() if Kept._newest else None
        for known in (self.stacked, newest):
            if known and known.holds(pairs, n_in, n_out):
                self.stacked = known
                break
        else:
            self.stacked = None  # the old one's memory is free before the new one needs it
            self.stacked = Stacked(pairs, shaper.pairs("training_data", pairs, n_in, n_out))
        Kept._newest = weakref.ref(self.stacked)
        return self.stacked


def fingerprints(columns: Sequence[Array], rows: Array) -> Array:
    """One number for each column (n, 1). They are written to ``rows`` (N, n) on the way, or one VERIFIED after the
    other to the same (VERIFIED, n)."""
    weights = np.arange(1, rows.shape[1] + 1) * 0.6180339887498949 % 1 + 0.5  # no two alike, by the golden ratio
    result = np.empty(len(columns))
    for start in range(0, len(columns), VERIFIED):
        block = columns[start : start + VERIFIED]
        target = rows[start : start + VERIFIED] if len(rows) == len(columns) else rows[: len(block)]
        np.concatenate(block, out=target.reshape(-1, 1))
        result[start : start + VERIFIED] = target @ weights
    return result
