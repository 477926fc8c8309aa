"""Parquet files, batch by batch: every cell as the text that CSV would hold. The only reader that uses pyarrow."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from ..errors import BadInput
from .csv_text import Table
from .wording import place, reading

Texts = Callable[[int], list[str]]
Numbers = Callable[[int], Any]

BATCH = 1 << 14  # rows at a time


@contextmanager
def opened_parquet(path: Path) -> Iterator[Table]:
    """The file as a Table; missing cells are empty texts. BadInput where pyarrow isn't installed."""
    arrow = _pyarrow(f"{place(path)}: reading Parquet")
    with reading(path, "a Parquet file"):
        file = arrow.parquet.ParquetFile(path)
        if not file.metadata.num_rows:
            raise BadInput(f"{place(path)}: has columns but no rows; add some")
        yield Table(list(file.schema_arrow.names), _rows(arrow, file, path))


def _rows(arrow: Any, file: Any, path: Path) -> Iterator[tuple[int, list[str]]]:
    number = 0
    for batch in file.iter_batches(BATCH):
        columns = []
        for name, column in zip(batch.schema.names, batch.columns, strict=True):
            try:
                texts = column.cast(arrow.string())
            except (arrow.ArrowInvalid, arrow.ArrowNotImplementedError) as error:
                raise BadInput(
                    f"{place(path)} column {name!r:.40}: holds {column.type}: wanted numbers, texts or dates; remove it"
                ) from error
            columns.append(texts.fill_null("").to_pylist())
        for cells in zip(*columns, strict=True):
            number += 1
            yield number, list(cells)


@contextmanager
def opened_batches(path: Path, rows: int) -> Iterator[tuple[list[str], int, Iterator[tuple[Texts, Numbers]]]]:
    """(columns' names, rows in all, batches of at most ``rows`` rows) of a file that may be larger than memory.

    A batch is two functions of a column's place: its cells as texts, and as float64 with NaN where they are missing,
    or None where the column holds no numbers.
    """
    arrow = _pyarrow(f"{place(path)}: reading Parquet")
    with reading(path, "a Parquet file"):
        # Without buffered reading pyarrow holds a whole row group of every column.
        file = arrow.parquet.ParquetFile(path, buffer_size=1 << 20, pre_buffer=False)
        yield list(file.schema_arrow.names), file.metadata.num_rows, _batches(arrow, file, path, rows)


def _batches(arrow: Any, file: Any, path: Path, rows: int) -> Iterator[tuple[Texts, Numbers]]:
    def texts(column: Any) -> list[str]:
        try:
            result: list[str] = column.cast(arrow.string()).fill_null("").to_pylist()
        except (arrow.ArrowInvalid, arrow.ArrowNotImplementedError) as error:
            raise BadInput(f"{place(path)}: holds {column.type}: wanted numbers, texts or dates; remove it") from error
        return result

    def numbers(column: Any) -> Any:
        kind = arrow.types
        if not (kind.is_integer(column.type) or kind.is_floating(column.type) or kind.is_boolean(column.type)):
            return None
        as_ints = column.cast(arrow.int8()) if kind.is_boolean(column.type) else column
        return as_ints.cast(arrow.float64(), safe=False).to_numpy(zero_copy_only=False)

    for batch in file.iter_batches(rows, use_threads=False):
        yield partial(_of_column, texts, batch), partial(_of_column, numbers, batch)


def _of_column(read: Callable[[Any], Any], batch: Any, k: int) -> Any:
    return read(batch.columns[k])


def write_parquet(path: Path, names: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """A table of Python values as a Parquet file, written aside and renamed."""
    arrow = _pyarrow(f"{place(path)}: writing Parquet")
    aside = path.with_name(f".{path.name}.part")
    try:
        columns = {name: [row[k] for row in rows] for k, name in enumerate(names)}
        arrow.parquet.write_table(arrow.table(columns), aside)
        aside.replace(path)
    except OSError as error:
        raise BadInput(f"{place(path)}: can't be written: {error.strerror or error}") from None
    finally:
        aside.unlink(missing_ok=True)


def _pyarrow(what: str) -> Any:
    try:
        import pyarrow  # type: ignore[import-untyped,unused-ignore]
        import pyarrow.parquet  # type: ignore[import-untyped,unused-ignore]
    except ImportError:
        raise BadInput(f'{what} needs pyarrow: pip install "backlit[parquet]", or use CSV') from None
    return pyarrow
