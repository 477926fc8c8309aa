"""Tables of any size -> a folder of arrays on disk, chunk by chunk: two passes, the first learns, the second writes.

What cells mean is told in columns.py and target_column.py, what is learned in preparation.py; here is only what keeps
the memory bounded and lets an interrupted import go on.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import BadInput
from ..whole_file import ASIDE, write_whole
from .arrays import Array
from .cells import as_number, known_text, one_spelling
from .columns import FEW_CATEGORIES, MOST_CATEGORIES, Categories
from .preparation import Preparation
from .table_chunks import Cells, chunks_of, columns_of
from .tables import choose_target
from .target_column import MOST_CLASSES, MOST_INTEGER_CLASSES, refuse_names
from .wording import listed, place, shown

STORED = "preparation.json"  # how raw columns became the folder's, for models that are trained on it
STATE = "import.json"  # how far an unfinished import is
NOTE_EVERY = 64  # chunks between two notes of how far the writing is
Report = Callable[[str, int, int | None], object]  # (what is being done, rows so far, rows in all if known)


def import_tables(
    paths: Sequence[Path], folder: Path, target: str | None, test_share: float, report: Report
) -> tuple[Preparation, dict[str, int], list[str]]:
    """Writes x.npy, y.npy and the test part of all rows: (preparation, rows of each part, columns left out).

    Every row belongs to the test part or not by its number alone. Interrupted, it goes on with the same call. Raises
    BadInput for what can't be read or written, and for a folder that holds something else.
    """
    names = columns_of(paths)
    position = choose_target(names, target, paths[0])[0]
    job = {"sources": [[str(p.resolve()), p.stat().st_size, p.stat().st_mtime_ns] for p in paths],
           "target": names[position], "test_share": test_share}  # fmt: skip
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        why = error.strerror or error
        raise BadInput(f"import: {place(folder)} can't be made: {why}: name a new folder.") from None
    try:
        state = _resumed(folder, job)
        if "preparation" not in state:
            seen = _look(paths, folder, names, position, state, report)
            state = {**job, **_learned(seen, names, position, paths[0]), "written": 0}
            _store_state(folder, state)
        preparation = Preparation.from_record(state["preparation"])
        _write(paths, folder, preparation, position, state, report)
        _store(folder / STORED, state["preparation"])
        (folder / STATE).unlink()
    except OSError as error:
        raise BadInput(f"import: {folder}: {error.strerror or error}. Run the same command again to go on.") from None
    return preparation, state["rows"], state["left_out"]


def stored_preparation(folder: str | os.PathLike[str]) -> Preparation | None:
    """What an imported folder, or the one around an .npy file, says of its raw columns; None for everything else.

    Raises BadInput where it is damaged, or the import isn't finished.
    """
    path = Path(folder)
    file = (path.parent if path.suffix == ".npy" and path.is_file() else path) / STORED
    if file.with_name(STATE).is_file():
        raise BadInput(
            f"{place(file.parent)}: its import isn't finished: run the same backlit import again, and it goes on."
        )
    try:
        return Preparation.from_record(json.loads(file.read_text("utf-8"))) if file.is_file() else None
    except (OSError, ValueError, RecursionError) as error:
        raise BadInput(f"{place(file)}: wanted what backlit import wrote: {str(error)[:150]}") from None


def _resumed(folder: Path, job: dict[str, Any]) -> dict[str, Any]:
    """The state of an interrupted import of the same job, or a new one."""
    file = folder / STATE
    for name in (STATE, STORED):
        for left in folder.glob(f".{name}.*{ASIDE}"):  # a kill came between its writing and its naming
            left.unlink()
    if not file.exists():
        if any(folder.iterdir()):
            raise BadInput(f"import: {place(folder)} isn't empty: name a new folder.")
        _store_state(folder, job)
        return dict(job)
    try:
        digest, text = json.loads(file.read_text("utf-8"))
        state: Any = json.loads(text) if digest == _digest(text) else None
    except (ValueError, TypeError, RecursionError):
        state = None
    if not isinstance(state, dict) or any(state.get(name) != value for name, value in job.items()):
        raise BadInput(f"import: {place(folder)} holds an unfinished import of other files: name a new folder.")
    return state


def _store_state(folder: Path, state: dict[str, Any]) -> None:
    text = json.dumps(state)
    _store(folder / STATE, [_digest(text), text])


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def _store(file: Path, content: object) -> None:
    write_whole(file, json.dumps(content).encode())


def in_test_part(first: int, count: int, share: float) -> Array:
    """Whether each of the rows from ``first`` on belongs to the test part: a hash of its number, below the share."""
    with np.errstate(over="ignore"):  # splitmix64: Steele, Lea and Flood, 2014
        z = np.arange(first, first + count, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z ^= z >> np.uint64(31)
    result: Array = z.astype(np.float64) < share * 2.0**64
    return result


# --- the first pass: what the columns are ---------------------------------------------------------------------------


@dataclass
class _Column:
    """What has been seen of one column: moments of the training rows, and texts as long as they are few."""

    count: int = 0
    mean: float = 0.0
    squares: float = 0.0
    low: float = math.inf
    high: float = -math.inf
    words: int = 0
    missing: bool = False
    texts: set[str] | None = field(default_factory=set)

    def add(self, cells: Cells, train: Array) -> None:
        if isinstance(cells, list):
            given = [cell for cell in cells if cell]
            self.words += len(given)
            self.missing |= len(given) < len(cells)
            if self.texts is not None:
                self.texts.update(given)
                if len(self.texts) > MOST_CATEGORIES:
                    self.texts = None
            return
        values = cells[train & ~np.isnan(cells)]
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

    @property
    def moments(self) -> tuple[float, float]:
        if self.words or self.low == self.high or not self.count:
            return (0.0 if self.words or not self.count else float(self.low)), 1.0
        return self.mean, math.sqrt(self.squares / self.count) or 1.0


@dataclass
class _Seen:
    """What has been seen of a table: columns, different texts of the target (None: too many), rows of both parts."""

    columns: list[_Column]
    answers: set[str] | None = field(default_factory=set)
    rows: int = 0
    tested: int = 0

    def add(self, cells: list[Cells], position: int, share: float, path: Path, name: str) -> None:
        count = len(cells[0])
        test = in_test_part(self.rows, count, share)
        for k, column in enumerate(self.columns):
            if k != position:
                column.add(cells[k], ~test)
        texts, numbers = _answers(cells[position], path, name)
        if numbers is not None:
            self.columns[position].add(numbers, ~test)
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
    def from_record(cls, record: dict[str, Any]) -> _Seen:
        columns = [
            _Column(**{**c, "texts": None if c["texts"] is None else set(c["texts"])}) for c in record["columns"]
        ]
        answers = None if record["answers"] is None else set(record["answers"])
        return cls(columns, answers, record["rows"], record["tested"])


def _look(
    paths: Sequence[Path], folder: Path, names: list[str], position: int, state: dict[str, Any], report: Report
) -> _Seen:
    """Looks at all rows, or at those that an interrupted import hasn't seen; now and then it is noted how far it is."""
    seen = _Seen.from_record(state["seen"]) if "seen" in state else _Seen([_Column() for _ in names])
    done = 0
    for number, (path, chunk, total) in enumerate(chunks_of(paths, names, position)):
        report("looking", done, total)
        if done >= seen.rows:
            seen.add(chunk.columns(), position, state["test_share"], path, names[position])
            if number % NOTE_EVERY == NOTE_EVERY - 1:
                _store_state(folder, state | {"seen": seen.to_record()})
        done += chunk.rows
    return seen


