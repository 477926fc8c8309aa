"""Parquet files, batch by batch, their columns by type: made, and read as a whole or some rows at a time."""

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

from ..errors import BadInput
from .arrow_columns import as_strings, cells_of, numbers_of, pyarrow, texts_of, unit_of
from .cells import Cells
from .wording import place, reading, shown

Texts = Callable[[int], list[str]]
Numbers = Callable[[int], Any]


class Typed(NamedTuple):
    """The columns' names, and a function of (columns, those to spell) that gives the next rows' numbers and
    cells, and what the reader chose by itself."""

    names: list[str]
    pieces: Callable[[Sequence[str], set[str]], Iterator[tuple[range, list[Cells]]]]
    note: str


ROW_LABELS = re.compile(r"__index_level_[0-9]+__")  # as of a frame that was filtered or shuffled: no input
BATCH = 1 << 16  # rows at a time


@contextmanager
def opened_parquet(path: Path) -> Iterator[Typed]:
    """The file's columns by their types. BadInput where pyarrow isn't installed."""
    arrow = pyarrow(f"{place(path)}: reading Parquet")
    with reading(path, "a Parquet file"):
        file = arrow.parquet.ParquetFile(path, buffer_size=1 << 20, pre_buffer=False)
        names = [name for name in file.schema_arrow.names if not ROW_LABELS.fullmatch(name)]
        twice = next((name for k, name in enumerate(names) if name in names[:k]), None)
        if twice is not None:
            raise BadInput(f"{place(path)}: two columns are called {shown(twice)}; rename one")
        if not file.metadata.num_rows:
            raise BadInput(f"{place(path)}: has columns but no rows; add some")
        labelled = len(names) < len(file.schema_arrow.names)
        note = "row labels of pandas, which have no name, are left out" if labelled else ""
        yield Typed(names, partial(_pieces, arrow, file, path), note)


def _pieces(
    arrow: Any, file: Any, path: Path, columns: Sequence[str], spelled: set[str]
) -> Iterator[tuple[range, list[Cells]]]:
    """(numbers of the next rows from 1, their cells by columns); integers of ``spelled`` as texts."""
    first, units = 1, _units(arrow, file, columns)
    for batch in file.iter_batches(BATCH, columns=list(columns)):
        found = dict(zip(batch.schema.names, batch.columns, strict=True))
        cells = []
        for name in columns:
            where = f"{place(path)} column {shown(name)}"
            texts = name in spelled and arrow.types.is_integer(found[name].type)
            cells.append(texts_of(arrow, found[name]) if texts else cells_of(arrow, found[name], where, units[name]))
        yield range(first, first + len(batch)), cells
        first += len(batch)


def _units(arrow: Any, file: Any, columns: Sequence[str]) -> dict[str, str]:
    """In which unit the times of these columns are spelled, each the same in all rows; "" for what is no time."""
    types = dict(zip(file.schema_arrow.names, file.schema_arrow.types, strict=True))

    def pieces(name: str) -> Iterator[Any]:
        return (batch.columns[0] for batch in file.iter_batches(BATCH, columns=[name]))

    return {name: unit_of(arrow, pieces(name)) if arrow.types.is_timestamp(types[name]) else "" for name in columns}


def parquet_values(path: Path, spelled: bool) -> tuple[list[str], list[list[Any]]]:
    """(columns' names, all rows as Python values), times as texts if they are to be ``spelled``."""
    arrow = pyarrow(f"{place(path)}: reading Parquet")
    with reading(path, "a Parquet file"):
        table = arrow.parquet.read_table(path)
        columns = [_values(arrow, column, spelled) for column in table.columns]
        return list(table.column_names), [list(row) for row in zip(*columns, strict=True)]


def _values(arrow: Any, column: Any, spelled: bool) -> list[Any]:
    """Python values; a single-precision 0.1 is 0.1, not 0.10000000149011612."""
    if column.type in (arrow.float16(), arrow.float32()):
        return [None if value is None else float(value) for value in column.cast(arrow.string()).to_pylist()]
    if spelled and arrow.types.is_timestamp(column.type):
        column = as_strings(arrow, column, unit_of(arrow, [column]))
    values: list[Any] = column.to_pylist()
    return values


@contextmanager
def opened_batches(path: Path, rows: int) -> Iterator[tuple[list[str], int, Iterator[tuple[Texts, Numbers]]]]:
    """(columns' names, rows in all, batches of at most ``rows`` rows) of a file that may be larger than memory.

    A batch is two functions of a column's place: its cells as texts, and as float64 with NaN where they are missing,
    or None where the column holds no numbers.
    """
    arrow = pyarrow(f"{place(path)}: reading Parquet")
    with reading(path, "a Parquet file"):
        # Without buffered reading pyarrow holds a whole row group of every column.
        file = arrow.parquet.ParquetFile(path, buffer_size=1 << 20, pre_buffer=False)
        names = [name for name in file.schema_arrow.names if not ROW_LABELS.fullmatch(name)]
        yield names, file.metadata.num_rows, _batches(arrow, file, path, rows, names)


def _batches(arrow: Any, file: Any, path: Path, rows: int, names: list[str]) -> Iterator[tuple[Texts, Numbers]]:
    units = list(_units(arrow, file, names).values())

    def texts(column: Any, unit: str) -> list[str]:
        kind = arrow.types
        if kind.is_floating(column.type) or kind.is_decimal(column.type):  # 3.0, which is a number, is no class 3
            return ["" if value is None else repr(value) for value in column.cast(arrow.float64()).to_pylist()]
        try:
            result: list[str] = as_strings(arrow, column, unit).fill_null("").to_pylist()
        except (arrow.ArrowInvalid, arrow.ArrowNotImplementedError) as error:
            raise BadInput(f"{place(path)}: holds {column.type}: wanted numbers, texts or dates; remove it") from error
        return result

    for batch in file.iter_batches(rows, columns=names, use_threads=False):
        yield partial(_spelled, texts, batch, units), partial(_numbers, arrow, batch)


def _spelled(read: Callable[[Any, str], list[str]], batch: Any, units: list[str], k: int) -> list[str]:
    return read(batch.columns[k], units[k])


def _numbers(arrow: Any, batch: Any, k: int) -> Any:
    return numbers_of(arrow, batch.columns[k])


def parquet_of(names: Sequence[str], rows: Sequence[Sequence[object]]) -> bytes:
    """A table of Python values, as what a Parquet file holds."""
    arrow = pyarrow("writing Parquet")
    columns = {name: _column(arrow, [row[k] for row in rows]) for k, name in enumerate(names)}
    made = BytesIO()
    arrow.parquet.write_table(arrow.table(columns), made)
    return made.getvalue()


def _column(arrow: Any, values: list[object]) -> Any:
    """The values with the type that fits them: pyarrow takes whole numbers to be int64, though it reads uint64."""
    try:
        return arrow.array(values)
    except OverflowError:
        return arrow.array(values, arrow.uint64())
