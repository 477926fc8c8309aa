"""What the input columns of a table hold, numbers or categories, told from their cells; the rules stand here alone.

Takes pieces of columns, gives arrays; opens nothing.
"""

import math
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..errors import BadInput
from .arrays import Array
from .cells import Cells, Texts, as_number, is_missing, known_text
from .wording import at, listed, place, shown

MOST_CATEGORIES = 1000
FEW_CATEGORIES = 20  # fewer are categories even if every row has its own
LONGEST_CATEGORY = 200  # characters
THOUSANDS = re.compile(r"[+-]?([1-9][0-9]{0,2}(,[0-9]{3})+(\.[0-9]+)?|[1-9][0-9]{0,2}(\.[0-9]{3})+,[0-9]+)")
DECIMAL_COMMA = re.compile(r"[+-]?[0-9.]*[0-9],[0-9]+")
SIGNED_NUMBER = re.compile(r"[+-]?([^\w\s]{0,2}?)\s?[+-]?[0-9][0-9.,' _\u00a0\u202f]*([^\w\s]|[A-Za-z]{1,3}|°[CF])?")
FIRST_WORDS = 20  # are asked whether they are numbers with one sign or unit; those that name rows have many
EVERY = 10**6  # names in a list that leaves nothing out
DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}([T ].*)?|[0-9]{1,2}[./][0-9]{1,2}[./][0-9]{2,4}")

Categories = tuple[str, ...] | None
Unseen = dict[str, Counter[str]]  # column -> category that training didn't have -> rows that hold it