def _learned(seen: _Seen, names: list[str], position: int, path: Path) -> dict[str, Any]:
    """What an import notes after the first pass: rows of both parts, columns kept and left out, the preparation."""
    rows, tested, columns = seen.rows, seen.tested, seen.columns
    if tested == rows or not rows:
        raise BadInput(f"import: {place(path)}: {rows} rows are too few to divide.")
    kinds, kept = _kinds(columns, names, position, rows)
    classes = _classes(seen.answers, columns[position].words > 0, rows, names[position], path)
    moments = [columns[k].moments for k in kept]
    of_target = columns[position].moments
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
    columns: list[_Column], names: list[str], position: int, rows: int
) -> tuple[tuple[Categories, ...], list[int]]:
    """(categories of every kept column or None for numbers, places of the kept columns)."""
    kinds: list[Categories] = []
    kept = []
    for k, (column, name) in enumerate(zip(columns, names, strict=True)):
        if k == position:
            continue
        if column.words and column.count:
            raise BadInput(f"import: column {shown(name)} holds numbers and texts: write one kind, or remove it.")
        if not column.words and not column.count:
            continue  # it holds nothing
        different = len(column.texts) if column.texts is not None else rows
        if column.words and (column.texts is None or (different > FEW_CATEGORIES and 2 * different > rows)):
            continue
        known = sorted(column.texts or ()) if column.words else None
        kinds.append(None if known is None else tuple(([""] if column.missing else []) + known))
        kept.append(k)
    if not kept:
        raise BadInput(f"import: no column but the target holds numbers or categories: {listed(names)}")
    return tuple(kinds), kept


def _answers(cells: Cells, path: Path, name: str) -> tuple[set[str], Array | None]:
    """(the different texts of the target's cells, their numbers if all of them are numbers)."""
    assert isinstance(cells, list)
    texts = {cell.strip() for cell in cells}
    if any(not text or text.lower() == "nan" for text in texts):
        raise BadInput(f"{place(path)}: target {shown(name)}: has rows without a value; fill or remove them")
    values = {text: as_number(text) for text in texts}
    if any(value is None or not math.isfinite(value) for value in values.values()):
        return texts, None
    return texts, np.array([values[cell.strip()] for cell in cells], np.float64)


