"""Files of results. Before a command works: can they be written, and not over what it reads? After it: whole or not."""

from __future__ import annotations

import os
from collections.abc import Mapping
from io import BytesIO
from itertools import permutations
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

from ..data import parts_of
from ..errors import BadInput
from ..whole_file import write_whole

PICTURES = (".png", ".svg", ".pdf")
FOLDERS = {"--checkpoint", "--log"}  # what may be a folder that holds other things as well


def check_writable(option: str, path: Path) -> None:
    """BadInput before an hour of training, rather than after it, where the result couldn't be written."""
    try:
        place = Path(os.path.realpath(path))
        if place.is_dir() or place.is_symlink() or (place.exists() and not os.access(place, os.W_OK)):
            raise OSError  # a link is left where it leads round in a ring
        if not place.exists() or place.is_file():  # no pipe or device
            with NamedTemporaryFile(dir=place.parent):
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


def check_results(results: Mapping[str, Path | None], *sources: str | Path) -> None:
    """BadInput where a result, an option each, can't be written, or would be over a source or over another result."""
    for option, path in results.items():
        if path is not None and option not in FOLDERS:
            check_writable(option, path)
        if path is not None and option != "--checkpoint":  # which says itself that a file is none
            check_apart(option, path, *sources)
        if path is not None and option == "--plot":
            check_picture(option, path)
    places = [(option, path, Path(os.path.realpath(path))) for option, path in results.items() if path is not None]
    for (option, _, place), (other, path, there) in permutations(places, 2):
        below = place in there.parents and option not in FOLDERS
        if below or (place == there and not {option, other} <= FOLDERS):
            raise BadInput(f"{other} {path}: {option} is written there, too, and one would be lost: name another.")


def check_picture(option: str, path: Path) -> None:
    """BadInput before the work for a picture that couldn't be drawn after it."""
    if path.suffix.lower() not in PICTURES:
        raise BadInput(f"{option} {path}: a name that ends in .png, .svg or .pdf is wanted.")
    from ..explanations.pictures import new_figure

    new_figure(1, 1)  # says at once that matplotlib is missing


def write_result(option: str, path: Path, content: bytes) -> None:
    """The file, whole or not at all, through a link; what is no file, such as a pipe, is written to as it is."""
    try:
        if path.exists() and not path.is_file():
            path.write_bytes(content)
        else:
            write_whole(Path(os.path.realpath(path)), content)
    except OSError as error:
        raise BadInput(f"{option} {path}: can't be written: {error.strerror or error}.") from None


def write_picture(option: str, path: Path, figure: Any) -> None:
    """A matplotlib Figure, in the format that the name ends with."""
    drawn = BytesIO()
    figure.savefig(drawn, format=path.suffix.lower().removeprefix("."))
    write_result(option, path, drawn.getvalue())
