"""Cells of tables: how pieces of a column are handed on, which texts are numbers, and which mean that nothing is there.

Nothing is decided about whole columns here, and nothing opened.
"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from .arrays import Array

MISSING = frozenset(("", "na", "n/a", "nan", "null", "<na>", "?"))


class Texts(NamedTuple):
    """Cells of some rows as texts: the different ones, and for each row (rows,) the place of its own."""

    texts: list[str]
    codes: Array

    @classmethod
    def of(cls, cells: Iterable[str]) -> "Texts":
        """The cells of some rows, encoded."""
        seen: dict[str, int] = {}
        codes = [seen.setdefault(cell, len(seen)) for cell in cells]
        return cls(list(seen), np.array(codes, np.int64))


# A piece of a column: float64 (rows,) where its type says that it holds numbers, NaN for missing; else its texts.
Cells = Array | Texts


def as_number(cell: str) -> float | None:
    """The number that a cell spells (nan and inf included), or None. 1_000 is no number here."""
    try:
        return None if "_" in cell else float(cell)
    except ValueError:
        return None


def is_missing(cell: str) -> bool:
    """Whether a cell says that there is no value: empty, NA, N/A, NaN, null, <NA> or ?, in any case."""
    return cell.strip().lower() in MISSING


def other_spelling(text: str) -> str:
    """True for true, true for True and TRUE: a boolean of Parquet has no spelling, one of CSV has several."""
    return {"true": "True", "false": "False"}.get(text) or (text.lower() if text.lower() in ("true", "false") else text)
