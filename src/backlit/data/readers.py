"""From a name or a path to a Dataset, or to inputs alone: which reader is asked. Reads nothing itself."""

import os
from collections.abc import Sequence
from pathlib import Path

from ..errors import BadInput
from .archives import npy_parts, npz_inputs, read_npy, read_npy_folder, read_npy_pair, read_npz
from .arrays import Array, inputs
from .columns import Unseen
from .dataset import Dataset
from .idx import read_idx
from .importing import STORED, stored_preparation
from .mnist import find_idx_folder, idx_pair, labels_beside, read_idx_folder
from .named import KNOWN, load_named
from .preparation import Preparation
from .tables import PARQUET, read_table, read_table_columns, read_trained_table
from .wording import about, did_you_mean, listed, place, shown

NAMES = tuple(known.name for known in KNOWN)
TABLES = (".csv", ".tsv", ".txt", *PARQUET)
PACKED = (".gz", ".zip", ".bz2", ".xz", ".zst")
LOADABLE = (
    "a .csv, .tsv, .txt or .parquet table, an .npz archive, x.npy beside y.npy, an IDX file (also "
    ".gz) beside "
    "its labels, or a folder with MNIST's four files or with x.npy and y.npy"
)


def load_dataset(
    name_or_path: str | os.PathLike[str],
    target: str | None = None,
    *,
    columns: Sequence[str] | None = None,
    drop: Sequence[str] = (),
) -> Dataset:
    """The data set of this name (``backlit data`` lists them), or in this file or folder.

    ``target`` names the column to predict, for tables only; by default it is called target, label, class or
    y, or is the last one. ``columns`` names a table's inputs, by default all others; ``drop`` what is left out.
    Names go before files: write ./digits for a file called digits. Raises BadInput
    in one line.
    """
    if str(name_or_path) in NAMES:
        _no_columns(str(name_or_path), target, drop)
        return load_named(str(name_or_path))
    path = _existing(name_or_path)
    kind = _kind(path)
    if kind == "table":
        return read_table(path, target, columns, drop)
    _no_columns(place(path), target, drop)
    if kind == "npz":
        return read_npz(path)
    if kind == "npy":
        return (read_npy_folder if path.is_dir() else read_npy_pair)(path, stored_preparation(path))
    if files := find_idx_folder(path):
        return read_idx_folder(files)
    return idx_pair(path, labels_beside(path))


def is_table(name_or_path: str | os.PathLike[str]) -> bool:
    """Whether this is a file with named columns, told from its name."""
    return Path(name_or_path).suffix.lower() in TABLES and str(name_or_path) not in NAMES


def load_inputs(
    name_or_path: str | os.PathLike[str], preparation: Preparation | None = None, unseen: Unseen | None = None
) -> Array:
    """x (N, n_in) alone, not yet prepared, from whatever ``load_dataset`` takes; answers may be absent.

    Of a table, the columns that the preparation names are taken, in its order, whatever else is there;
    without named columns, all but the target. ``unseen``, a dict, gets column -> category that training didn't have ->
    rows that hold it.
    """
    if str(name_or_path) in NAMES:
        return load_named(str(name_or_path)).x
    path = _existing(name_or_path)
    kind = _kind(path)
    if kind == "table":
        if preparation is None:
            x = read_table_columns(path, None, None)
            with about(path):
                return inputs(x)
        return read_table_columns(path, preparation.columns, preparation.target, preparation.categories, unseen)
    if path.is_dir():
        return load_dataset(path).x
    x = npz_inputs(path) if kind == "npz" else read_npy(path) if kind == "npy" else read_idx(path, as_images=True)
    with about(path):
        return inputs(x)


def load_prepared(
    name_or_path: str | os.PathLike[str], target: str | None, preparation: Preparation, unseen: Unseen
) -> Dataset:
    """The data set of this name, file or folder, prepared as a model was trained; ``target`` names another column.

    Columns of a table are what they were in training, whatever these rows would be taken for by themselves.
    ``unseen``, a dict, is filled as by ``load_inputs``.
    """
    if is_table(name_or_path):
        target = target or preparation.target
    if not is_table(name_or_path) or preparation.columns is None or target is None:
        columns = preparation.columns if is_table(name_or_path) else None
        return preparation.apply_to(load_dataset(name_or_path, target, columns=columns), unseen)
    path = _existing(name_or_path)
    x, y = read_trained_table(
        path, preparation.columns, target, preparation.categories, preparation.classes, unseen
    )
    with about(path):
        return preparation.with_answers(x, y, target)


def parts_of(path: Path) -> list[Path]:
    """Where the files are looked for that are one data set with this file or folder, whether they are there or not.

    None for a table, an archive, and what is no data, such as a model.
    """
    try:
        kind = _kind(path)
        folder = path if path.is_dir() else path.parent
        if kind == "npy":
            return [*npy_parts(path), folder / STORED]
        if kind != "idx":
            return []
        if files := find_idx_folder(folder):
            return list(files)
        return [] if path.is_dir() else [labels_beside(path)]
    except BadInput:  # nothing that can be loaded, or nothing beside it
        return []


def _no_columns(what: str, target: str | None, drop: Sequence[str]) -> None:
    for role, name in (("target", target), *(("drop", name) for name in drop)):
        if name is not None:
            raise BadInput(f"{role} is {shown(name)}: it names a column of a table, but {what} is none; leave it out")


def _existing(name_or_path: str | os.PathLike[str]) -> Path:
    if not isinstance(name_or_path, str | os.PathLike):
        raise BadInput(f"data is a {type(name_or_path).__name__}: wanted a name or a path")
    if not os.fspath(name_or_path):
        raise BadInput("data is '': wanted a name or a path; write . for the current folder")
    path = Path(name_or_path)
    if "\0" in str(path) or not os.path.exists(path):
        raise BadInput(
            f"{place(path)}: no such file or folder, and no data set of this name{did_you_mean(str(path), NAMES)}. "
            f"By name there are {listed(NAMES)}."
        )
    if not (path.is_file() or path.is_dir()):  # reading a pipe would wait for ever
        raise BadInput(f"{place(path)}: a file or a folder was wanted, and it is something else")
    return path


def _kind(path: Path) -> str:
    """table, npz, npy or idx, told from the name; BadInput where none of them fits."""
    if path.is_dir():
        if find_idx_folder(path):
            return "idx"
        if any(path.glob("[xX]*.npy")):
            return "npy"
        stored_preparation(path)  # says so if it is an import that isn't finished
        raise BadInput(f"{place(path)}: this folder holds no data set that can be loaded; wanted {LOADABLE}")
    suffix = path.suffix.lower()
    if suffix in TABLES:
        return "table"
    if suffix in (".npz", ".npy"):
        return suffix[1:]
    if "idx" in path.name.lower() or "ubyte" in path.name.lower():
        return "idx"
    if suffix in PACKED and Path(path.stem).suffix.lower() in TABLES:
        raise BadInput(f"{place(path)}: is a packed table: unpack it first")
    raise BadInput(f"{place(path)}: is of no kind that can be loaded; wanted {LOADABLE}")
