"""Cells of tables: how pieces of a column are handed on, which texts are numbers, and which mean that nothing is there.

Nothing is decided about whole columns here, and nothing opened.
"""

from collections.abc import Collection, Container, Iterable
from typing import NamedTuple

import numpy as np

from .arrays import Array

BOOLEANS = {"true": ("True", "true", "TRUE"), "false": ("False", "false", "FALSE")}
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


def known_text(text: str, known: Container[str]) -> str | None:
    """The one of the known texts that this text is; None for a new one.

    White space around it doesn't count, and neither does how a boolean is spelled: Parquet's have no spelling, and CSV
    has three.
    """
    spellings = (text, text.strip(), *BOOLEANS.get(text.strip().lower(), ()))  # " yes" is a class of older models
    return next((spelling for spelling in spellings if spelling in known), None)


def one_spelling(texts: Collection[str]) -> dict[str, str]:
    """Each text and its own; True or False for all booleans among them, where one is spelled in two ways."""
    mixed = any(sum(spelling in texts for spelling in spellings) > 1 for spellings in BOOLEANS.values())
    return {text: BOOLEANS.get(text.lower(), (text,))[0] if mixed else text for text in texts}
