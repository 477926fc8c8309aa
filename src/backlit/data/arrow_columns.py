"""pyarrow, and its columns as the data room has them. The only importer of pyarrow."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from ..errors import BadInput
from .arrays import Array
from .cells import Cells, Texts


def pyarrow(what: str) -> Any:
    """The package, on first use; BadInput saying that ``what`` needs it where it isn't installed."""
    try:
        import pyarrow  # type: ignore[import-untyped,unused-ignore]
        import pyarrow.compute  # type: ignore[import-untyped,unused-ignore]
        import pyarrow.csv  # type: ignore[import-untyped,unused-ignore]
        import pyarrow.parquet  # type: ignore[import-untyped,unused-ignore]
    except ImportError:
        raise BadInput(f'{what} needs pyarrow: pip install "backlit[parquet]", or use CSV') from None
    return pyarrow


def cells_of(arrow: Any, column: Any, where: str, unit: str = "") -> Cells:
    """A column of some rows: integers, fractions, decimals and nothing as float64, all else as texts."""
    try:
        numbers = numbers_of(arrow, column)
        return texts_of(arrow, column, unit) if numbers is None else numbers
    except (arrow.ArrowInvalid, arrow.ArrowNotImplementedError) as error:
        raise BadInput(f"{where}: holds {column.type}: wanted numbers, texts or dates; remove it") from error


def numbers_of(arrow: Any, column: Any) -> Array | None:
    """float64 (rows,) with NaN where nothing is; None where the type is none of numbers. Booleans are two classes."""
    kind, of = arrow.types, column.type
    if kind.is_dictionary(of):
        return numbers_of(arrow, column.dictionary_decode())
    if not (kind.is_integer(of) or kind.is_floating(of) or kind.is_decimal(of) or kind.is_null(of)):
        return None
    values: Array = column.cast(arrow.float64(), safe=False).to_numpy(zero_copy_only=False)
    return values.astype(np.float64, copy=False)


def texts_of(arrow: Any, column: Any, unit: str = "") -> Texts:
    """The cells as CSV would spell them, times in this unit; "" where nothing is."""
    encoded = as_strings(arrow, column, unit).dictionary_encode()
    texts = encoded.dictionary.to_pylist()
    codes = encoded.indices.fill_null(len(texts)).to_numpy(zero_copy_only=False).astype(np.int64)
    return Texts([*texts, ""] if encoded.null_count else texts, codes)


def as_strings(arrow: Any, column: Any, unit: str) -> Any:
    """The column cast to texts; times as pandas' to_csv spells them, in the unit that ``unit_of`` found."""
    if not unit:
        return column.cast(arrow.string())
    zone = column.type.tz
    if unit == "day" and zone is None:
        return column.cast(arrow.date32()).cast(arrow.string())
    texts = column.cast(arrow.timestamp("s" if unit == "day" else unit, zone)).cast(arrow.string())
    if zone is None:
        return texts
    replace = arrow.compute.replace_substring_regex
    return replace(replace(texts, "Z$", "+00:00"), r"([+-]\d\d)(\d\d)$", r"\1:\2")


def unit_of(arrow: Any, columns: Iterable[Any]) -> str:
    """The coarsest of day, s, ms, us and ns in which all times of a column, given piece by piece, are whole."""
    units = {"day": "day", "s": "second", "ms": "millisecond", "us": "microsecond", "ns": "nanosecond"}
    left = list(units)
    for column in columns:
        times = column.cast(arrow.timestamp(column.type.unit))  # without its zone, which has no part of a second
        while len(left) > 1:
            whole = arrow.compute.equal(arrow.compute.floor_temporal(times, unit=units[left[0]]), times)
            if arrow.compute.all(whole).as_py() is not False:
                break
            left.pop(0)
    return left[0]
