"""Tables, from text or Parquet: a header, rows of cells, a target. What columns hold is told in columns.py, what the
target is in target_column.py.

A table of finite numbers becomes a Dataset of them; one with texts or missing values a raw Dataset, which a
Preparation turns into numbers.
"""

import math
from array import array
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import numpy as np

from ..errors import BadInput
from .arrays import Array
from .columns import Categories, InputColumn, Unseen, known_values, put_together
from .csv_text import Table, opened_csv
from .dataset import Dataset
from .parquet import opened_parquet
from .target_column import TargetColumn, as_number
from .wording import did_you_mean, listed, place, shown

USUAL_TARGETS = ("target", "label", "class", "y")
PARQUET = (".parquet", ".pq")


def read_table(path: Path, target: str | None) -> Dataset:
    """The data set of a table: its inputs, and the column ``target`` as y.

    Without ``target``, a column called target, label, class or y (in this order, in any case) is taken,
    else the last one; ``note`` says which. Raises BadInput naming line and column for what can't be read.
    """
    with _opened(path) as table:
        if len(table.names) < 2:
            raise BadInput(
                f"{place(path)}: has one column ({listed(table.names)}): wanted inputs and a target, divided by , ; or "
                "tab"
            )
        position, how = choose_target(table.names, target, path)
        found = _numbers_only(table, position, path)
    if found is None:
        with _opened(path) as table:
            found = _mixed(table, position, path)
    x, names, categories, left_out, y, kind = found
    notes = [f"target: {how} {shown(table.names[position])}, {kind}", table.note]
    if left_out:
        notes.append(f"left out, because most rows have a text of their own: {listed(left_out)}")
    return Dataset(
        x,
        y,
        columns=names,
        categories=categories,
        target=table.names[position],
        note="; ".join(filter(None, notes)),
    )


Found = tuple[Array, list[str], tuple[Categories, ...] | None, list[str], Array, str]


def _numbers_only(table: Table, position: int, path: Path) -> Found | None:
    """All of a table whose inputs are finite numbers, fast; None as soon as one isn't."""
    names = table.names[:position] + table.names[position + 1 :]
    values = array("d")
    answer = TargetColumn(table.names[position], path)
    for line, cells in table.rows:
        answer.add(cells.pop(position), line)
        numbers = _all_numbers(cells)
        if numbers is None:
            return None
        values.extend(numbers)
    y, kind = answer.finish()
    return np.frombuffer(values, np.float64).reshape(len(y), len(names)), names, None, [], y, kind


def _mixed(table: Table, position: int, path: Path) -> Found:
    """A table with texts or missing values among its inputs."""
    columns = [InputColumn(name, path) for k, name in enumerate(table.names) if k != position]
    answer = TargetColumn(table.names[position], path)
    for line, cells in table.rows:
        answer.add(cells.pop(position), line)
        for column, cell in zip(columns, cells, strict=True):
            column.add(cell, line)
    x, names, categories, left_out = put_together(columns)
    y, kind = answer.finish()
    return x, names, categories, left_out, y, kind


def read_table_columns(
    path: Path,
    columns: tuple[str, ...] | None,
    target: str | None,
    categories: tuple[Categories, ...] | None = None,
    unseen: Unseen | None = None,
) -> Array:
    """(N, n_in) float64: the named columns of a table in that order, others ignored; without names, all but ``target``.

    With the categories that a model knows, texts become their codes, −1 for one that it doesn't know,
    which ``unseen`` counts. Missing values are NaN.
    """
    with _opened(path) as table:
        names = table.names
        wanted = [name for name in names if name != target] if columns is None else list(columns)
        missing = [name for name in wanted if name not in names]
        if missing:
            raise BadInput(
                f"{place(path)}: has no column {shown(missing[0])}{did_you_mean(missing[0], names)}: wanted the "
                f"{len(wanted)} columns {listed(wanted)}, came {listed(names)}"
            )
        places = [names.index(name) for name in wanted]
        known = categories or (None,) * len(wanted)
        all_numbers = all(entry is None for entry in known)
        values = array("d")
        for line, cells in table.rows:
            chosen = [cells[i] for i in places]
            numbers = _all_numbers(chosen) if all_numbers else None
            values.extend(known_values(chosen, wanted, known, path, line, unseen) if numbers is None else numbers)
        return np.frombuffer(values, np.float64).reshape(-1, len(wanted))


@contextmanager
def _opened(path: Path) -> Iterator[Table]:
    opened: AbstractContextManager[Table]
    opened = opened_parquet(path) if path.suffix.lower() in PARQUET else opened_csv(path)
    with opened as table:
        yield table


def _all_numbers(cells: list[str]) -> list[float] | None:
    """The cells of one line as finite floats; None if one is none."""
    try:
        values = list(map(float, cells))
        # one look at the whole line is cheap; float() also takes 1_000, which people don't mean
        if math.isfinite(sum(values)) and "_" not in "".join(cells):
            return values
    except ValueError:
        return None
    numbers = [as_number(cell) for cell in cells]  # finite numbers may have an infinite sum
    finite = [number for number in numbers if number is not None and math.isfinite(number)]
    return finite if len(finite) == len(cells) else None


def choose_target(names: list[str], target: str | None, path: Path) -> tuple[int, str]:
    """The target's position, and a few words on how it was chosen."""
    if target is not None:
        if target not in names:
            raise BadInput(
                f"{place(path)}: target {shown(target)} is none of its columns{did_you_mean(target, names)}: "
                f"{listed(names)}"
            )
        return names.index(target), "column"
    lower = [name.lower() for name in names]
    for usual in USUAL_TARGETS:
        if usual in lower:
            return lower.index(usual), "column"
    return len(names) - 1, "the last column,"
