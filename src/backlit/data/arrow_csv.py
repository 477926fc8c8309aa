"""CSV by pyarrow's reader, where it is installed: the same cells as csv_text.py's, many times faster.

Whatever the two readers could read differently is left to csv_text.py, which also words every error, because it knows
the lines: then NotPlain is raised. No column is understood here.
"""

import mmap
import os
import re
from codecs import BOM_UTF8
from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from .arrow_columns import pyarrow, texts_of
from .cells import MISSING, Cells, Texts
from .csv_text import Layout, with_point

BLOCK = 1 << 20  # bytes that are read together, and the longest line
LONGEST_CELL = 1 << 17  # bytes; the csv module refuses longer ones
MISSING_SPELLED = sorted({"".join(letters) for word in MISSING for letters in product(*((c, c.upper()) for c in word))})
NOT_A_NUMBER = re.compile(r"CSV column #(\d+): (?:Row #\d+: )?CSV conversion error")  # one core counts the rows


class NotPlain(Exception):
    """This file is for csv_text.py. ``column``: only if this column is read as numbers."""

    def __init__(self, column: int | None = None) -> None:
        super().__init__(column)
        self.column = column


def arrow_csv(path: Path, layout: Layout, wanted: Sequence[int], numbers: set[int]) -> Iterator[list[Cells]]:
    """The ``wanted`` columns (places in the line) of the next rows, those among ``numbers`` as float64."""
    arrow = pyarrow("")
    if not _plainly_quoted(path, layout):
        raise NotPlain
    names = [str(k) for k in range(layout.width)]
    convert = arrow.csv.ConvertOptions(
        include_columns=[names[k] for k in wanted],
        column_types={names[k]: arrow.float64() if k in numbers else arrow.string() for k in wanted},
        null_values=MISSING_SPELLED,
        decimal_point=layout.decimal,
    )
    parse = arrow.csv.ParseOptions(delimiter=layout.delimiter, newlines_in_values=True)
    # A file of pyarrow's own, because its threads may be the last to let go of it: once Python has ended they can't let
    # go of one of Python's, and the process is aborted.
    with arrow.OSFile(os.fsencode(path)) as file:
        file.seek(layout.start)
        read = arrow.csv.ReadOptions(column_names=names, block_size=BLOCK)
        try:
            with arrow.csv.open_csv(file, read, parse, convert) as batches:
                for batch in batches:
                    if len(batch):
                        yield [_cells(arrow, column, layout, path) for column in batch.columns]
        except arrow.ArrowInvalid as error:
            found = NOT_A_NUMBER.search(str(error))
            raise NotPlain(int(found[1]) if found and int(found[1]) in numbers else None) from error


def _cells(arrow: Any, column: Any, layout: Layout, path: Path) -> Cells:
    if not arrow.types.is_floating(column.type):
        longest = arrow.compute.max(arrow.compute.binary_length(column)).as_py()
        if longest is not None and longest > LONGEST_CELL:
            raise NotPlain
        texts, codes = texts_of(arrow, column)
        return Texts([with_point(text, path, 0) for text in texts] if layout.decimal == "," else texts, codes)
    values = column.to_numpy(zero_copy_only=False)
    # what isn't finite but came from a text: infinity is refused, and "nan(1)" no number, in words that name the line
    if np.isfinite(values).sum() != len(column) - column.null_count:
        raise NotPlain
    return values


def _plainly_quoted(path: Path, layout: Layout) -> bool:
    """Whether quotes stand around whole cells only, doubled inside: elsewhere, readers differ.

    So they do in a byte-order mark behind the header, and in line ends within quotes, of which pyarrow loses half where
    one of its blocks ends between the two.
    """
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as text:
        if text[layout.start : layout.start + len(BOM_UTF8)] == BOM_UTF8:
            return False
        if text.find(b'"') < 0:
            return True
        ends = re.escape(layout.delimiter.encode()) + rb"\r\n"
        rows = re.compile(rb'(?:[^"]*+(?<![^' + ends + rb'])"(?:[^"\r]++|"")*+"(?=[' + ends + rb"]|\Z))*+[^\"]*+")
        found = rows.match(text, layout.start)
        return found is not None and found.end() == len(text)
