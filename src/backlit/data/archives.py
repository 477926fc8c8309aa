"""NumPy's own files: .npz archives, and .npy files side by side, which stay on disk as memory maps.

No pickled object is ever loaded, and no size that a file claims is believed before it is compared with the
file.
"""

import math
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import BadInput
from .arrays import Array
from .dataset import Dataset
from .idx import MOST_INFLATION
from .preparation import Preparation
from .targets import Label, classes_with, labels_in
from .wording import about, listed, place, reading

# the names under which people save the parts, in the order in which they are looked for
NAMES = {
    "x": ("x", "X", "x_train", "X_train"),
    "y": ("y", "Y", "y_train", "Y_train"),
    "sample_weight": ("sample_weight",),
    "x_test": ("x_test", "X_test"),
    "y_test": ("y_test", "Y_test"),
}
WANTED = "arrays x and y (or x_train and y_train; also x_test, y_test, sample_weight)"


def read_npz(path: Path) -> Dataset:
    """The data set of an .npz archive; its test part is read when asked for."""
    with reading(path, "an .npz archive"), zipfile.ZipFile(path) as archive:
        held = [name.removesuffix(".npy") for name in archive.namelist()]
    return _dataset(path, held, partial(_member, path))


def read_npy_folder(folder: Path, stored: Preparation | None = None) -> Dataset:
    """The data set of a folder with x.npy and y.npy, memory-mapped; ``stored``: how it was imported."""
    held = [file.stem for file in folder.glob("*.npy")]
    return _dataset(folder, held, lambda name: read_npy(folder / f"{name}.npy"), stored)


def read_npy_pair(path: Path, stored: Preparation | None = None) -> Dataset:
    """The data set of x.npy (or x_train.npy, X.npy, ...) and the y.npy beside it, memory-mapped."""
    beside = next((file for file in _answers_beside(path) if file.exists()), None)
    if beside is None:
        raise BadInput(
            f"{place(path)}: wanted a pair of files such as x.npy and y.npy in one folder, and the first of them named"
        )
    x, y = read_npy(path), read_npy(beside)
    with about(path):
        return _as_stored(x, y, stored)


def _answers_beside(path: Path) -> list[Path]:
    """Where the answers to the inputs in this file are looked for."""
    return [path.with_name(letter + path.name[1:]) for letter in ("y", "Y")] if path.name[:1] in ("x", "X") else []


def npy_parts(path: Path) -> list[Path]:
    """Where the arrays are looked for that belong with this .npy file, or to this folder."""
    folder, pair = (path, []) if path.is_dir() else (path.parent, _answers_beside(path))
    return pair + [folder / f"{name}.npy" for names in NAMES.values() for name in names]


def npz_inputs(path: Path) -> Array:
    """x alone, (N, n_in), from an .npz archive that may have no y."""
    with reading(path, "an .npz archive"), zipfile.ZipFile(path) as archive:
        held = [name.removesuffix(".npy") for name in archive.namelist()]
    return _member(path, _find("x", held, path))


def read_npy(path: Path) -> Array:
    """One .npy file as a read-only memory map."""
    with reading(path, "an .npy file of numbers"):
        array: Array = np.load(path, mmap_mode="r", allow_pickle=False)
        if not isinstance(array, np.ndarray):
            raise BadInput(f"{place(path)}: wanted an .npy file, but it holds an archive; name it .npz")
    return array


def _as_stored(x: Array, y: Array, stored: Preparation | None, **more: Any) -> Dataset:
    """x and y as they were imported: y holds the places of the classes, the inputs have names."""
    if stored is None:
        return Dataset(x, y, **more)
    if x.ndim == 2 and x.shape[1] != stored.width:
        raise BadInput(f"x has shape {x.shape}: wanted (N, {stored.width}), as its preparation says; import it anew")
    places = None if stored.classes is None else range(len(stored.classes))
    return Dataset(x, y, **{"classes": places, **more}, columns=stored.inputs_of_columns, target=stored.target)


def _dataset(where: Path, held: list[str], read: Callable[[str], Array], stored: Preparation | None = None) -> Dataset:
    """Puts the arrays of ``where`` together; ``read`` gets one of the names in ``held``."""
    x, y = read(_find("x", held, where)), read(_find("y", held, where))
    weight = read("sample_weight") if "sample_weight" in held else None
    test_names = [name for name in held if name in NAMES["x_test"] + NAMES["y_test"]]
    test = None
    if test_names:
        pair = _find("x_test", held, where), _find("y_test", held, where)
        test = partial(_test_part, where, read, pair, labels_in(y), stored)
    with about(where):
        return _as_stored(x, y, stored, sample_weight=weight, test=test)


def _test_part(
    where: Path,
    read: Callable[[str], Array],
    pair: tuple[str, str],
    classes: tuple[Label, ...] | None,
    stored: Preparation | None,
) -> Dataset:
    x, y = read(pair[0]), read(pair[1])
    with about(where, "test part: "):
        return Dataset(x, y, classes=classes_with(classes, y)) if stored is None else _as_stored(x, y, stored)


def _find(part: str, held: list[str], where: Path) -> str:
    found = next((name for name in NAMES[part] if name in held), None)
    if found is None:
        raise BadInput(f"{place(where)}: wanted {WANTED}; {part} is missing, it holds {listed(held) or 'nothing'}")
    return found


def _member(path: Path, name: str) -> Array:
    """One array of an archive, read after its claimed size was compared with what the archive can hold."""
    with reading(path, f"an .npz archive with an array {name}"), zipfile.ZipFile(path) as archive:
        info = next((i for i in archive.infolist() if i.filename in (name + ".npy", name)), None)
        if info is None:
            raise BadInput(f"{place(path)}: wanted an array {name}, which is gone; write the file anew")
        factor = {zipfile.ZIP_STORED: 1, zipfile.ZIP_DEFLATED: MOST_INFLATION}.get(info.compress_type, 0)
        if info.file_size > factor * min(info.compress_size, path.stat().st_size):
            raise BadInput(f"{place(path)}: {name} claims more bytes than the file holds; save it with numpy.savez")
        with archive.open(info) as stream:
            version = np.lib.format.read_magic(stream)
            header = {
                (1, 0): np.lib.format.read_array_header_1_0,
                (2, 0): np.lib.format.read_array_header_2_0,
            }
            if version not in header:
                raise BadInput(f"{place(path)}: {name} has .npy version {version}: wanted plain numbers or texts")
            shape, _, dtype = header[version](stream)
            if (
                dtype.hasobject
                or min(shape, default=0) < 0
                or math.prod(shape) * dtype.itemsize != info.file_size - stream.tell()
            ):
                raise BadInput(
                    f"{place(path)}: {name} says shape {shape} of {dtype}, which isn't what the archive "
                    "holds; "
                    "Python objects are not loaded: save plain arrays with numpy.savez"
                )
        with archive.open(info) as stream:
            array: Array = np.lib.format.read_array(stream, allow_pickle=False)
        return array
