"""MNIST: the four IDX files of a folder, where they are looked for, and their download into the user's cache.

The only file of the data room that uses the network, writes a file or tells of its progress (on standard
error).
"""

import os
import re
import tempfile
from functools import partial
from pathlib import Path
from typing import NamedTuple

from ..errors import BadInput
from .dataset import Dataset
from .idx import read_idx
from .targets import Label, classes_with, labels_in
from .wording import about, place, reading

MIRROR = "https://ossci-datasets.s3.amazonaws.com/mnist/"
CHECKSUMS = {  # MD5, as published; they tell a damaged download, not a forged one
    "train-images-idx3-ubyte.gz": "f68b3c2dcbeaaa9fbdd348bbdeb94873",
    "train-labels-idx1-ubyte.gz": "d53e105ee54ea40749a09fcbcd1e9432",
    "t10k-images-idx3-ubyte.gz": "9fb629c4189551a2d022fa330f9573f3",
    "t10k-labels-idx1-ubyte.gz": "ec29112dd5afa0611ce80d1b7f02629c",
}
TIMEOUT = 30.0  # seconds without a byte
LARGEST = 32 << 20  # bytes of one file; the largest has 10 MB


class IdxFolder(NamedTuple):
    """The four files of a data set as MNIST is published."""

    train_images: Path
    train_labels: Path
    test_images: Path
    test_labels: Path


def find_idx_folder(folder: Path) -> IdxFolder | None:
    """The four files in ``folder`` (unpacked ones first, - or . before idx), or None if one is missing."""
    with reading(folder, "a folder"):
        held = os.listdir(folder) if folder.is_dir() else []
    names = sorted(held, key=lambda name: (name.endswith(".gz"), name))
    found = []
    for part in "train[-.]images", "train[-.]labels", "t10k[-.]images", "t10k[-.]labels":
        pattern = re.compile(part + r"([-.]idx\d+)?([-.]ubyte)?(\.gz)?")
        name = next((name for name in names if pattern.fullmatch(name)), None)
        if name is None:
            return None
        found.append(folder / name)
    return IdxFolder(*found)


def read_idx_folder(files: IdxFolder) -> Dataset:
    """The training part; the test part is read when ``.test`` is asked for."""
    y = read_idx(files.train_labels, as_images=False)
    test = partial(idx_pair, files.test_images, files.test_labels, labels_in(y))
    x = read_idx(files.train_images, as_images=True)
    with about(files.train_images):
        return Dataset(x, y, test=test)


def idx_pair(images: Path, labels: Path, classes: tuple[Label, ...] | None = None) -> Dataset:
    """The data set of an images file and its labels file; ``classes`` where some may be absent here."""
    y = read_idx(labels, as_images=False)
    x = read_idx(images, as_images=True)
    with about(images):
        return Dataset(x, y, classes=classes_with(classes, y))


def labels_beside(images: Path) -> Path:
    """The labels file that belongs to an images file, by its name. Raises BadInput if there is none."""
    if "images" not in images.name:
        raise BadInput(f"{place(images)}: wanted an IDX file with 'images' in its name, and its labels file beside it")
    stem = images.name.removesuffix(".gz").replace("images", "labels")
    names = [re.sub(r"idx\d+", "idx1", stem), stem]
    for name in [name + ending for name in names for ending in ("", ".gz")]:
        if (beside := images.with_name(name)).exists():
            return beside
    raise BadInput(
        f"{place(images)}: wanted its labels beside it, as {names[0]} or {names[0]}.gz; there is no such file"
    )


def load_mnist() -> Dataset:
    """MNIST from $BACKLIT_DATA/mnist, $BACKLIT_DATA or the cache, into which it is downloaded at need."""
    from platformdirs import user_cache_dir

    cache = Path(user_cache_dir("backlit")) / "mnist"
    named = os.environ.get("BACKLIT_DATA")
    looked = [Path(named) / "mnist", Path(named), cache] if named else [cache]
    for folder in looked:
        if files := find_idx_folder(folder):
            return read_idx_folder(files)
    # The network's modules take as long to import as the rest of this room: only who downloads waits for them.
    import http.client
    import urllib.error

    try:
        cache.mkdir(parents=True, exist_ok=True)
        for name, checksum in CHECKSUMS.items():
            if not (cache / name).exists():
                _download(MIRROR + name, cache / name, checksum)
    except (OSError, ValueError, http.client.HTTPException) as error:
        if isinstance(error, urllib.error.HTTPError):
            error.close()  # it holds the connection
        reason = " ".join(str(error).split()) or type(error).__name__
        raise BadInput(
            f"mnist: not found in {', '.join(place(folder) for folder in looked)}, and the download from "
            f"{MIRROR} "
            f"failed ({reason}): connect to the network, or let BACKLIT_DATA name a folder with the four "
            "files "
            f"{', '.join(CHECKSUMS)}"
        ) from error
    files = find_idx_folder(cache)
    if files is None:
        raise BadInput(f"mnist: {place(cache)} lacks some of {', '.join(CHECKSUMS)} after the download; try again")
    return read_idx_folder(files)


def _download(url: str, to: Path, checksum: str) -> None:
    """Fetches ``url`` beside ``to``, compares the MD5, and renames it: ``to`` is whole or absent.

    Raises OSError, HTTPException or ValueError with the reason.
    """
    import hashlib
    import urllib.request

    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

    console = Console(stderr=True)
    digest = hashlib.md5(usedforsecurity=False)
    columns = TextColumn("{task.description}"), BarColumn(), DownloadColumn()
    with (
        urllib.request.urlopen(url, timeout=TIMEOUT) as answer,
        tempfile.NamedTemporaryFile(dir=to.parent, prefix=to.name + ".", suffix=".part", delete=False) as part,
    ):
        try:
            size = answer.length
            if not console.is_terminal:
                console.print(f"downloading {url}", markup=False, highlight=False, soft_wrap=True)
            with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
                task = bar.add_task(to.name, total=size)
                got = 0
                while block := answer.read(1 << 16):
                    got += len(block)
                    if got > LARGEST:
                        raise ValueError(f"{to.name} is larger than {LARGEST} bytes")
                    digest.update(block)
                    part.write(block)
                    bar.update(task, completed=got)
            if size is not None and got < size:
                raise ValueError(f"{to.name} was cut off after {got} of {size} bytes")
            if digest.hexdigest() != checksum:
                raise ValueError(f"{to.name} has MD5 {digest.hexdigest()}, wanted {checksum}")
            part.flush()
            os.fsync(part.fileno())
            os.replace(part.name, to)
        except BaseException:  # Ctrl-C too must not leave half a file behind
            Path(part.name).unlink(missing_ok=True)
            raise
