"""What the target column of a table means, classes or numbers: the rule stands in TargetColumn alone.

Takes pieces of the column, gives arrays; opens nothing.
"""

import math
from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np

from ..errors import BadInput
from .arrays import Array
from .cells import Cells, Texts, as_number, is_missing, known_text, one_spelling
from .columns import as_spelled, known_cells, meant_as_number, spelling_advice
from .targets import Label
from .wording import at, listed, place, shown

MOST_CLASSES = 1000  # a column with more different texts is a name or a number per row, not a class
MOST_INTEGER_CLASSES = 20
FEW_CLASSES = 20  # fewer are classes even if every row has its own
LONGEST_LABEL = 100  # characters: labels become an array as wide as the longest


class TargetColumn:
    """Collects the target's cells and says at the end what they are.

    Any cell that is no number makes the column classes, named by its texts. As in columns of categories, white space
    around a text doesn't count: "yes" and " yes" would be two classes that nobody can tell apart; and neither does
    how a boolean is spelled, where it is in several ways. Whole numbers
    written without a point are classes if there are at most 20 different ones, each in two rows on average
    (so write 3.0 to have numbers). All else is numbers, and so is a column whose type says that it holds fractions.
    A text where most rows hold such numbers is a slip of the pen, and refused.
    """

    def __init__(self, name: str, path: Path) -> None:
        self._name, self._path = name, path
        self._texts: dict[str, int] | None = {}  # text -> code, in order of first sight; None: too many to be classes
        self._codes: list[Array] = []
        self._numbers: list[Array] | None = []  # None: some cell is no number
        self._missing: tuple[int, str] | None = None  # the first NA or the like; a class only among other texts
        self._word: tuple[int, str] | None = None  # the first text that is no number and not missing
        self._rows = self._number_rows = 0

    def add(self, cells: Cells, lines: Sequence[int]) -> None:
        """Takes the next cells and their lines. Raises BadInput naming line and column."""
        if not isinstance(cells, Texts):
            odd = ~np.isfinite(cells)
            if odd.any():
                row = int(np.argmax(odd))
                self._refuse_missing(lines[row], "" if np.isnan(cells[row]) else str(float(cells[row])))
            assert self._numbers is not None  # a column has one type
            self._texts = None
            self._numbers.append(cells)
            return
        numbers = [as_number(text) for text in cells.texts]
        codes: list[int] = []
        self._rows += len(cells.codes)
        given = zip(cells.texts, numbers, strict=True)
        meant = np.array([number is not None or spelling_advice(text) is not None for text, number in given], bool)
        self._number_rows += int(meant[cells.codes].sum())
        for code, (text, number) in enumerate(zip(cells.texts, numbers, strict=True)):
            if not text.strip() or (number is not None and not math.isfinite(number)):
                self._refuse_missing(_first(cells, code, lines), text)
            if number is None:
                self._numbers = None
                self._note_word(_first(cells, code, lines), text)
                if len(text) > LONGEST_LABEL or "\0" in text:
                    wanted = f"a class name of at most {LONGEST_LABEL} characters"
                    self._refuse(_first(cells, code, lines), text, wanted, "name another target")
            if self._texts is not None:
                codes.append(self._texts.setdefault(text.strip(), len(self._texts)))
                if len(self._texts) > MOST_CLASSES:
                    self._texts = None
            if self._texts is None and self._numbers is None:
                self._refuse_missing_words()
                self._refuse_slip(None)
                wanted = f"numbers, or at most {MOST_CLASSES} different classes"
                self._refuse(_first(cells, code, lines), text, wanted, "name another column as target")
        if self._texts is not None:
            self._codes.append(np.array(codes, np.int64)[cells.codes])
        if self._numbers is not None:
            self._numbers.append(np.array(numbers, np.float64)[cells.codes])

    def finish(self) -> tuple[Array, str]:
        """(y, what it is): y (N,) of str or int64 for classes, else float64. BadInput for one class."""
        if self._numbers is None:
            self._refuse_missing_words()
            self._refuse_slip(self._texts)
            labels = np.array(list(one_spelling(self._texts or {}).values()))
            kind = "texts"
        else:
            whole = self._few_whole_numbers(sum(map(len, self._numbers)))
            if whole is None:
                numbers = np.concatenate(self._numbers)
                if numbers.min() == numbers.max():
                    self._refuse_constant(float(numbers[0]), "at least two different numbers")
                return numbers, "numbers"
            labels = np.array(whole, np.int64)
            kind = "few different whole numbers"
        n, rows = len(set(labels.tolist())), sum(map(len, self._codes))
        if n == 1:
            self._refuse_constant(labels[0].item(), "at least two classes")
        refuse_names(n, rows, self._name, self._path)
        y: Array = labels[np.concatenate(self._codes)]
        rare = f" in {rows} rows, too few to learn a class from" if 2 * n > rows else ""
        return y, f"{n} classes ({kind}){rare}"

    def _few_whole_numbers(self, rows: int) -> list[int] | None:
        """The texts as integers, in the order of their codes, if they count as classes."""
        texts = list(self._texts or {})
        if not texts or not all(t.lstrip("+-").isdecimal() and len(t) < 19 for t in texts):
            return None
        whole = [int(t) for t in texts]
        different = len(set(whole))
        return whole if different <= MOST_INTEGER_CLASSES and 2 * different <= rows else None

    def _refuse_constant(self, value: object, wanted: str) -> None:
        raise BadInput(
            f"{place(self._path)}: target {shown(self._name)} is {shown(value)} in every row: wanted {wanted}; "
            "add rows or name another target"
        )

    def _note_word(self, line: int, cell: str) -> None:
        if not is_missing(cell):
            self._word = self._word or (line, cell)
        elif self._missing is None:
            self._missing = line, cell

    def _refuse_missing_words(self) -> None:
        """Among numbers, NA means that nothing is there; among texts it may be a class."""
        if self._word is None and self._missing is not None:
            self._refuse_missing(*self._missing)

    def _refuse_slip(self, texts: Collection[str] | None) -> None:
        """BadInput for a word among numbers; ``texts`` are all different ones, None if too many for classes."""
        if self._word is not None and 2 * self._number_rows > self._rows and (texts is None or no_classes(texts)):
            self._refuse(*self._word, "a number, as in most of its rows",
                         spelling_advice(self._word[1]) or "correct it or remove the line")  # fmt: skip

    def _refuse_missing(self, line: int, cell: str) -> None:
        self._refuse(line, cell, "a class or a finite number", "fill it or remove the line")

    def _refuse(self, line: int, cell: str, wanted: str, advice: str) -> None:
        where = f"{at(self._path, line)}, target {shown(self._name)}"
        raise BadInput(f"{where}: wanted {wanted}, came {shown(cell)}; {advice}")


