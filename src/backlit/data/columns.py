"""What the input columns of a table hold, numbers or categories, told from their cells; the rules stand here alone.

Takes cells, gives arrays; opens nothing.
"""

import math
import re
from array import array
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..errors import BadInput
from .arrays import Array
from .target_column import as_number
from .wording import listed, place, shown

MISSING = frozenset(("", "na", "n/a", "nan", "null", "<na>", "?"))
MOST_CATEGORIES = 1000
FEW_CATEGORIES = 20  # fewer are categories even if every row has its own
LONGEST_CATEGORY = 200  # characters
DECIMAL_COMMA = re.compile(r"[+-]?[0-9.]*[0-9],[0-9]+")

Categories = tuple[str, ...] | None
Unseen = dict[str, Counter[str]]  # column -> category that training didn't have -> rows that hold it


def is_missing(cell: str) -> bool:
    """Whether a cell says that there is no value: empty, NA, N/A, NaN, null, <NA> or ?, in any case."""
    return cell.strip().lower() in MISSING


class InputColumn:
    """Collects the cells of one column row by row and says at the end what they are.

    Numbers, if every cell that isn't missing is one; categories, if fewer than half are; a column in between is
    refused, because a slip of the pen among numbers is no category. A column with more than MOST_CATEGORIES
    different texts, or with a text of its own in more than every second row, names its rows and is left out.
    """

    def __init__(self, name: str, path: Path) -> None:
        self.name, self.path = name, path
        self.values = array("d")
        self.codes: array[int] | None = array("l")  # None: too many different texts
        self.texts: dict[str, int] = {}
        self.numbers = self.words = 0
        self.first_word: tuple[int, str] | None = None

    def add(self, cell: str, line: int) -> None:
        """Takes the cell of one line. Raises BadInput for numbers that are too large or have a decimal comma."""
        value, missing = number_in(cell, self.name, self.path, line), is_missing(cell)
        self.values.append(math.nan if value is None else value)
        if value is not None:
            self.numbers += 1
        elif not missing:
            self.words += 1
            if self.first_word is None:
                self.first_word = line, cell
        if self.codes is not None:
            text = cell.strip()
            self.codes.append(-1 if missing else self.texts.setdefault(text, len(self.texts)))
            if len(self.texts) > MOST_CATEGORIES or len(text) > LONGEST_CATEGORY:
                self.codes = None
                self.texts = {}

    def finish(self) -> tuple[Array, Categories] | None:
        """(values (N,), None) of numbers; (codes (N,), the categories in sorted order); NaN where missing.

        None: the column is left out.
        """
        if self.first_word is None:
            return np.frombuffer(self.values, np.float64), None
        if self.numbers >= self.words:
            line, cell = self.first_word
            raise BadInput(
                f"{place(self.path)} line {line}, column {shown(self.name)}: wanted a number, as in most of its rows, "
                f"came {shown(cell)}; correct it, leave it empty, or remove the column"
            )
        different = len(self.texts)
        if self.codes is None or (different > FEW_CATEGORIES and 2 * different > len(self.values)):
            return None
        ordered = sorted(self.texts)
        rank = np.array([ordered.index(text) for text in self.texts] + [math.nan])  # the last for code −1: missing
        return rank[np.frombuffer(self.codes, np.dtype("l"))], tuple(ordered)


def number_in(cell: str, name: str, path: Path, line: int) -> float | None:
    """The number in a cell, or None. Raises BadInput for infinity and for a decimal comma."""
    number = as_number(cell)
    if number is None and DECIMAL_COMMA.fullmatch(cell.strip()):
        advice = "write numbers with a point: 1.5"
    elif number is not None and math.isinf(number):
        advice = "it is too large: scale the column"
    else:
        return None if number is None or math.isnan(number) else number
    raise BadInput(f"{place(path)} line {line}, column {shown(name)}: wanted a number, came {shown(cell)}; {advice}")


def known_values(
    cells: Sequence[str],
    names: Sequence[str],
    categories: Sequence[Categories],
    path: Path,
    line: int,
    unseen: Unseen | None = None,
) -> list[float]:
    """The cells of one line as a trained model knows them: numbers, or codes of categories.

    NaN: missing. −1: a category that training didn't have, counted in ``unseen``. Raises BadInput for text where
    numbers were.
    """
    values = []
    for cell, name, known in zip(cells, names, categories, strict=True):
        if known is not None:
            text = "" if is_missing(cell) else cell.strip()
            values.append(float(known.index(text)) if text in known else -1.0)
            if unseen is not None and text and values[-1] < 0:
                unseen.setdefault(name, Counter())[text] += 1
            continue
        number = number_in(cell, name, path, line)
        if number is None and not is_missing(cell):
            raise BadInput(
                f"{place(path)} line {line}, column {shown(name)}: wanted a number, as in training, came "
                f"{shown(cell)}; correct it or leave it empty"
            )
        values.append(math.nan if number is None else number)
    return values


def put_together(columns: Sequence[InputColumn]) -> tuple[Array, list[str], tuple[Categories, ...], list[str]]:
    """(x (N, kept), names of the kept columns, their categories, names of those left out)."""
    finished = [(column.name, column.finish()) for column in columns]
    kept = [(name, *found) for name, found in finished if found is not None]
    left_out = [name for name, found in finished if found is None]
    if not kept:
        raise BadInput(
            f"{place(columns[0].path)}: every column ({listed(left_out)}) has a text of its own in most rows: wanted "
            "numbers or categories to learn from"
        )
    names, values, categories = zip(*kept, strict=True)
    return np.stack(values, axis=1), list(names), tuple(categories), left_out
