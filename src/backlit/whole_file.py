"""How a file is written so that it is always whole, whatever happens. What is in it is others' business."""

from __future__ import annotations

import errno
import os
import secrets
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

ASIDE = ".part"  # how a file ends while it is being written
SYNC_BYTES = 64 << 20  # a large file reaches the disk in pieces: whoever watches this process sees that it works


def write_whole(path: Path, content: bytes, check: Callable[[Path], object] = lambda aside: None) -> None:
    """Writes ``content`` beside ``path``, synced; when ``check`` has looked at it, renames it into its place.

    Killed at any moment, the file at ``path`` is the old or the new one, whole; who may read it stays as it was. Raises
    OSError, also where ``path`` is something else than a file, or one that may not be written to.
    """
    mode = _mode_of(path)
    aside = path.with_name(f".{path.name[:50]}.{secrets.token_hex(6)}{ASIDE}")
    try:
        _write_synced(aside, content)
        check(aside)
        if mode is not None:
            aside.chmod(mode)
        os.replace(aside, path)
        _sync_folder(path.parent)
    finally:
        with suppress(OSError):
            aside.unlink(missing_ok=True)


def _write_synced(path: Path, content: bytes) -> None:
    with open(path, "xb") as file:
        for first in range(0, len(content), SYNC_BYTES) or (0,):
            file.write(memoryview(content)[first : first + SYNC_BYTES])
            file.flush()
            os.fsync(file.fileno())


def _mode_of(path: Path) -> int | None:
    """The permissions of the file that is to be replaced; None where there is none."""
    try:
        there = path.stat()
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(there.st_mode):
        raise OSError(errno.EINVAL, "a file was wanted, and it is something else")
    if not os.access(path, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    return stat.S_IMODE(there.st_mode)


def _sync_folder(folder: Path) -> None:
    with suppress(OSError):  # some file systems can't sync a folder; the file itself is synced
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