def known_answers(
    cells: Cells, name: str, classes: tuple[Label, ...] | None, path: Path, lines: Sequence[int]
) -> Array:
    """Cells (rows,) of the target as a trained model knows it: labels out of ``classes``, numbers where it has none.

    Raises BadInput naming line and column for a label that training didn't have, and where nothing is.
    """
    where = f"target {shown(name)}"
    if classes is None:
        numbers = known_cells(cells, name, None, path, lines)
        if np.isnan(numbers).any():
            line = lines[int(np.argmax(np.isnan(numbers)))]
            raise BadInput(f"{at(path, line)}, {where}: wanted a number, came nothing; fill it or remove the line")
        return numbers
    texts, codes = as_spelled(cells)
    found = [_label(text, classes) for text in texts]
    if None in found:
        code = found.index(None)
        line = lines[int(np.argmax(codes == code))]
        wanted = listed(map(str, classes))
        raise BadInput(
            f"{at(path, line)}, {where}: wanted one of the classes of training, {wanted}, came {shown(texts[code])}; "
            "correct it or remove the line"
        )
    labels: Array = np.array(found)[codes]
    return labels


def _label(text: str, classes: tuple[Label, ...]) -> Label | None:
    if isinstance(classes[0], str):
        return known_text(text, classes)  # type: ignore[arg-type]
    number = as_number(text)  # 3.0 and 3 are one label; a long whole number is no float
    exact = int(text) if number is not None and len(text) < 40 and text.strip().lstrip("+-").isdecimal() else number
    return next((label for label in classes if label == exact), None)


def no_classes(texts: Collection[str]) -> bool:
    """Whether those of the different texts that are numbers couldn't be classes: fractions, or too many."""
    whole = all(text.lstrip("+-").isdecimal() for text in texts if as_number(text) is not None)
    return not whole or sum(map(meant_as_number, texts)) > MOST_INTEGER_CLASSES


def refuse_names(classes: int, rows: int, name: str, path: Path) -> None:
    """BadInput for a target whose texts name its rows: a new row has a name that no training has seen."""
    if classes > FEW_CLASSES and 2 * classes > rows:
        raise BadInput(
            f"{place(path)}: target {shown(name)} has {classes:,} classes in {rows:,} rows: it names the rows; wanted "
            "classes of several rows each, or numbers; name another column as target"
        )


def _first(cells: Texts, code: int, lines: Sequence[int]) -> int:
    """The line of the first row that holds this text."""
    return lines[int(np.argmax(cells.codes == code))]
