"""What the target column of a table means, classes or numbers: the rule stands in TargetColumn alone.

Takes cells, gives arrays; opens nothing.
"""

import math
from array import array
from pathlib import Path

import numpy as np

from ..errors import BadInput
from .arrays import Array
from .wording import place, shown

MOST_CLASSES = 1000  # a column with more different texts is a name or a number per row, not a class
MOST_INTEGER_CLASSES = 20
LONGEST_LABEL = 100  # characters: labels become an array as wide as the longest


def as_number(cell: str) -> float | None:
    """The number that a cell spells (nan and inf included), or None. 1_000 is no number here."""
    try:
        return None if "_" in cell else float(cell)
    except ValueError:
        return None


class TargetColumn:
    """Collects the target's cells row by row and says at the end what they are.

    Any cell that is no number makes the column classes, named by its texts as they stand. Whole numbers
    written without a point are classes if there are at most 20 different ones, each in two rows on average
    (so write 3.0 to have numbers). All else is numbers.
    """

    def __init__(self, name: str, path: Path) -> None:
        self._name, self._path = name, path
        self._texts: dict[str, int] | None = {}  # text -> code, in order of first sight; None: too many to be classes
        self._codes = array("l")
        self._numbers: array[float] | None = array("d")  # None: some cell is no number

    def add(self, cell: str, line: int) -> None:
        """Takes the cell of one line. Raises BadInput naming line and column."""
        number = as_number(cell)
        if not cell.strip() or (number is not None and not math.isfinite(number)):
            self._refuse(line, cell, "a class or a finite number", "fill it or remove the line")
        if number is None:
            self._numbers = None
            if len(cell) > LONGEST_LABEL or "\0" in cell:
                self._refuse(line, cell, f"a class name of at most {LONGEST_LABEL} characters", "name another target")
        elif self._numbers is not None:
            self._numbers.append(number)
        if self._texts is not None:
            self._codes.append(self._texts.setdefault(cell, len(self._texts)))
            if len(self._texts) > MOST_CLASSES:
                self._texts = None
        if self._texts is None and self._numbers is None:
            wanted = f"numbers, or at most {MOST_CLASSES} different classes"
            self._refuse(line, cell, wanted, "name another column as target")

    def finish(self) -> tuple[Array, str]:
        """(y, what it is): y (N,) of str or int64 for classes, else float64. BadInput for one class."""
        if self._numbers is None:
            labels = np.array(list(self._texts or {}))
            kind = "texts"
        else:
            whole = self._few_whole_numbers(len(self._numbers))
            if whole is None:
                return np.frombuffer(self._numbers, np.float64), "numbers"
            labels = np.array(whole, np.int64)
            kind = "few different whole numbers"
        n = len(set(labels.tolist()))
        if n == 1:
            raise BadInput(
                f"{place(self._path)}: target {shown(self._name)} is {shown(labels[0].item())} in every row: "
                "wanted at least two classes; add rows or name another target"
            )
        y: Array = labels[np.frombuffer(self._codes, np.dtype("l"))]
        return y, f"{n} classes ({kind})"

    def _few_whole_numbers(self, rows: int) -> list[int] | None:
        """The texts as integers, in the order of their codes, if they count as classes."""
        texts = [text.strip() for text in self._texts or {}]
        if not texts or not all(t.lstrip("+-").isdecimal() and len(t) < 19 for t in texts):
            return None
        whole = [int(t) for t in texts]
        different = len(set(whole))
        return whole if different <= MOST_INTEGER_CLASSES and 2 * different <= rows else None

    def _refuse(self, line: int, cell: str, wanted: str, advice: str) -> None:
        where = f"{place(self._path)} line {line}, target {shown(self._name)}"
        raise BadInput(f"{where}: wanted {wanted}, came {shown(cell)}; {advice}")
