"""Text of a CSV file -> a header and rows of cells, line by line, with bounded memory. What cells mean: tables.py."""

import csv
import os
import re
from codecs import BOM_UTF8, BOM_UTF16_BE, BOM_UTF16_LE, BOM_UTF32_BE, BOM_UTF32_LE
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import chain, islice, takewhile
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TextIO

from ..errors import BadInput
from .cells import as_number
from .header import is_header
from .wording import place, reading, shown

if TYPE_CHECKING:
    import _csv

LONGEST_HEADER = 1 << 17  # characters of a header with line breaks in quotes
LONGEST_LINE = 1 << 24  # characters; a file without line ends must not be read as one line
DELIMITERS = ",;\t|"
SHOWN = {";": "semicolons", "\t": "tabs", "|": "bars"}
SAMPLE = 1000  # lines that tell a decimal comma
ROWS_DIVIDED = 20  # tell what divides cells
COMMA_NUMBER = re.compile(r"[+-]?([0-9]*,[0-9]+|[0-9]+,)([eE][+-]?[0-9]+)?")
FOR_EXCEL = re.compile(r'"?sep=([,;\t|])"?\s*', re.IGNORECASE)
ESCAPED = re.compile("[\udc80-\udcff]")  # what errors="surrogateescape" makes of a byte that isn't UTF-8
PARQUET_MARK = b"PAR1"  # also a fine name of a column: it stands at the end, too
OTHER_KINDS = {
    b"\x1f\x8b": "packed by gzip: unpack it first",
    b"PK\x03\x04": "a workbook or another zip archive: save the table in it as CSV",
    b"\xd0\xcf\x11\xe0": "an old workbook: save the table in it as CSV",
    PARQUET_MARK: "a Parquet file: name it .parquet",
}  # how they begin
THOUSANDS = re.compile(r"[+-]?[0-9]{1,3}(\.[0-9]{3})+,[0-9]+")


class Layout(NamedTuple):
    """How the text of a file is divided: what a faster reader has to know to read the same."""

    delimiter: str
    decimal: str
    start: int  # byte at which the rows begin
    unnamed_first: bool  # the first column has no name and is left out
    width: int


class Table(NamedTuple):
    """Columns' names, rows as (line or row number, cells), at least one, and what the reader chose by itself."""

    names: list[str]
    rows: Iterator[tuple[int, list[str]]]
    note: str
    layout: Layout


@contextmanager
def opened_csv(path: Path, known: Collection[str] = (), *, unnamed: bool = False) -> Iterator[Table]:
    """The file as a Table; its rows are read from the open file as they are asked for.

    A first line that holds all ``known`` names is a header, whatever else it looks like. A first column without a name
    is left out, or kept as ``unnamed``.
    """
    with (
        reading(path, "a table of numbers in UTF-8 with a header"),
        path.open(encoding="utf-8-sig", newline="") as file,
    ):
        _refuse_other_kinds(path)
        seen = _Counted(_lines(file, path))
        try:
            head = _head(seen)
            if not head:
                raise BadInput(f"{place(path)}: is empty: wanted a header line and rows of numbers")
            sample = _sample(seen)
            seen.lines = chain(_without_blanks(head), sample, seen.lines)
            seen.count = 0
            yield _table(head, sample, seen, path, known, unnamed)
        except csv.Error as error:
            raise BadInput(f"{place(path)} near line {seen.count}: {error}; check its quotes") from error
        except UnicodeDecodeError as error:
            raise BadInput(
                f"{place(path)} line {_undecodable(path)}: wanted UTF-8 text, came byte "
                f"0x{error.object[error.start]:02x}; save the file as UTF-8"
            ) from error


