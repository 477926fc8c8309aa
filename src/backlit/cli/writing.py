"""Asked before a command works: can its results be written, and not over what it reads? Nothing is written here."""

from __future__ import annotations

from pathlib import Path
from tempfile import NamedTemporaryFile

from ..data import parts_of
from ..errors import BadInput


def check_writable(option: str, path: Path) -> None:
    """BadInput before an hour of training, rather than after it, where the result couldn't be written."""
    try:
        if path.is_dir():
            raise IsADirectoryError
        with NamedTemporaryFile(dir=path.parent):
            pass
    except OSError:
        raise BadInput(f"{option} {path}: a file in an existing folder that can be written to is wanted.") from None


def check_apart(option: str, path: Path, *sources: str | Path) -> None:
    """BadInput where a result would be written over a file that it comes from, by whatever name or link."""
    for source in map(Path, sources):
        if not (path.is_file() and source.exists()):
            continue
        whole = path.samefile(source)
        if whole or any(part.is_file() and path.samefile(part) for part in parts_of(source)):
            what = f"{source} itself" if whole else f"a part of {source}"
            raise BadInput(f"{option} {path}: this is {what}, which would be lost; name another file.")
