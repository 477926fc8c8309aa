"""Tables too large for memory, a few thousand rows at a time, column by column. Nothing is learned or kept here."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..errors import BadInput
from .arrays import Array
from .cells import is_missing
from .columns import finite_or_missing, number_in
from .csv_text import opened_csv
from .parquet import opened_batches
from .tables import PARQUET
from .wording import at, listed, place

CELLS = 1 << 18  # of a chunk: as texts about 20 MB

# A column of a chunk: numbers (rows,) with NaN where they are missing, or texts, "" where they are missing.
Cells = Array | list[str]


class Chunk(NamedTuple):
    """Some rows of a table. Whoever passes over them doesn't ask for their columns, which is what costs time.

    ``columns()`` gives every column; the target's cells are always texts.
    """

    rows: int
    columns: Callable[[], list[Cells]]


def columns_of(paths: Sequence[Path], known: Sequence[str]) -> list[str]:
    """The columns' names, the same in every file, some of them ``known``; BadInput otherwise."""
    every = [_names(paths[0], known)]
    every += [_names(path, every[0]) for path in paths[1:]]
    for path, names in zip(paths, every, strict=True):
        if names != every[0]:
            wanted = f"those of {place(paths[0])}, {listed(every[0])}"
            raise BadInput(f"{place(path)}: has the columns {listed(names)}: wanted {wanted}")
    if len(every[0]) < 2:
        raise BadInput(f"{place(paths[0])}: has one column: wanted inputs and a target")
    return every[0]


def chunks_of(paths: Sequence[Path], names: list[str], target: int) -> Iterator[tuple[Path, Chunk, int | None]]:
    """(file, the next rows, rows of all files if that is known)."""
    rows = max(64, CELLS // len(names))
    total = None
    if all(_is_parquet(path) for path in paths):
        total = sum(_opened_rows(path) for path in paths)
    for path in paths:
        for chunk in _parquet(path, names, target, rows) if _is_parquet(path) else _csv(path, names, target, rows):
            yield path, chunk, total


def _is_parquet(path: Path) -> bool:
    return path.suffix.lower() in PARQUET


def _names(path: Path, known: Sequence[str]) -> list[str]:
    if not path.is_file():
        came = "a folder: name the tables in it" if path.is_dir() else "no file" if path.exists() else "nothing there"
        raise BadInput(f"{place(path)}: a table was wanted, came {came}.")
    if _is_parquet(path):
        with opened_batches(path, 1) as (names, _, _):
            return names
    with opened_csv(path, known) as table:
        return table.names


def _opened_rows(path: Path) -> int:
    with opened_batches(path, 1) as (_, rows, _):
        return rows


def _csv(path: Path, names: list[str], target: int, rows: int) -> Iterator[Chunk]:
    with opened_csv(path, names) as table:
        while lines := list(islice(table.rows, rows)):
            yield Chunk(len(lines), partial(_csv_columns, lines, path, names, target))


def _csv_columns(lines: list[tuple[int, list[str]]], path: Path, names: list[str], target: int) -> list[Cells]:
    columns = zip(*(cells for _, cells in lines), strict=True)
    numbers = [number for number, _ in lines]
    return [
        list(column) if k == target else _numbers_or_texts(column, names[k], path, numbers)
        for k, column in enumerate(columns)
    ]


def _numbers_or_texts(cells: Sequence[str], name: str, path: Path, lines: Sequence[int]) -> Cells:
    """A column of numbers as such, of texts as texts; both in one chunk are refused by name."""
    try:
        values = np.fromiter(map(float, cells), np.float64, len(cells))  # twice as fast as np.array(cells, np.float64)
        if np.isfinite(values).all() and "_" not in "".join(cells):
            return values
    except ValueError:
        pass
    texts = ["" if is_missing(cell) else cell.strip() for cell in cells]
    numbers = [number_in(text, name, path, line) for text, line in zip(texts, lines, strict=True)]
    words = sum(number is None and bool(text) for number, text in zip(numbers, texts, strict=True))
    if words:
        if words < sum(map(bool, texts)):
            row = next(r for r, (n, t) in enumerate(zip(numbers, texts, strict=True)) if t and n is None)
            raise BadInput(
                f"{at(path, lines[row])}, column {name!r:.40}: came {texts[row]!r:.40} in a column that also "
                "holds numbers: write one kind, or remove the column"
            )
        return texts
    return np.array([math.nan if number is None else number for number in numbers])


def _parquet(path: Path, names: list[str], target: int, rows: int) -> Iterator[Chunk]:
    first = 1
    with opened_batches(path, rows) as (_, _, batches):
        for texts_of, numbers_of in batches:
            answers = texts_of(target)
            here = range(first, first + len(answers))
            yield Chunk(len(here), partial(_arrow_columns, answers, names, target, texts_of, numbers_of, path, here))
            first += len(here)


def _arrow_columns(
    answers: list[str], names: list[str], target: int, texts_of: Any, numbers_of: Any, path: Path, rows: range
) -> list[Cells]:
    columns: list[Cells] = []
    for k, name in enumerate(names):
        numbers = None if k == target else numbers_of(k)
        if numbers is not None:
            columns.append(finite_or_missing(numbers, name, path, rows))
        else:
            columns.append(answers if k == target else _numbers_or_texts(texts_of(k), name, path, rows))
    return columns