def _refuse_other_kinds(path: Path) -> None:
    """BadInput for other kinds of files under this name, and for UTF-16, which spreadsheets call Unicode.

    That has a mark, or zero in every other byte.
    """
    with path.open("rb") as file:
        begin = file.read(64)
        file.seek(-min(4, path.stat().st_size), os.SEEK_END)
        end = file.read()
    for mark, kind in OTHER_KINDS.items():
        if begin.startswith(mark) and (mark != PARQUET_MARK or end == mark):
            raise BadInput(f"{place(path)}: is {kind}")
    marked = begin.startswith((BOM_UTF16_LE, BOM_UTF16_BE)) and not begin.startswith((BOM_UTF32_LE, BOM_UTF32_BE))
    halves = sorted(half.count(0) / max(1, len(half)) for half in (begin[::2], begin[1::2]))
    if marked or (halves[1] > 0.7 and halves[0] < 0.3):
        raise BadInput(f"{place(path)}: is text in UTF-16: wanted UTF-8; save the file as CSV in UTF-8")
    if 3 * begin.count(0) > len(begin):
        raise BadInput(f"{place(path)}: is no text in UTF-8: wanted a table, each row a line")


def _undecodable(path: Path) -> int:
    """The first line that isn't UTF-8: what is decoded at once holds many."""
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        return next(number for number, line in enumerate(_lines(file, path), 1) if ESCAPED.search(line))


class _Counted:
    """Lines, and how many of them have been taken."""

    def __init__(self, lines: Iterator[str]) -> None:
        self.lines, self.count = lines, 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = next(self.lines)
        self.count += 1
        return line


def _sample(lines: Iterable[str]) -> list[str]:
    """The first lines behind the header, few enough to be kept."""
    sample, length = [], 0
    for line in lines:
        sample.append(line)
        length += len(line)
        if len(sample) == SAMPLE or length > LONGEST_HEADER:
            break
    return sample


def _table(
    head: list[str], sample: list[str], lines: _Counted, path: Path, known: Collection[str], unnamed: bool
) -> Table:
    delimiter = _delimiter(head, sample, path, known)
    decimal = _decimal([*head, *sample], delimiter)
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    first = next(cells for cells in reader if cells)
    header_lines = reader.line_num  # not always those of the head, which is told from quotes alone
    body: Iterable[list[str]] = reader
    notes = [] if delimiter == "," else [f"cells are divided by {SHOWN[delimiter]}"]
    header = is_header(first, _some_rows(sample, delimiter), decimal, known)
    if header:
        names = _column_names(first, path)
        if any(as_number(name) is not None for name in names):
            notes.append("the first line is taken for names, though it holds numbers")
    else:
        names = [f"column {number}" for number in range(1, len(first) + 1)]
        body = chain([first], reader)
        notes.append("no header: the first line holds numbers")
    rows = _rows(body, reader, len(names), path)
    if decimal == ",":
        rows = ((line, [with_point(cell, path, line) for cell in cells]) for line, cells in rows)
        notes.append("numbers are read with a decimal comma")
    start = _start(header_lines if header else _blank_lines(head), path)
    layout = Layout(delimiter, decimal, start, not names[0] and not unnamed, len(names))
    if layout.unnamed_first:
        names, rows = names[1:], ((line, cells[1:]) for line, cells in rows)
        notes.append("the first column, which has no name, is left out")
    return Table(names, rows, "; ".join(notes), layout)


def _start(lines: int, path: Path) -> int:
    """The byte behind so many first lines and a byte-order mark."""
    with path.open("rb") as file:
        mark = len(BOM_UTF8) if file.read(len(BOM_UTF8)) == BOM_UTF8 else 0
    with path.open(encoding="utf-8-sig", newline="") as file:
        return mark + sum(len(line.encode()) for line in islice(_lines(file, path), lines))


def _decimal(sample: list[str], delimiter: str) -> str:
    """ "," where the first rows hold numbers like 1,5 and none like 1.5."""
    if delimiter == ",":
        return "."
    try:
        cells = [cell.strip() for row in csv.reader(sample, delimiter=delimiter) for cell in row]
    except csv.Error:
        return "."
    commas = any(COMMA_NUMBER.fullmatch(cell) for cell in cells)
    return "," if commas and not any("." in cell and as_number(cell) is not None for cell in cells) else "."


