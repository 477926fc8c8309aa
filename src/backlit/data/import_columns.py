"""What an import has seen of the columns of a table in its first pass, and what follows from it. Nothing is opened.

What cells mean is told in columns.py and target_column.py, what is learned in preparation.py; here memory is bounded.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import BadInput
from .arrays import Array
from .cells import as_number, is_missing, one_spelling
from .columns import FEW_CATEGORIES, MOST_CATEGORIES, Categories, meant_as_number, spelling_advice
from .preparation import Preparation
from .table_chunks import Cells
from .target_column import MOST_CLASSES, MOST_INTEGER_CLASSES, no_classes, refuse_names
from .wording import listed, place, shown


def in_test_part(first: int, count: int, share: float) -> Array:
    """Whether each of the rows from ``first`` on belongs to the test part: a hash of its number, below the share."""
    with np.errstate(over="ignore"):  # splitmix64: Steele, Lea and Flood, 2014
        z = np.arange(first, first + count, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z ^= z >> np.uint64(31)
    result: Array = z.astype(np.float64) < share * 2.0**64
    return result


@dataclass
class SeenColumn:
    """What has been seen of one column: moments of the training rows, and texts as long as they are few.

    ``count`` numbers are in training rows, ``numbers`` in all.
    """

    count: int = 0
    numbers: int = 0
    mean: float = 0.0
    squares: float = 0.0
    low: float = math.inf
    high: float = -math.inf
    words: int = 0
    missing: bool = False
    texts: set[str] | None = field(default_factory=set)

    def add(self, cells: Cells, train: Array) -> None:
        if isinstance(cells, list):
            words = [cell for cell in cells if cell]
            self.words += len(words)
            self.missing |= len(words) < len(cells)
            if self.texts is not None:
                self.texts.update(words)
                if len(self.texts) > MOST_CATEGORIES:
                    self.texts = None
            return
        given = ~np.isnan(cells)
        self.numbers += int(given.sum())
        self.missing |= not given.all()
        values = cells[train & given]
        if not len(values):
            return
        # Chan, Golub and LeVeque (1979): two samples' means and sums of squares become those of both together
        with np.errstate(over="ignore", invalid="ignore"):  # what is too large is told at the end
            n, mean = len(values), float(values.mean())
            apart, together = mean - self.mean, self.count + n
            self.squares += float(((values - mean) ** 2).sum()) + apart * apart * self.count * n / together
            self.mean += apart * n / together
        self.count = together
        self.low, self.high = float(min(self.low, values.min())), float(max(self.high, values.max()))

    def moments(self, rows: int) -> tuple[float, float]:
        """Mean and deviation over so many training rows; where a number is missing, the mean stands for it."""
        if self.words or self.low == self.high or not self.count:
            return (0.0 if self.words or not self.count else float(self.low)), 1.0
        return self.mean, math.sqrt(self.squares / rows) or 1.0


@dataclass
class Seen:
    """What has been seen of a table: columns, different texts of the target (None: too many), rows of both parts.

    ``word`` is the target's first text that is no number: its row from 1, and the text.
    """

    columns: list[SeenColumn]
    answers: set[str] | None = field(default_factory=set)
    rows: int = 0
    tested: int = 0
    word: tuple[int, str] | None = None

    def add(self, cells: list[Cells], position: int, share: float, path: Path, name: str) -> None:
        count = len(cells[0])
        test = in_test_part(self.rows, count, share)
        for k, column in enumerate(self.columns):
            if k != position:
                column.add(cells[k], ~test)
        texts, numbers = _answers(cells[position], path, name)
        if numbers is not None:
            self.columns[position].add(numbers, ~test)
        elif self.word is None:
            odd = ((row, cell) for row, cell in enumerate(cells[position], self.rows + 1) if _is_word(cell))
            self.word = next(odd, None)
        if self.answers is not None:
            self.answers.update(texts)
            self.answers = None if len(self.answers) > MOST_CLASSES else self.answers
        self.columns[position].words += 0 if numbers is not None else count
        self.rows, self.tested = self.rows + count, self.tested + int(test.sum())

    def to_record(self) -> dict[str, Any]:
        """Plain JSON: a float becomes the same float again."""
        record = asdict(self)
        for holder, name in ((record, "answers"), *((column, "texts") for column in record["columns"])):
            holder[name] = None if holder[name] is None else sorted(holder[name])
        return record

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> Seen:
        columns = [
            SeenColumn(**{**c, "texts": None if c["texts"] is None else set(c["texts"])}) for c in record["columns"]
        ]
        answers = None if record["answers"] is None else set(record["answers"])
        word = tuple(record["word"]) if record.get("word") else None
        return cls(columns, answers, record["rows"], record["tested"], word)


def learned(seen: Seen, names: list[str], position: int, path: Path) -> dict[str, Any]:
    """What an import notes after the first pass: rows of both parts, columns kept and left out, the preparation."""
    rows, tested, columns = seen.rows, seen.tested, seen.columns
    if tested == rows or not rows:
        raise BadInput(f"import: {place(path)}: {rows} rows are too few to divide.")
    kinds, kept = _kinds(columns, names, position, rows)
    classes = _classes(seen, columns[position].words > 0, names[position], path)
    moments = [columns[k].moments(rows - tested) for k in kept]
    of_target = columns[position].moments(rows - tested)
    for k, (mean, deviation) in zip([*kept, position], [*moments, of_target], strict=True):
        if not math.isfinite(mean + deviation):
            raise BadInput(
                f"import: {place(path)}: column {shown(names[k])} reaches from {columns[k].low:.6g} to "
                f"{columns[k].high:.6g}: too large to scale; give it in another unit."
            )
    preparation = Preparation(
        inputs=len(kept),
        columns=tuple(names[k] for k in kept),
        target=names[position],
        classes=classes,
        mean=tuple(mean for mean, _ in moments),
        scale=tuple(deviation for _, deviation in moments),
        target_mean=None if classes else (of_target[0],),
        target_scale=None if classes else (of_target[1],),
        categories=kinds if any(kinds) else None,
    )
    left_out = [name for k, name in enumerate(names) if k not in kept and k != position]
    parts = {"train": rows - tested, "test": tested}
    return {"rows": parts, "kept": kept, "left_out": left_out, "preparation": preparation.to_record()}


def _kinds(
    columns: list[SeenColumn], names: list[str], position: int, rows: int
) -> tuple[tuple[Categories, ...], list[int]]:
    """(categories of every kept column or None for numbers, places of the kept columns)."""
    kinds: list[Categories] = []
    kept = []
    for k, (column, name) in enumerate(zip(columns, names, strict=True)):
        if k == position:
            continue
        if column.words and column.numbers:
            raise BadInput(f"import: column {shown(name)} holds numbers and texts: write one kind, or remove it.")
        if not column.words and not column.count:
            continue  # it holds nothing
        different = len(column.texts) if column.texts is not None else rows
        if column.words and (column.texts is None or (different > FEW_CATEGORIES and 2 * different > rows)):
            continue
        known = sorted(set(one_spelling(column.texts or ()).values())) if column.words else None
        kinds.append(None if known is None else tuple(([""] if column.missing else []) + known))
        kept.append(k)
    if not kept:
        raise BadInput(f"import: no column but the target holds numbers or categories: {listed(names)}")
    return tuple(kinds), kept


def _answers(cells: Cells, path: Path, name: str) -> tuple[set[str], Array | None]:
    """(the different texts of the target's cells, their numbers if all of them are numbers)."""
    assert isinstance(cells, list)
    texts = {cell.strip() for cell in cells}
    values = {text: as_number(text) for text in texts}
    if not all(text and (value is None or math.isfinite(value)) for text, value in values.items()):
        raise _without_value(name, path)
    if any(value is None for value in values.values()):
        return texts, None
    return texts, np.array([values[cell.strip()] for cell in cells], np.float64)


def _is_word(cell: str) -> bool:
    return not is_missing(cell) and as_number(cell) is None


def _without_value(name: str, path: Path) -> BadInput:
    return BadInput(f"{place(path)}: target {shown(name)}: has rows without a finite value; fill or remove them")


def _classes(seen: Seen, texts: bool, name: str, path: Path) -> tuple[str, ...] | tuple[int, ...] | None:
    """The classes of the target in sorted order, by the rule of target_column.py; None for numbers."""
    answers, rows = seen.answers, seen.rows
    if texts:
        if seen.word is None:
            raise _without_value(name, path)  # among numbers, NA is no class
        row, cell = seen.word
        where, came = f"{place(path)}: target {shown(name)}", f"came {shown(cell)} in row {row:,} of all"
        if answers is None:
            raise BadInput(f"{where}: wanted numbers, or at most {MOST_CLASSES} classes; {came}")
        if 2 * sum(map(meant_as_number, answers)) > len(answers) and no_classes(answers):
            how = spelling_advice(cell) or "correct it or remove the line"
            raise BadInput(f"{where}: wanted numbers, as in most of its rows, {came}; {how}")
        classes = sorted(set(one_spelling(answers).values()))
        _refuse_constant(len(classes), "classes", name, path)
        refuse_names(len(classes), rows, name, path)
        return tuple(classes)
    if answers is None:
        return None
    if all(text.lstrip("+-").isdecimal() and len(text) < 19 for text in answers):
        numbers = sorted({int(text) for text in answers})
        if len(numbers) <= MOST_INTEGER_CLASSES and 2 * len(numbers) <= rows:
            _refuse_constant(len(numbers), "classes", name, path)
            return tuple(numbers)
    _refuse_constant(len(set(map(float, answers))), "different numbers", name, path)
    return None


def _refuse_constant(different: int, wanted: str, name: str, path: Path) -> None:
    if different < 2:
        raise BadInput(f"{place(path)}: target {shown(name)} has one value only: wanted at least two {wanted}")
