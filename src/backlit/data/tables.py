"""Tables, from text or Parquet: a header, rows of cells, a target. What columns hold is told in columns.py, what the
target is in target_column.py.

A table of finite numbers becomes a Dataset of them; one with texts or missing values a raw Dataset, which a
Preparation turns into numbers.
"""

import math
from array import array
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from ..errors import BadInput
from .arrays import Array
from .arrow_csv import NotPlain, arrow_csv
from .cells import Cells, Texts, as_number, is_missing
from .columns import EVERY, FEW_CATEGORIES, Categories, InputColumn, Unseen, advice, known_cells, put_together
from .csv_text import SAMPLE, Table, opened_csv
from .dataset import Dataset
from .parquet import opened_parquet, parquet_values
from .target_column import TargetColumn, known_answers
from .targets import Label
from .wording import did_you_mean, listed, place, shown

USUAL_TARGETS = ("target", "label", "class", "y")
PARQUET = (".parquet", ".pq")
PIECE = 1 << 12  # lines understood together
WORTH_ARROW = 1 << 18  # bytes: smaller files are read before pyarrow is imported
NO_LINES = range(1 << 31)  # pyarrow's reader doesn't count lines; what it can't read is read again by one that does
DIVIDED = ", divided by , ; | or tab"
T = TypeVar("T")


def read_table(
    path: Path, target: str | None, columns: Sequence[str] | None = None, drop: Sequence[str] = ()
) -> Dataset:
    """The data set of a table: its inputs, and the column ``target`` as y.

    Without ``target``, a column called target, label, class or y (in this order, in any case) is taken,
    else the last one; ``note`` says which. ``columns`` names the inputs to take, ``drop`` those to leave out. Raises
    BadInput naming line and column for what can't be read.
    """
    source = _source(path, [*([] if target is None else [target]), *(columns or ()), *drop])
    known = [name for name in source.names if name not in _existing(drop, source.names, path)]
    if len(known) < 2:
        left = f"keeps {listed(known) or 'no column'} after dropping" if drop else f"has one column ({listed(known)})"
        raise BadInput(f"{place(path)}: {left}: wanted inputs and a target{'' if drop else DIVIDED}")
    position, how = choose_target(known, target, path)
    inputs = [name for name in known if name != known[position]]
    if columns is not None:
        _all_there(columns, source.names, path)
        inputs = list(columns)
    x, names, categories, left_out, y, kind = source.learn(inputs, known[position])
    notes = [f"target: {how} {shown(known[position])}, {kind}", source.note]
    if drop:
        notes.append(f"dropped: {listed(drop, EVERY)}")
    for empty, why in ((True, "they hold nothing"), (False, "most rows have a text of their own")):
        if found := [column.name for column in left_out if (column.first_word is None) == empty]:
            notes.append(f"left out, because {why}: {listed(found, EVERY)}")
    notes += advice(left_out)
    own = [name for name, texts in zip(names, categories or (), strict=False) if texts and 2 < len(texts) == len(y)]
    if own:
        notes.append(f"every row has a text of its own in {listed(own, EVERY)}: drop it if that is a name")
    numbered = [name for k, name in enumerate(names) if _counts_rows(x[:, k])]
    if numbered:
        notes.append(f"{listed(numbered, EVERY)} counts the rows: drop it, unless their order means something")
    notes += _gaps(x, names, categories)
    return Dataset(
        x, y, columns=names, categories=categories, target=known[position], note="; ".join(filter(None, notes))
    )


def _counts_rows(values: Array) -> bool:
    """Whether a column (N,) is the rows' own number: where rows are sorted by class, that tells the class."""
    if len(values) < FEW_CATEGORIES or values[0] == values[1]:  # beyond 2^53 a constant and 1 are the constant
        return False
    return bool((values == values[0] + np.arange(len(values))).all())


def _gaps(x: Array, names: list[str], categories: tuple[Categories, ...] | None) -> list[str]:
    """Which columns lack values, in how many rows, and what a Preparation does about it; nothing if none does."""
    counts = np.isnan(x).sum(axis=0).tolist()
    texts = categories or (None,) * len(names)
    found: list[str] = []
    for of_texts, remedy in ((False, "the column's mean stands there"), (True, "a category of its own")):
        told = [
            f"{listed([name])} in {count:,} row{'s' * (count > 1)}"
            for name, count, known in zip(names, counts, texts, strict=True)
            if count and (known is not None) == of_texts
        ]
        if told:
            found.append(f"missing: {listed(told, EVERY)} ({remedy})")
    return found


Found = tuple[Array, list[str], tuple[Categories, ...] | None, list[InputColumn], Array, str]
Pieces = Iterator[tuple[Sequence[int], list[Cells]]]  # (lines or row numbers, the cells of each wanted column)


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
    source = _source(path, columns or ())
    wanted = [name for name in source.names if name != target] if columns is None else list(columns)
    _all_there(wanted, source.names, path)
    return _as_trained(source, wanted, None, categories, None, unseen)[0]