def _classes(
    answers: set[str] | None, texts: bool, rows: int, name: str, path: Path
) -> tuple[str, ...] | tuple[int, ...] | None:
    """The classes of the target in sorted order, by the rule of target_column.py; None for numbers."""
    if answers is not None and len(answers) < 2:
        raise BadInput(f"{place(path)}: target {shown(name)} has one value only: wanted at least two classes")
    if texts:
        if answers is None:
            raise BadInput(f"{place(path)}: target {shown(name)}: wanted numbers, or at most {MOST_CLASSES} classes")
        classes = sorted(set(one_spelling(answers).values()))
        refuse_names(len(classes), rows, name, path)
        return tuple(classes)
    whole = answers is not None and all(text.lstrip("+-").isdecimal() for text in answers)
    if answers is None or not whole:
        return None
    numbers = sorted({int(text) for text in answers})
    return tuple(numbers) if len(numbers) <= MOST_INTEGER_CLASSES and 2 * len(numbers) <= rows else None


# --- the second pass: the arrays ------------------------------------------------------------------------------------


def _write(
    paths: Sequence[Path], folder: Path, preparation: Preparation, position: int, state: dict[str, Any], report: Report
) -> None:
    """Appends the prepared rows to the arrays; now and then it is noted how far they are."""
    names = columns_of(paths)
    parts = {"train": "", "test": "_test"} if state["rows"]["test"] else {"train": ""}
    share, done, total = state["test_share"], 0, sum(state["rows"].values())
    ytype = np.dtype(np.float32 if preparation.classes is None else np.int64)
    files = {}
    try:
        for part, ending in parts.items():
            before = int(in_test_part(0, state["written"], share).sum())
            before = before if part == "test" else state["written"] - before
            n = state["rows"][part]
            x = _array_file(folder / f"x{ending}.npy", (n, preparation.width), np.dtype(np.float32), before)
            files[part] = x, _array_file(folder / f"y{ending}.npy", (n,), ytype, before)
        for number, (_, chunk, _) in enumerate(chunks_of(paths, names, position)):
            count = chunk.rows
            if done >= state["written"]:
                cells = chunk.columns()
                x, y = _prepared([cells[k] for k in state["kept"]], cells[position], preparation)
                test = in_test_part(done, count, share)
                for part, (x_file, y_file) in files.items():
                    mine = test if part == "test" else ~test
                    x_file.write(x[mine].tobytes())
                    y_file.write(y[mine].astype(ytype).tobytes())
                if number % NOTE_EVERY == NOTE_EVERY - 1:
                    _sync(files)
                    _store_state(folder, state | {"written": done + count})
            done += count
            report("writing", done, total)
        if done != total:
            raise BadInput(f"import: the files hold {done} rows, but held {total} a while ago: import them anew.")
        _sync(files)
    finally:
        for pair in files.values():
            for file in pair:
                file.close()


def _array_file(path: Path, shape: tuple[int, ...], dtype: np.dtype[Any], rows: int) -> Any:
    """A .npy file of that shape, opened behind its first ``rows`` rows; what is beyond them goes."""
    file = open(path, "r+b" if path.exists() else "w+b")  # noqa: SIM115 (the caller closes it)
    header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)
    end = file.tell() + rows * dtype.itemsize * math.prod(shape[1:])
    file.truncate(end)
    file.seek(end)
    return file


def _sync(files: dict[str, tuple[Any, Any]]) -> None:
    for pair in files.values():
        for file in pair:
            file.flush()
            os.fsync(file.fileno())


def _prepared(cells: list[Cells], answers: Cells, preparation: Preparation) -> tuple[Array, Array]:
    """x (rows, width) float32 and y (rows,) as the network gets them."""
    raw = np.empty((len(answers), len(cells)))
    kinds = preparation.categories or (None,) * len(cells)
    for k, (column, known) in enumerate(zip(cells, kinds, strict=True)):
        if known is None:
            raw[:, k] = column
        elif isinstance(column, list):
            code = {text: float(place) for place, text in enumerate(known)}
            raw[:, k] = [code.get(text, -1.0) for text in column]
        else:  # a chunk of a category without a single text: all of it is missing
            raw[:, k] = float(known.index("")) if "" in known else -1.0
    texts = [cell.strip() for cell in answers]
    if preparation.classes is not None:
        words = isinstance(preparation.classes[0], str)
        place_of: dict[Any, int] = {label: k for k, label in enumerate(preparation.classes)}
        label_of = {text: known_text(text, place_of) if words else int(text) for text in set(texts)}
        y: Array = np.array([place_of[label_of[text]] for text in texts], np.int64)
    else:
        assert preparation.target_mean is not None and preparation.target_scale is not None
        y = (np.array(texts, np.float64) - preparation.target_mean[0]) / preparation.target_scale[0]
    return preparation.apply(raw), y
