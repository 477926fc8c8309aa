"""pyarrow, and its columns as the data room has them. The only importer of pyarrow."""

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


def cells_of(arrow: Any, column: Any, where: str) -> Cells:
    """A column of some rows: integers, fractions, decimals and nothing as float64, all else as texts."""
    try:
        numbers = numbers_of(arrow, column)
        return texts_of(arrow, column) if numbers is None else numbers
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


def texts_of(arrow: Any, column: Any) -> Texts:
    """The cells as CSV would spell them; "" where nothing is."""
    encoded = column.cast(arrow.string()).dictionary_encode()
    texts = encoded.dictionary.to_pylist()
    codes = encoded.indices.fill_null(len(texts)).to_numpy(zero_copy_only=False).astype(np.int64)
    return Texts([*texts, ""] if encoded.null_count else texts, codes)
