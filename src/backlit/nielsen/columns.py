"""The book's lists of pairs of columns: what readers give is checked here, once, and never broadcast.

Shapes and messages only: no formula, no training.
"""

from __future__ import annotations

import math
import operator
import sys
import warnings
from collections.abc import Iterable, Iterator, Sequence
from numbers import Real
from types import FrameType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import BadInput

Array = NDArray[Any]
Pair = tuple[Array, Array]

BLOCK = 1000  # examples put into one matrix at a time: memory stays small whatever the list


class Shaper:
    """Makes columns of what one call was given, and warns at most once in that call.

    (784,) where (784, 1) belongs can mean one thing only, so it is reshaped with a warning that says why it
    matters; everything that can't be meant is refused with both shapes.
    """

    def __init__(self, where: str) -> None:
        self.where = where
        self.warned = False

    def column(self, name: str, value: Any, n: int) -> Array:
        """``value`` as a column (n, 1); itself if it is one."""
        array = self.numbers(name, value)
        if array.shape == (n, 1):
            return array
        if array.size != n or max(array.shape, default=1) != n:
            raise BadInput(
                f"{self.where}: {name} must be a column of shape ({n}, 1); got {array.shape}.{_hint(array, n)}"
            )
        self.warn(
            f"{name} has shape {array.shape} and is taken as the column ({n}, 1). Beside a column (m, 1), NumPy would "
            f"stretch a flat (m,) to a matrix (m, m) without complaint. Give np.reshape({name.split()[0]}, ({n}, 1))."
        )
        return array.reshape(n, 1)

    def columns(self, name: str, value: Any, n: int) -> Array:
        """One column (n, 1), or a matrix (n, B) of B columns."""
        array = self.numbers(name, value)
        return array if array.ndim == 2 and len(array) == n else self.column(name, array, n)

    def alike(self, a: Any, y: Any) -> Pair:
        """Output activations and targets of one shape: (n_out, 1), or (n_out, B) for B examples."""
        a = self.numbers("output_activations", a)
        if a.ndim != 2:
            a = self.column("output_activations", a, a.size)
        y = self.numbers("y", y)
        return a, y if y.shape == a.shape and y.ndim == 2 else self.column("y", y, a.size)

    def difference(self, a: Any, y: Any) -> Array:
        """a − y, where nothing is broadcast."""
        a, y = self.alike(a, y)
        result: Array = np.subtract(a, y)
        return result

    def numbers(self, name: str, value: Any) -> Array:
        """``value`` as an array of real numbers."""
        try:
            array = np.asarray(value)
        except ValueError:
            array = np.empty(0, object)
        if array.dtype.kind not in "biuf":
            raise BadInput(f"{self.where}: {name} must be an array of real numbers; got {value!r:.60}.")
        return array

    def warn(self, text: str) -> None:
        if not self.warned:
            self.warned = True
            warnings.warn(f"{self.where}: {text}", stacklevel=_frames_inside() + 1)

    def pairs(self, name: str, data: Sequence[Any], n_in: int, n_out: int) -> Sequence[Pair]:
        """``data`` with x (n_in, 1) and y (n_out, 1) in each pair; ``data`` itself if all are so."""
        if _all_columns(data, n_in, n_out):
            return data
        return [
            (self.column(f"x of {name}[{i}]", x, n_in), self.column(f"y of {name}[{i}]", y, n_out))
            for i, (x, y) in self.numbered(name, data)
        ]

    def columns_of(self, name: str, data: Sequence[Any], n_in: int, n_out: int) -> tuple[list[Array], list[Array]]:
        """The x (n_in, 1) and the y (n_out, 1) of all pairs."""
        xs, ys = zip(*self.pairs(name, data, n_in, n_out), strict=True)
        return list(xs), list(ys)

    def digits(self, name: str, data: Sequence[Any], n_in: int) -> tuple[list[Array], NDArray[np.int64]]:
        """The x (n_in, 1) of every pair, and the y (N,): whole numbers from 0 on."""
        if fitting := _all_digits(data, n_in):
            return fitting
        shaped = [
            (self.column(f"x of {name}[{i}]", x, n_in), self.digit(f"y of {name}[{i}]", y))
            for i, (x, y) in self.numbered(name, data)
        ]
        return [x for x, _ in shaped], np.array([y for _, y in shaped])

    def digit(self, name: str, y: Any) -> int:
        """One whole number from 0 on."""
        array = self.numbers(name, y)
        if array.size != 1:
            raise BadInput(
                f"{self.where}: {name} must be the digit itself; got shape {array.shape}. np.argmax of a column of "
                "targets is its digit; in network2 the argument convert says which of the two the data holds."
            )
        value = array.item()
        if not value >= 0 or value % 1:
            raise BadInput(f"{self.where}: {name} must be a whole number of at least 0; got {value!r}.")
        return int(value)

    def numbered(self, name: str, data: Iterable[Any]) -> Iterator[tuple[int, tuple[Any, Any]]]:
        """(i, (x, y)) of every pair; BadInput for what is no pair."""
        for i, pair in enumerate(data):
            try:
                x, y = pair
            except (TypeError, ValueError):
                raise BadInput(
                    f"{self.where}: {name} must be a list of pairs (x, y), as load_data_wrapper gives it; {name}[{i}] "
                    f"is {_shown(pair)}."
                ) from None
            yield i, (x, y)

    def listed(self, name: str, data: Any) -> list[Any]:
        """``data`` as a list: itself if it is one, so that shuffling shuffles the reader's own."""
        if isinstance(data, str | bytes) or not isinstance(data, Iterable):
            raise BadInput(f"{self.where}: {name} must be a list of pairs (x, y); got {_shown(data)}.")
        result = data if isinstance(data, list) else list(data)
        if not result:
            hint = (
                "" if isinstance(data, Sequence) else " A zip or map is used up after one pass: keep list(...) of it."
            )
            raise BadInput(f"{self.where}: {name} is empty.{hint}")
        return result

    def whole(self, name: str, value: Any, least: int) -> int:
        """A whole number of at least ``least``."""
        try:
            number = operator.index(value)
        except TypeError:
            number = least - 1
        if number < least or isinstance(value, bool):
            raise BadInput(f"{self.where}: {name} must be a whole number of at least {least}; got {value!r}.")
        return number

    def finite(self, name: str, value: Any) -> float:
        """A finite number."""
        if not isinstance(value, Real) or isinstance(value, bool) or not math.isfinite(value):
            raise BadInput(f"{self.where}: {name} must be a finite number; got {value!r}.")
        return float(value)


