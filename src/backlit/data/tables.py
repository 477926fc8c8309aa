"""Tables as text: .csv, .tsv, .txt with a header, read line by line with bounded memory beside the numbers.

Every column but the target must hold numbers. What the target is (classes or numbers) is told in
target_column.py.
"""

import csv
import math
from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import numpy as np

from ..errors import BadInput
from .arrays import Array
from .dataset import Dataset
from .target_column import TargetColumn, as_number
from .wording import did_you_mean, listed, place, reading, shown

if TYPE_CHECKING:
    import _csv

LONGEST_HEADER = 1 << 17  # characters of a header with line breaks in quotes
LONGEST_LINE = 1 << 24  # characters; a file without line ends must not be read as one line
DELIMITERS = ",;\t"
USUAL_TARGETS = ("target", "label", "class", "y")


def read_table(path: Path, target: str | None) -> Dataset:
    """The data set of a table with a header: float64 inputs, and the column ``target`` as y.

    Without ``target``, a column called target, label, class or y (in this order, in any case) is taken,
    else the last one; ``note`` says which. Raises BadInput naming line and column for anything that isn't a
    table of numbers.
    """
    with _opened(path) as (header, rows):
        if len(header) < 2:
            raise BadInput(
                f"{place(path)}: has one column ({listed(header)}): wanted inputs and a target, divided by , ; or tab"
            )
        position, how = _choose_target(header, target, path)
        names = header[:position] + header[position + 1 :]
        values = array("d")
        answer = TargetColumn(header[position], path)
        for line, cells in rows:
            answer.add(cells.pop(position), line)
            values.extend(_numbers(cells, names, path, line))
        y, kind = answer.finish()
        x = np.frombuffer(values, np.float64).reshape(len(y), len(names))
        return Dataset(
            x,
            y,
            columns=names,
            target=header[position],
            note=f"target: {how} {shown(header[position])}, {kind}",
        )


def read_table_columns(path: Path, columns: tuple[str, ...] | None, target: str | None) -> Array:
    """(N, n_in) float64: the named columns of a table in that order, others ignored.

    Without ``columns``, all but ``target``, which may be absent.
    """
    with _opened(path) as (header, rows):
        wanted = [name for name in header if name != target] if columns is None else list(columns)
        missing = [name for name in wanted if name not in header]
        if missing:
            raise BadInput(
                f"{place(path)}: has no column {shown(missing[0])}{did_you_mean(missing[0], header)}: "
                "wanted the "
                f"{len(wanted)} columns {listed(wanted)}, came {listed(header)}"
            )
        places = [header.index(name) for name in wanted]
        values = array("d")
        for line, cells in rows:
            values.extend(_numbers([cells[i] for i in places], wanted, path, line))
        return np.frombuffer(values, np.float64).reshape(-1, len(wanted))


@contextmanager
def _opened(path: Path) -> Iterator[tuple[list[str], Iterator[tuple[int, list[str]]]]]:
    """(header, rows): the column names, and an iterator of (line number, cells) that has at least one row."""
    with (
        reading(path, "a table of numbers in UTF-8 with a header"),
        path.open(encoding="utf-8-sig", newline="") as file,
    ):
        lines = _lines(file, path)
        head = _head(lines)
        if not head:
            raise BadInput(f"{place(path)}: is empty: wanted a header line and rows of numbers")
        delimiter = max(DELIMITERS, key=lambda d: _width(head, d))
        reader = csv.reader(chain(head, lines), delimiter=delimiter, strict=True)
        try:
            header = _column_names(next(cells for cells in reader if cells), path)
            yield header, _rows(reader, len(header), path)
        except csv.Error as error:
            raise BadInput(f"{place(path)} near line {reader.line_num}: {error}; check its quotes") from error
        except UnicodeDecodeError as error:
            raise BadInput(
                f"{place(path)} after line {reader.line_num}: wanted UTF-8 text, came byte "
                f"0x{error.object[error.start]:02x}; save the file as UTF-8"
            ) from error


def _head(lines: Iterator[str]) -> list[str]:
    """The lines up to the end of the header, which may hold line breaks in quotes; nothing for an empty file."""
    head: list[str] = []
    quotes = length = 0
    for line in lines:
        head.append(line if line.strip() else "\n")
        quotes += line.count('"')
        length += len(line.strip())
        if (length and quotes % 2 == 0) or length > LONGEST_HEADER:
            break
    return head if length else []


def _width(head: list[str], delimiter: str) -> int:
    """Cells of the header if this delimiter divides them; 0 where its quotes make no sense then."""
    try:
        return max(map(len, csv.reader(head, delimiter=delimiter, strict=True)))
    except csv.Error:
        return 0


def _lines(file: TextIO, path: Path) -> Iterator[str]:
    number = 0
    while line := file.readline(LONGEST_LINE):
        number += 1
        if len(line) == LONGEST_LINE:
            raise BadInput(
                f"{place(path)} line {number}: is longer than {LONGEST_LINE} characters; check its line ends"
            )
        yield line


def _column_names(cells: list[str], path: Path) -> list[str]:
    names = [cell.strip() for cell in cells]
    if all(as_number(name) is not None for name in names):
        raise BadInput(f"{place(path)} line 1: holds numbers only: wanted a header with the columns' names; add one")
    seen: set[str] = set()
    for number, name in enumerate(names, 1):
        if not name:
            raise BadInput(f"{place(path)} line 1: column {number} has no name; name it or remove the column")
        if name in seen:
            raise BadInput(f"{place(path)} line 1: two columns are called {shown(name)}; rename one")
        seen.add(name)
    return names


def _rows(reader: "_csv.Reader", width: int, path: Path) -> Iterator[tuple[int, list[str]]]:
    some = False
    for cells in reader:
        if not cells:
            continue  # an empty line
        if len(cells) != width:
            raise BadInput(
                f"{place(path)} line {reader.line_num}: has {len(cells)} cells: wanted {width}, as in the "
                "header; "
                "complete or remove the line"
            )
        some = True
        yield reader.line_num, cells
    if not some:
        raise BadInput(f"{place(path)}: has a header but no rows; add some")


def _numbers(cells: list[str], names: list[str], path: Path, line: int) -> list[float]:
    """The cells of one line as floats; BadInput names the first that is no finite number."""
    try:
        values = list(map(float, cells))
        # one look at the whole line is cheap; float() also takes 1_000, which people don't mean
        if math.isfinite(sum(values)) and "_" not in "".join(cells):
            return values
    except ValueError:
        pass
    for cell, name in zip(cells, names, strict=True):
        number = as_number(cell)
        if number is not None and math.isfinite(number):
            continue
        advice = "only the target may hold text: give numbers, or remove the column"
        if not cell.strip() or (number is not None and math.isnan(number)):
            advice = "values may not be missing: fill it or remove the line"
        elif number is not None:
            advice = "it is too large: scale the column"
        raise BadInput(
            f"{place(path)} line {line}, column {shown(name)}: wanted a number, came {shown(cell)}; {advice}"
        )
    return values


def _choose_target(header: list[str], target: str | None, path: Path) -> tuple[int, str]:
    """The target's position, and a few words on how it was chosen."""
    if target is not None:
        if target not in header:
            raise BadInput(
                f"{place(path)}: target {shown(target)} is none of its "
                f"columns{did_you_mean(target, header)}: "
                f"{listed(header)}"
            )
        return header.index(target), "column"
    lower = [name.lower() for name in header]
    for usual in USUAL_TARGETS:
        if usual in lower:
            return lower.index(usual), "column"
    return len(header) - 1, "the last column,"
