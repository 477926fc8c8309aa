"""Tables of any size -> a folder of arrays on disk, chunk by chunk: two passes, the first learns, the second writes.

What is seen and learned stands in import_columns.py; here is only what writes, and lets an interrupted import go on.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import BadInput
from ..whole_file import ASIDE, write_whole
from .arrays import Array
from .cells import known_text
from .import_columns import Seen, SeenColumn, in_test_part, learned
from .preparation import Preparation
from .table_chunks import Cells, chunks_of, columns_of
from .tables import choose_target
from .wording import place

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
    names = columns_of(paths, [] if target is None else [target])
    position = choose_target(names, target, paths[0])[0]
    job = {"sources": [[str(p.resolve()), p.stat().st_size, p.stat().st_mtime_ns] for p in paths],
           "target": names[position], "test_share": test_share}  # fmt: skip
    made = not folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        why = error.strerror or error
        raise BadInput(f"import: {place(folder)} can't be made: {why}: name a new folder.") from None
    try:
        state = _resumed(folder, job)
        if "preparation" not in state:
            try:
                seen = _look(paths, folder, names, position, state, report)
                state = {**job, **learned(seen, names, position, paths[0]), "written": 0}
            except BadInput as error:
                if not isinstance(error.__cause__, OSError | MemoryError):
                    (folder / STATE).unlink()  # once the files are mended they are others, and begin anew
                    with suppress(OSError):  # somebody has put something there meanwhile
                        if made:
                            folder.rmdir()
                raise
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


def _look(
    paths: Sequence[Path], folder: Path, names: list[str], position: int, state: dict[str, Any], report: Report
) -> Seen:
    """Looks at all rows, or at those that an interrupted import hasn't seen; now and then it is noted how far it is."""
    seen = Seen.from_record(state["seen"]) if "seen" in state else Seen([SeenColumn() for _ in names])
    done = 0
    for number, (path, chunk, total) in enumerate(chunks_of(paths, names, position)):
        report("looking", done, total)
        if done >= seen.rows:
            seen.add(chunk.columns(), position, state["test_share"], path, names[position])
            if number % NOTE_EVERY == NOTE_EVERY - 1:
                _store_state(folder, state | {"seen": seen.to_record()})
        done += chunk.rows
    return seen


# --- the second pass: the arrays ------------------------------------------------------------------------------------


def _write(
    paths: Sequence[Path], folder: Path, preparation: Preparation, position: int, state: dict[str, Any], report: Report
) -> None:
    """Appends the prepared rows to the arrays; now and then it is noted how far they are."""
    names = columns_of(paths, [state["target"]])
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


def _places_in(known: tuple[str, ...], texts: list[str]) -> list[float]:
    """Where each of the texts stands among the known ones, −1 for nowhere."""
    place_of = {text: float(place) for place, text in enumerate(known)}
    spelled = {text: known_text(text, place_of) for text in set(texts)}
    places = {text: -1.0 if name is None else place_of[name] for text, name in spelled.items()}
    return [places[text] for text in texts]


def _prepared(cells: list[Cells], answers: Cells, preparation: Preparation) -> tuple[Array, Array]:
    """x (rows, width) float32 and y (rows,) as the network gets them."""
    raw = np.empty((len(answers), len(cells)))
    kinds = preparation.categories or (None,) * len(cells)
    for k, (column, known) in enumerate(zip(cells, kinds, strict=True)):
        if known is None:
            raw[:, k] = column
        elif isinstance(column, list):
            raw[:, k] = _places_in(known, column)
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
