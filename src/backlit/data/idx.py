"""IDX files, the format of MNIST: gzipped or not, all six types, read in blocks and distrusted until the end.

Only the format is known here; which files make a data set is decided in readers.py and mnist.py.
"""

import gzip
import math
import os
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np

from ..errors import BadInput
from .arrays import Array
from .wording import listed, place, reading

TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
BYTES = 1 << 20  # read at a time; a multiple of every item size
MOST_INFLATION = 1032  # deflate cannot pack more than this into a byte, so no honest header promises more


def read_idx(path: Path, *, as_images: bool) -> Array:
    """The array of an IDX file, in this machine's byte order.

    With ``as_images`` it comes as rows (N, numbers of one item), and unsigned bytes come as float32 from 0
    to 1; otherwise with the file's own shape and type. Beside the result, memory stays within a few MB.
    Raises BadInput naming the file for a wrong magic number, sizes that the file cannot hold, too few or
    too many bytes, and damaged gzip data.
    """
    with reading(path, "an IDX file"), path.open("rb") as raw:
        packed = raw.read(2) == b"\x1f\x8b"
        raw.seek(0)
        stream = cast(BinaryIO, gzip.GzipFile(fileobj=raw)) if packed else raw
        limit = os.fstat(raw.fileno()).st_size * (MOST_INFLATION if packed else 1)
        stored, shape = _header(stream, path, limit)
        count = math.prod(shape)
        scaled = as_images and stored == np.uint8
        result = np.empty(count, np.float32 if scaled else stored.newbyteorder("="))
        _fill(result, stream, stored, path, scaled)
        if stream.read(1):
            raise BadInput(f"{place(path)}: more bytes follow than its header's shape {shape} holds; get the file anew")
    return result.reshape((shape[0], count // shape[0]) if as_images else shape)


def _header(stream: BinaryIO, path: Path, limit: int) -> tuple[np.dtype[Any], tuple[int, ...]]:
    """Type and shape from the first bytes, refused if they need more than ``limit`` bytes or hold nothing."""
    magic = stream.read(4)
    if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] not in TYPES or magic[3] == 0:
        raise BadInput(
            f"{place(path)}: its first bytes are {magic.hex(' ') or 'missing'}: wanted an IDX file, which "
            "begins with "
            "00 00, a type (08 to 0e) and the number of dimensions"
        )
    sizes = stream.read(4 * magic[3])
    if len(sizes) < 4 * magic[3]:
        raise BadInput(f"{place(path)}: ends within its header of {magic[3]} dimensions; get the file anew")
    stored = np.dtype(TYPES[magic[2]])
    shape = tuple(np.frombuffer(sizes, ">u4").tolist())
    if 0 in shape:
        raise BadInput(f"{place(path)}: its header says shape ({listed(map(str, shape))}): wanted at least one item")
    if math.prod(shape) * stored.itemsize > limit:
        raise BadInput(
            f"{place(path)}: its header says shape ({listed(map(str, shape))}), more than the file holds; "
            "it is cut off or damaged: get it anew"
        )
    return stored, shape


def _fill(result: Array, stream: BinaryIO, stored: np.dtype[Any], path: Path, scaled: bool) -> None:
    """Reads ``result`` (count,) block by block from the rest of the stream."""
    start = 0
    buffer = memoryview(bytearray(BYTES))
    while start < len(result):
        wanted = min(BYTES, (len(result) - start) * stored.itemsize)
        got = 0
        while got < wanted:
            more = stream.readinto(buffer[got:wanted])  # type: ignore[attr-defined]
            if not more:
                raise BadInput(
                    f"{place(path)}: ends after {start + got // stored.itemsize} of {len(result)} numbers; "
                    "it is cut off: get it anew"
                )
            got += more
        block = np.frombuffer(buffer[:wanted], stored)
        part = result[start : start + len(block)]
        if scaled:
            np.divide(block, np.float32(255), out=part)
        else:
            part[:] = block
        start += len(block)