def blocks(xs: Sequence[Array]) -> Iterator[tuple[slice, Array]]:
    """Columns (n, 1), BLOCK after the other: (which of them, they side by side as a matrix (n, B) of float64)."""
    for start in range(0, len(xs), BLOCK):
        which = slice(start, start + BLOCK)
        rows = np.concatenate(xs[which], dtype=np.float64).reshape(len(xs[which]), -1)
        yield which, rows.T


def _all_columns(data: Sequence[Any], n_in: int, n_out: int) -> bool:
    try:
        xs, ys = zip(*data, strict=True)
        return _are_columns(xs, n_in) and _are_columns(ys, n_out)
    except (AttributeError, TypeError, ValueError):
        return False


def _all_digits(data: Sequence[Any], n_in: int) -> tuple[list[Array], NDArray[np.int64]] | None:
    try:
        xs, ys = zip(*data, strict=True)
        digits = np.array(ys)
        fits = digits.shape == (len(xs),) and digits.dtype.kind in "iu" and digits.min() >= 0
        return (list(xs), digits.astype(np.int64)) if fits and _are_columns(xs, n_in) else None
    except (AttributeError, TypeError, ValueError):
        return None


def _are_columns(arrays: Sequence[Array], n: int) -> bool:
    return {a.shape for a in arrays} == {(n, 1)} and all(kind.kind in "biuf" for kind in {a.dtype for a in arrays})


def _hint(array: Array, n: int) -> str:
    if array.size == 1 and n > 1:
        return (
            " A digit d becomes one with vectorized_result(d); in network2 the argument convert says which of the two "
            "the data holds."
        )
    if array.size == n:
        return f" If its rows follow one another, give np.reshape(..., ({n}, 1))."
    return ""


def _shown(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"an array of shape {value.shape}"
    return f"{type(value).__name__} of {len(value)}" if isinstance(value, Sequence) else f"{value!r:.60}"


def _frames_inside() -> int:
    """How many frames of this package lie between the reader's line and ``warn``."""
    inside = 0
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_globals.get("__name__", "").startswith(__package__):
        inside, frame = inside + 1, frame.f_back
    return inside