def read_trained_table(
    path: Path,
    columns: tuple[str, ...],
    target: str,
    categories: tuple[Categories, ...] | None,
    classes: tuple[Label, ...] | None,
    unseen: Unseen,
) -> tuple[Array, Array]:
    """(x as of read_table_columns, y (N,)): columns and target as a model knows them, whatever these rows hold.

    y holds labels out of ``classes``, or numbers where there are none. What a few rows would be taken for by
    themselves isn't asked: they may be of one class only, or have by chance only numbers among the categories.
    """
    source = _source(path, [*columns, target])
    choose_target(source.names, target, path)
    _all_there(columns, source.names, path)
    return _as_trained(source, list(columns), target, categories, classes, unseen)


def _as_trained(
    source: "_ParquetSource | _CsvSource",
    wanted: list[str],
    target: str | None,
    categories: tuple[Categories, ...] | None,
    classes: tuple[Label, ...] | None,
    unseen: Unseen | None,
) -> tuple[Array, Array]:
    """(x (N, wanted), y (N,), empty without a target)."""
    known, path = categories or (None,) * len(wanted), source.path
    inputs = list(zip(wanted, known, strict=True))

    def take(pieces: Pieces) -> tuple[Array, Array, Unseen]:
        found: list[Array] = []
        answers: list[Array] = [np.empty(0)] if target is None else []
        new: Unseen = {}
        for lines, cells in pieces:
            x = np.empty((len(lines), len(inputs)))
            for k, (name, texts) in enumerate(inputs):
                x[:, k] = known_cells(cells[k], name, texts, path, lines, new)
            found.append(x)
            if target is not None:
                answers.append(known_answers(cells[-1], target, classes, path, lines))
        return np.concatenate(found), np.concatenate(answers), new

    spelled = {name for name, texts in inputs if texts is not None}
    answer = [] if target is None else [target]
    x, y, new = source.taken([*wanted, *answer], spelled.union(answer), take)
    if unseen is not None:
        for name, texts in new.items():
            unseen.setdefault(name, Counter()).update(texts)
    return x, y


def table_columns(path: Path, known: Sequence[str]) -> list[str]:
    """The names of the columns of a table, of which some are ``known``."""
    return _source(path, known).names


def table_note(path: Path, known: Sequence[str]) -> str:
    """What the reader chose by itself, such as what divides the cells, or that there is no header."""
    return _source(path, known).note


def table_values(path: Path, known: Sequence[str], spelled: bool) -> tuple[list[str], list[list[Any]]]:
    """(names of all columns, all rows as they stand): texts of CSV, Python values of Parquet. Some names are ``known``.

    A column without a name, such as a frame's own row numbers, is there, too. Times of Parquet are ``spelled`` as texts
    where it is for a text.
    """
    if is_parquet(path):
        return parquet_values(path, spelled)
    with opened_csv(path, known, unnamed=True) as table:
        return table.names, [cells for _, cells in table.rows]


def is_parquet(path: Path) -> bool:
    """Whether this is a Parquet file, by its name."""
    return path.suffix.lower() in PARQUET


def _source(path: Path, known: Sequence[str]) -> "_ParquetSource | _CsvSource":
    """The table; names that are ``known`` tell a header from a row."""
    return _ParquetSource(path) if is_parquet(path) else _CsvSource(path, known)


