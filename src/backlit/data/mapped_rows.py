"""Rows of files that may be larger than memory: some of them without a copy, and asked for ahead. Opens nothing."""

from __future__ import annotations

import mmap
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from .arrays import Array


class RowView:
    """``base[rows]`` (n, n_in) that copies nothing before it is indexed; then it gives arrays, as fancy indexing does.

    It stands for x of a Dataset that was taken from a memory map. ``np.asarray`` copies all of it.
    """

    __slots__ = ("base", "rows")

    def __init__(self, base: Array, rows: Array) -> None:
        self.base, self.rows = base, rows

    @property
    def shape(self) -> tuple[int, ...]:
        """(n, n_in)."""
        return (len(self.rows), *self.base.shape[1:])

    @property
    def ndim(self) -> int:
        """As of the base."""
        return self.base.ndim

    @property
    def dtype(self) -> np.dtype[Any]:
        """As of the base."""
        return self.base.dtype

    @property
    def size(self) -> int:
        """How many numbers these are."""
        return int(np.prod(self.shape))

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, key: Any) -> Array:
        rows, *others = key if isinstance(key, tuple) else (key,)
        found: Array = np.asarray(self.base[self.rows[rows]])
        return found[(..., *others)] if others else found

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> Array:
        return np.asarray(self[:], dtype)


def as_array(view: RowView) -> Array:
    """For the type checker: a Dataset's x is an array, or can be indexed like one."""
    array: Any = view
    return array


class ReadAhead:
    """Asks the system for blocks of a memory map's rows shortly before training comes to them.

    ``order`` (n,) are the row numbers as training takes them, ``block`` rows at a time from one place of the file.
    Where x isn't mapped, or the system knows no such call, nothing is done.
    """

    def __init__(self, x: Any, order: Array, block: int) -> None:
        base, self.order, self.block = x, order, block
        if isinstance(x, RowView):
            base, self.order = x.base, x.rows[order]
        self.x = base
        self.map = _map_under(base)
        self.reached, self.asked = 0, set[int]()

    def until(self, place: int) -> None:
        """To be told that training is at ``place`` of the order: the block after it is asked for."""
        self.reached = max(self.reached, place // self.block * self.block)  # a resumed epoch begins inside
        while self.map is not None and self.reached < min(place + self.block, len(self.order)):
            some = self.order[self.reached : self.reached + self.block]
            for number in np.unique(some // self.block).tolist():
                if number not in self.asked:
                    self.asked.add(number)
                    start, end = self.place_of(self.map, number)
                    self.map.madvise(mmap.MADV_WILLNEED, start, end - start)
            self.reached += self.block

    def place_of(self, mapped: mmap.mmap, number: int) -> tuple[int, int]:
        """Where in the map the rows of a block lie: bytes from the beginning of a page on."""
        first = _address(self.x) - _address(np.frombuffer(mapped, np.uint8))
        start = first + number * self.block * self.x.strides[0]
        end = min(start + self.block * self.x.strides[0], first + self.x.nbytes)
        return start - start % mmap.PAGESIZE, end


def _address(array: Array) -> int:
    return int(array.__array_interface__["data"][0])


def _map_under(x: Any) -> mmap.mmap | None:
    """The map that holds the rows of x, one after the other; None where there is none."""
    if not (isinstance(x, np.memmap) and hasattr(mmap, "MADV_WILLNEED") and x.flags.c_contiguous):
        return None
    base: Any = x
    while base is not None and not isinstance(base, mmap.mmap):
        base = getattr(base, "base", None)
    return base
