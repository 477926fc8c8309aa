"""The checks on arrays that become a Dataset: shapes, types, finite numbers; all work in blocks of rows.

Nothing here copies x, changes a value or reads a file.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import BadInput
from .wording import shown

Array = NDArray[Any]

BLOCK = 1 << 18  # numbers looked at together: 2 MB as float64


def blocks(array: Array) -> Iterator[tuple[int, Array]]:
    """(first row, view of some rows) over the whole of ``array`` (N, ...), about BLOCK numbers at a time."""
    rows = max(1, BLOCK // max(1, array[:1].size))
    for start in range(0, len(array), rows):
        yield start, array[start : start + rows]


def check_finite(name: str, array: Array) -> None:
    """Raises BadInput naming the first entry that is NaN or infinite.

    Memory maps are not looked at: that would read all of a file which may be larger than memory.
    """
    if array.dtype.kind != "f" or isinstance(array, np.memmap):
        return
    for start, block in blocks(array):
        bad = ~np.isfinite(block)
        if bad.any():
            first = tuple(int(i) for i in np.argwhere(bad)[0])
            where = ", ".join(str(i) for i in (start + first[0], *first[1:]))
            value = float(block[first])
            raise BadInput(f"{name}[{where}] is {value}: wanted finite numbers; fill or drop such rows first")


def as_view(name: str, value: object) -> Array:
    """``value`` as a read-only array that shares its memory; lists become arrays, memory maps stay so."""
    if isinstance(value, np.ma.MaskedArray):
        raise BadInput(f"{name} is a masked array: wanted plain numbers; fill or drop its masked entries first")
    try:
        view: Array = value.view() if isinstance(value, np.memmap) else np.asarray(value).view()
    except Exception as error:  # objects with __array__ may raise anything
        reason = " ".join(str(error).split())[:120]
        raise BadInput(f"{name} is a {type(value).__name__} that makes no array: {reason}") from error
    view.flags.writeable = False
    return view


def _refuse_kind(name: str, value: object, array: Array) -> None:
    given = type(value).__name__
    raise BadInput(
        f"{name} holds {array.dtype} values (from a {given}): wanted real numbers; convert it to a float array first"
    )


def inputs(value: object, missing: bool = False) -> Array:
    """x as a read-only view (N, n_in), N and n_in ≥ 1, of any real type, finite if it is in memory.

    ``missing``: NaN may stand for a value that isn't there; then nothing is looked at.
    """
    x = as_view("x", value)
    if x.dtype.kind not in "biuf":
        _refuse_kind("x", value, x)
    if x.ndim == 1:
        raise BadInput(f"x has shape {x.shape}: wanted (N, n_in); for one input, reshape to (N, 1): x.reshape(-1, 1)")
    if x.ndim != 2 or 0 in x.shape:
        raise BadInput(f"x has shape {x.shape}: wanted (N, n_in) with at least one row and one column")
    if not missing:
        check_finite("x", x)
    return x


def _plain_labels(value: object, y: Array) -> Array:
    """Labels that came as Python objects or in a list, as an array of str or int; others are refused."""
    entries = list(value) if isinstance(value, list | tuple) else y.tolist()
    for kinds in (str,), (bool, np.bool_), (int, np.integer):
        if all(isinstance(entry, kinds) for entry in entries):
            plain = np.asarray(entries)
            if plain.dtype.kind in "biuU":
                return plain
    first = type(entries[0])
    odd = next((i for i, entry in enumerate(entries) if not isinstance(entry, first)), 0)
    raise BadInput(
        f"y[{odd}] is {shown(entries[odd])}, a {type(entries[odd]).__name__}: wanted labels all of one kind, "
        "int or str, or numbers; replace or drop the others"
    )


def answers(value: object, n: int) -> Array:
    """y as a read-only view: labels or numbers (n,), or numbers (n, n_out), finite if they are in memory."""
    y = as_view("y", value)
    if y.ndim not in (1, 2) or 0 in y.shape[1:]:
        raise BadInput(f"y has shape {y.shape}: wanted ({n},) labels or numbers, or ({n}, n_out) numbers")
    if len(y) != n:
        raise BadInput(f"x has {n} rows and y has {len(y)} (shape {y.shape}): wanted as many; check which rows belong")
    if y.ndim == 1 and (y.dtype.kind in "OT" or (y.dtype.kind == "U" and isinstance(value, list | tuple))):
        y = as_view("y", _plain_labels(value, y))
    if y.dtype.kind not in ("biuf" if y.ndim == 2 else "biufU"):
        _refuse_kind("y", value, y)
    check_finite("y", y)
    return y


def weights(value: object, n: int) -> Array:
    """Sample weights as a read-only float array (n,): finite, ≥ 0, not all zero."""
    s = as_view("sample_weight", value)
    if s.dtype.kind not in "biuf":
        _refuse_kind("sample_weight", value, s)
    if s.shape != (n,):
        raise BadInput(f"sample_weight has shape {s.shape}: wanted ({n},), one weight for each row of x")
    if s.dtype.kind != "f":
        s = as_view("sample_weight", s.astype(np.float64))
    check_finite("sample_weight", np.asarray(s))
    if (s < 0).any():
        row = int(np.argmax(s < 0))
        raise BadInput(f"sample_weight[{row}] is {float(s[row])}: wanted weights of 0 or more; drop such rows")
    check_some_weight(s)
    return s


def check_some_weight(s: Array) -> None:
    """Raises BadInput when every weight of ``s`` (N,) is zero: such rows have no mean loss."""
    if not s.any():
        raise BadInput(
            "sample_weight is 0 for all rows: wanted at least one weight above 0; leave it out for equal ones"
        )