class _ParquetSource:
    """A Parquet file: its columns by their types."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with opened_parquet(path) as table:
            self.names, self.note = table.names, table.note

    def learn(self, inputs: list[str], target: str) -> Found:
        """The inputs and the target, understood."""
        with opened_parquet(self.path) as table:
            return understood(table.pieces([*inputs, target], {target}), inputs, target, self.path)

    def taken(self, wanted: list[str], spelled: set[str], take: Callable[[Pieces], T]) -> T:
        """What ``take`` makes of the pieces of the wanted columns, integers of those ``spelled`` as texts."""
        with opened_parquet(self.path) as table:
            return take(table.pieces(wanted, spelled))


class _CsvSource:
    """A CSV file: read by pyarrow where it is installed, and by the csv module where pyarrow's reader bows out."""

    def __init__(self, path: Path, known: Sequence[str]) -> None:
        self.path, self.known = path, known
        with opened_csv(path, known) as table:
            self.names, self.note, self.layout = table.names, table.note, table.layout
            first = [cells for _, cells in islice(table.rows, SAMPLE)]
        self.numbers = {k for k, column in enumerate(zip(*first, strict=True)) if all(map(_number_like, column))}

    def learn(self, inputs: list[str], target: str) -> Found:
        """The inputs and the target, understood."""
        places = self._places([*inputs, target])

        def understand(pieces: Pieces) -> Found:
            return understood(pieces, inputs, target, self.path)

        found = self._by_arrow(places, self.numbers - {places[-1]}, understand)
        if found is None:
            with opened_csv(self.path, self.known) as table:
                found = _numbers_only(table, places, target, self.path)
        return found or self._by_lines(places, understand)

    def taken(self, wanted: list[str], spelled: set[str], take: Callable[[Pieces], T]) -> T:
        """What ``take`` makes of the pieces of the wanted columns, those ``spelled`` as texts: 007 is no 7."""
        places = self._places(wanted)
        found = self._by_arrow(places, self.numbers - set(self._places(sorted(spelled))), take)
        return self._by_lines(places, take) if found is None else found

    def _places(self, wanted: list[str]) -> list[int]:
        place_of = {name: k for k, name in enumerate(self.names)}
        return [place_of[name] for name in wanted]

    def _by_arrow(self, places: list[int], numbers: set[int], take: Callable[[Pieces], T]) -> T | None:
        """By pyarrow, or None: it isn't there, or this file is one that only the csv module reads as it should."""
        if find_spec("pyarrow") is None or self.path.stat().st_size < WORTH_ARROW:
            return None
        shift = int(self.layout.unnamed_first)
        kept = {k + shift for k in numbers & set(places)}
        wanted = [k + shift for k in places]
        while True:
            try:
                pieces = arrow_csv(self.path, self.layout, wanted, kept)
                return take((NO_LINES[: _length(cells)], cells) for cells in pieces)
            except NotPlain as error:
                if error.column is None:
                    return None
                kept.discard(error.column)  # further down it holds a text
            except BadInput:
                return None  # said again by the other reader, with its line

    def _by_lines(self, places: list[int], take: Callable[[Pieces], T]) -> T:
        """By the csv module, some thousand lines at a time."""
        with opened_csv(self.path, self.known) as table:
            return take(_pieces(table.rows, places))


def _pieces(rows: Iterator[tuple[int, list[str]]], places: list[int]) -> Pieces:
    while piece := list(islice(rows, PIECE)):
        columns = list(zip(*(cells for _, cells in piece), strict=True))
        yield [line for line, _ in piece], [Texts.of(columns[k]) for k in places]


def _length(cells: list[Cells]) -> int:
    return len(cells[0].codes if isinstance(cells[0], Texts) else cells[0])


def understood(pieces: Pieces, inputs: list[str], target: str, path: Path) -> Found:
    """Columns of any kind, the target last, told apart by the rules of columns.py and target_column.py."""
    columns, answer = [InputColumn(name, path) for name in inputs], TargetColumn(target, path)
    numbers, n = np.empty((0, len(columns))), 0
    for lines, cells in pieces:
        answer.add(cells[-1], lines)
        first, n = n, n + len(lines)
        if n > len(numbers):  # half as much again, in place where the system can
            numbers.resize((max(n, len(numbers) * 3 // 2), len(columns)), refcheck=False)
        for k, (column, some) in enumerate(zip(columns, cells, strict=False)):
            numbers[first:n, k] = column.add(some, lines)
    numbers.resize((n, len(columns)), refcheck=False)
    x, names, categories, left_out = put_together(columns, numbers)
    y, kind = answer.finish()
    plain = all(known is None for known in categories) and not left_out and np.isfinite(x).all()
    return x, names, None if plain else categories, left_out, y, kind


def _numbers_only(table: Table, places: list[int], target: str, path: Path) -> Found | None:
    """All of a table whose inputs are finite numbers, fast; None as soon as one isn't."""
    names = [table.names[k] for k in places[:-1]]
    values = array("d")
    answer = TargetColumn(target, path)
    while piece := list(islice(table.rows, PIECE)):
        for _, cells in piece:
            numbers = _all_numbers([cells[k] for k in places[:-1]])
            if numbers is None:
                return None
            values.extend(numbers)
        answer.add(Texts.of(cells[places[-1]] for _, cells in piece), [line for line, _ in piece])
    y, kind = answer.finish()
    return np.frombuffer(values, np.float64).reshape(len(y), len(names)), names, None, [], y, kind


def _number_like(cell: str) -> bool:
    return is_missing(cell) or as_number(cell) is not None


def _existing(names: Sequence[str], known: list[str], path: Path) -> Sequence[str]:
    """These names, all of them known."""
    for name in names:
        if name not in known:
            raise BadInput(
                f"{place(path)}: has no column {shown(name)} to drop{did_you_mean(name, known)}: {listed(known)}"
            )
    return names


def _all_there(wanted: Sequence[str], known: list[str], path: Path) -> None:
    missing = [name for name in wanted if name not in known]
    if missing:
        raise BadInput(
            f"{place(path)}: has no column {shown(missing[0])}{did_you_mean(missing[0], known)}: wanted the "
            f"{len(wanted)} columns {listed(wanted)}, came {listed(known)}"
        )


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