class InputColumn:
    """Looks at the pieces of one column and says at the end what they are; numbers are kept by the caller.

    Numbers, if every cell that isn't missing is one; categories, if fewer than half are; a column in between is
    refused, because a slip of the pen among numbers is no category. A column with more than MOST_CATEGORIES
    different texts, or with a text of its own in more than every second row, names its rows and is left out. So is one
    that holds nothing: what it will hold later has no scale.
    """

    def __init__(self, name: str, path: Path) -> None:
        self.name, self.path = name, path
        self.codes: list[Array] | None = []  # None: too many different texts, or no texts at all
        self.texts: dict[str, int] = {}
        self.rows = self.numbers = self.words = 0
        self.first_word: tuple[int, str] | None = None
        self.first_words: set[str] = set()

    def add(self, cells: Cells, lines: Sequence[int]) -> Array:
        """The next cells (rows,) of these lines as numbers, NaN for missing values and texts.

        BadInput for numbers that are too large or have a decimal comma.
        """
        self.rows += len(lines)
        if isinstance(cells, Texts):
            return self._add_texts(cells, lines)
        self.codes = None
        self.numbers += int(np.count_nonzero(~np.isnan(cells)))
        return finite_or_missing(cells, self.name, self.path, lines)

    def _add_texts(self, cells: Texts, lines: Sequence[int]) -> Array:
        missing = np.array([is_missing(text) for text in cells.texts], bool)
        values = numbers_in(cells, self.name, self.path, lines)
        counts = np.bincount(cells.codes, minlength=len(cells.texts))
        word = np.isnan(values) & ~missing
        self.numbers += int(counts[~missing & ~word].sum())
        self.words += int(counts[word].sum())
        if self.first_word is None and word.any():
            row = int(np.argmax(word[cells.codes]))
            self.first_word = lines[row], cells.texts[int(cells.codes[row])]
        if len(self.first_words) < FIRST_WORDS:
            self.first_words.update(cells.texts[code].strip() for code in np.flatnonzero(word)[:FIRST_WORDS].tolist())
        if self.codes is not None:
            self._add_codes(cells, missing)
        numbers: Array = values[cells.codes]
        return numbers

    def _add_codes(self, cells: Texts, missing: Array) -> None:
        assert self.codes is not None
        stripped = [text.strip() for text in cells.texts]
        known = [-1 if gone else self.texts.setdefault(t, len(self.texts))
                 for t, gone in zip(stripped, missing.tolist(), strict=True)]  # fmt: skip
        self.codes.append(np.array(known, np.int32)[cells.codes])
        if len(self.texts) > MOST_CATEGORIES or max(map(len, stripped)) > LONGEST_CATEGORY:
            self.codes = None
            self.texts = {}

    def finish(self) -> tuple[Array | None, Categories] | None:
        """(None, None) for numbers; (codes (N,) with NaN where missing, the categories in sorted order).

        None: the column is left out.
        """
        if self.first_word is None:
            return (None, None) if self.numbers else None
        if self.numbers >= self.words:
            line, cell = self.first_word
            raise BadInput(
                f"{at(self.path, line)}, column {shown(self.name)}: wanted a number, as in most of its rows, "
                f"came {shown(cell)}; correct it, leave it empty, or drop the column: --drop {shown(self.name)}"
            )
        different = len(self.texts)
        if self.codes is None or (different > FEW_CATEGORIES and 2 * different > self.rows):
            return None
        ordered = sorted(self.texts)
        place_of = {text: float(rank) for rank, text in enumerate(ordered)}
        rank = np.array([place_of[text] for text in self.texts] + [math.nan])  # the last for code −1: missing
        return rank[np.concatenate(self.codes)], tuple(ordered)

    def holds_dates(self) -> bool:
        """Whether its first text is one; people then want to know what to do about it."""
        return self.first_word is not None and DATE.fullmatch(self.first_word[1].strip()) is not None

    def holds_signed_numbers(self) -> bool:
        """Whether most of its first texts are numbers with the same sign or unit; 12A, 12B and 12C are none."""
        found = [SIGNED_NUMBER.fullmatch(text) for text in self.first_words]
        most = Counter(number.groups() for number in found if number).most_common(1)
        return bool(most) and most[0][1] > max(1, len(found) // 2)


def advice(left_out: Sequence[InputColumn]) -> list[str]:
    """What to do about columns that can't be used, by kind: their names in a sentence for each."""
    dates = [column.name for column in left_out if column.holds_dates()]
    signs = [column.name for column in left_out if column.holds_signed_numbers() and column.name not in dates]
    told = [f"dates are no numbers, give days or months instead: {listed(dates, EVERY)}"] if dates else []
    return told + ([f"write numbers without %, units and the like: {listed(signs, EVERY)}"] if signs else [])


def finite_or_missing(values: Array, name: str, path: Path, lines: Sequence[int]) -> Array:
    """Numbers (rows,) of a typed column as they are; BadInput naming the first that is infinite."""
    infinite = np.isinf(values)
    if infinite.any():
        row = int(np.argmax(infinite))
        raise BadInput(
            f"{at(path, lines[row])}, column {shown(name)}: wanted a number, came {float(values[row])}; it is too "
            "large: scale the column"
        )
    return values


def numbers_in(cells: Texts, name: str, path: Path, lines: Sequence[int]) -> Array:
    """The number in each of the texts, NaN for none. Raises BadInput for infinity and for a decimal comma."""
    values = np.full(len(cells.texts), math.nan)
    for code, text in enumerate(cells.texts):
        number = as_number(text)
        if number is None:
            advice = spelling_advice(text)
        else:
            advice = "it is too large: scale the column" if math.isinf(number) else None
        if advice is not None:
            line = lines[int(np.argmax(cells.codes == code))]
            raise BadInput(f"{at(path, line)}, column {shown(name)}: wanted a number, came {shown(text)}; {advice}")
        if number is not None:
            values[code] = number
    return values


def spelling_advice(cell: str) -> str | None:
    """How to write a number that has a comma; None for another text. 1,000 with a point would be a thousandth of it."""
    text = cell.strip()
    if THOUSANDS.fullmatch(text):
        signs, point = (",", ".") if "." not in text or text.index(",") < text.index(".") else (".", ",")
        return f"write numbers without signs between thousands: {text.replace(signs, '').replace(point, '.')}"
    return "write numbers with a point: 1.5" if DECIMAL_COMMA.fullmatch(text) else None


def meant_as_number(cell: str) -> bool:
    """Whether a cell is a number, or one that has a comma."""
    return as_number(cell) is not None or spelling_advice(cell) is not None


def number_in(cell: str, name: str, path: Path, line: int) -> float | None:
    """The number in one cell, or None; see numbers_in."""
    number = float(numbers_in(Texts([cell], np.zeros(1, np.int64)), name, path, [line])[0])
    return None if math.isnan(number) else number


def known_cells(
    cells: Cells, name: str, known: Categories, path: Path, lines: Sequence[int], unseen: Unseen | None = None
) -> Array:
    """Cells (rows,) as a trained model knows them: numbers, or codes of the categories ``known``.

    NaN: missing. −1: a category that training didn't have, counted in ``unseen``. Raises BadInput for text where
    numbers were.
    """
    if known is not None:
        return _known_codes(as_spelled(cells), name, known, unseen)
    if not isinstance(cells, Texts):
        return finite_or_missing(cells, name, path, lines)
    values = numbers_in(cells, name, path, lines)
    odd = [k for k in np.flatnonzero(np.isnan(values)).tolist() if not is_missing(cells.texts[k])]
    if odd:
        row = int(np.argmax(np.isin(cells.codes, odd)))
        raise BadInput(
            f"{at(path, lines[row])}, column {shown(name)}: wanted a number, as in training, came "
            f"{shown(cells.texts[int(cells.codes[row])])}; correct it or leave it empty"
        )
    found: Array = values[cells.codes]
    return found


def _known_codes(cells: Texts, name: str, known: tuple[str, ...], unseen: Unseen | None) -> Array:
    place_of = {text: float(code) for code, text in enumerate(known)}
    places, counts = np.empty(len(cells.texts)), np.bincount(cells.codes, minlength=len(cells.texts))
    for code, cell in enumerate(cells.texts):
        text = "" if is_missing(cell) else cell.strip()
        known_as = known_text(text, place_of)
        places[code] = -1.0 if known_as is None else place_of[known_as]
        if unseen is not None and text and known_as is None:
            unseen.setdefault(name, Counter())[text] += int(counts[code])
    result: Array = places[cells.codes]
    return result


def as_spelled(cells: Cells) -> Texts:
    """Typed numbers where training had texts, as CSV would spell them."""
    if isinstance(cells, Texts):
        return cells
    values, codes = np.unique(cells, return_inverse=True)
    return Texts([as_text(value) for value in values.tolist()], codes)


def as_text(value: float) -> str:
    """A number as CSV spells it, whole ones without a point; "" for NaN."""
    return "" if math.isnan(value) else str(int(value)) if value.is_integer() else str(value)


def put_together(
    columns: Sequence[InputColumn], x: Array
) -> tuple[Array, list[str], tuple[Categories, ...], list[InputColumn]]:
    """(x (N, kept), names of the kept columns, their categories, those left out).

    ``x`` (N, columns) holds the numbers of all; codes of categories are written into it.
    """
    kept: list[int] = []
    categories: list[Categories] = []
    left_out: list[InputColumn] = []
    for k, column in enumerate(columns):
        found = column.finish()
        if found is None:
            left_out.append(column)
            continue
        codes, known = found
        if codes is not None:
            x[:, k] = codes
        kept.append(k)
        categories.append(known)
    if not kept:
        every = listed(column.name for column in left_out)
        raise BadInput(
            f"{place(columns[0].path)}: every column ({every}) is empty or has a text of its own in most rows: wanted "
            f"numbers or categories to learn from{'; '.join(['', *advice(left_out)])}"
        )
    return x[:, kept] if left_out else x, [columns[k].name for k in kept], tuple(categories), left_out