def with_point(cell: str, path: Path, line: int) -> str:
    """A cell of a table with decimal commas; BadInput for 1.5, which could be meant as 15, and for 1.234,5."""
    if "," in cell and COMMA_NUMBER.fullmatch(cell.strip()):
        return cell.replace(",", ".")
    thousands = THOUSANDS.fullmatch(cell.strip())
    if "." in cell and (thousands or as_number(cell) is not None):
        how = f"numbers without signs between thousands: {cell.strip().replace('.', '')}" if thousands else "all alike"
        raise BadInput(
            f"{place(path)} line {line}: came {shown(cell)} in a table whose other numbers have decimal commas; "
            f"write {how}"
        )
    return cell


def _head(lines: Iterator[str]) -> list[str]:
    """The lines up to the end of the header, which may hold line breaks in quotes; nothing for an empty file."""
    head: list[str] = []
    quotes = length = 0
    for line in lines:
        head.append(line)
        quotes += line.count('"')
        length += 0 if _is_blank(line) else len(line.strip())
        if (length and quotes % 2 == 0) or length > LONGEST_HEADER:
            break
    return head if length else []


def _delimiter(head: list[str], sample: list[str], path: Path, known: Collection[str]) -> str:
    """What divides the first line into cells: into names that are known, as the file's name says, or into numbers.

    Else into as many as most of the next lines, "Price, EUR" being rather one name, and those into the most numbers.
    """
    if said := next(filter(None, map(FOR_EXCEL.fullmatch, head)), None):
        return said[1]
    lines = _without_blanks(head)

    def fit(delimiter: str) -> tuple[float, ...]:
        cells = max(_divided(lines, delimiter), key=len, default=[])
        by_suffix = delimiter == "\t" and path.suffix.lower() == ".tsv"
        named = by_suffix or (bool(known) and {cell.strip() for cell in cells}.issuperset(known))
        alike = [row for row in _divided(sample, delimiter) if len(row) == len(cells)]
        numbers = sum(map(_number_like, chain(*alike)))
        one_name = any(cell.startswith(" ") for cell in cells[1:])
        return len(cells) > 1, named, all(map(_number_like, cells)), len(alike), not one_name, numbers, len(cells)

    return max(DELIMITERS, key=fit)


def _number_like(cell: str) -> bool:
    return as_number(cell) is not None or COMMA_NUMBER.fullmatch(cell.strip()) is not None


def _divided(lines: list[str], delimiter: str) -> list[list[str]]:
    """The first rows of some lines; none where quotes make no sense with this delimiter."""
    try:
        return list(islice(csv.reader(lines, delimiter=delimiter, strict=True), ROWS_DIVIDED))
    except csv.Error:
        return []


def _without_blanks(head: list[str]) -> list[str]:
    """As many lines, those before the first cell empty; behind it white space may stand in quotes."""
    count = _blank_lines(head)
    return ["\n"] * count + head[count:]


def _blank_lines(head: list[str]) -> int:
    return len(list(takewhile(_is_blank, head)))


def _is_blank(line: str) -> bool:
    """Whether a line before the first cell says nothing: white space, or the sep=; that Excel wants."""
    return not line.strip() or FOR_EXCEL.fullmatch(line) is not None


def _some_rows(sample: list[str], delimiter: str) -> list[list[str]]:
    """Rows of the first lines, as far as their quotes make sense."""
    rows: list[list[str]] = []
    with suppress(csv.Error):
        rows.extend(csv.reader(sample, delimiter=delimiter))
    return rows


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
        if not cells or (len(cells) == 1 < width and not cells[0].strip()):
            continue  # an empty line, or one of white space
        if len(cells) != width:
            halves = "; numbers like 1,5 need semicolons between the cells" if len(cells) == 2 * width else ""
            came = f"{len(cells)} cell{'s' * (len(cells) > 1)}"
            raise BadInput(
                f"{place(path)} line {reader.line_num}: has {came}: wanted {width}, as in the header; "
                f"complete or remove the line{halves}"
            )
        some = True
        yield reader.line_num, cells
    if not some:
        raise BadInput(f"{place(path)}: has a header but no rows: wanted a line of its own for each")
