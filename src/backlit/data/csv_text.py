"""Text of a CSV file -> a header and rows of cells, line by line, with bounded memory. What cells mean: tables.py."""

import csv
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TextIO

from ..errors import BadInput
from .target_column import as_number
from .wording import place, reading, shown

if TYPE_CHECKING:
    import _csv

LONGEST_HEADER = 1 << 17  # characters of a header with line breaks in quotes
LONGEST_LINE = 1 << 24  # characters; a file without line ends must not be read as one line
DELIMITERS = ",;\t"


class Table(NamedTuple):
    """Columns' names, rows as (line or row number, cells), at least one, and what the reader chose by itself."""

    names: list[str]
    rows: Iterator[tuple[int, list[str]]]
    note: str = ""


@contextmanager
def opened_csv(path: Path) -> Iterator[Table]:
    """The file as a Table; its rows are read from the open file as they are asked for."""
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
            first = next(cells for cells in reader if cells)
            body: Iterable[list[str]] = reader
            if _is_header(first):
                names, note = _column_names(first, path), ""
            else:
                names = [f"column {number}" for number in range(1, len(first) + 1)]
                body, note = chain([first], reader), "no header: the first line holds numbers"
            rows = _rows(body, reader, len(names), path)
            if not names[0]:
                names, rows = names[1:], ((line, cells[1:]) for line, cells in rows)
                note = "the first column, which has no name, is left out"
            yield Table(names, rows, note)
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


def _is_header(cells: list[str]) -> bool:
    """Names are no numbers; but a frame without names is written with the numbers of its columns as its header."""
    numbers = [(place, cell.strip()) for place, cell in enumerate(cells) if as_number(cell) is not None]
    return all(cell == str(place) for place, cell in numbers) or all(cell == str(place - 1) for place, cell in numbers)


def _column_names(cells: list[str], path: Path) -> list[str]:
    names = [cell.strip() for cell in cells]
    seen: set[str] = set()
    for number, name in enumerate(names, 1):
        if not name and number == 1 and any(names):
            continue  # the row numbers that pandas writes
        if not name:
            raise BadInput(f"{place(path)} line 1: column {number} has no name; name it or remove the column")
        if name in seen:
            raise BadInput(f"{place(path)} line 1: two columns are called {shown(name)}; rename one")
        seen.add(name)
    return names


def _rows(body: Iterable[list[str]], reader: "_csv.Reader", width: int, path: Path) -> Iterator[tuple[int, list[str]]]:
    some = False
    for cells in body:
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
