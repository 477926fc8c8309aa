"""Hostile input for every reader: python tests/fuzz/readers.py [COUNT [READER...]] tries COUNT damaged or invented
files on each, or on those that are named as in the table.

Allowed are a result and BadInput; anything else, more than LONGEST seconds or a process above MOST_MEMORY is a finding.
The table of docs/reliability.md is written by this script.
"""

from __future__ import annotations

import io
import random
import resource
import shutil
import signal
import struct
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

import numpy as np

import backlit as bl
from backlit.data import import_tables, stored_preparation
from backlit.observers.checkpoint_file import Damaged, from_bytes, to_bytes

PAGE = Path(__file__).parents[2] / "docs" / "reliability.md"
BEGIN, END = "<!-- fuzzing: written by tests/fuzz/readers.py -->\n", "<!-- end of fuzzing -->\n"
LONGEST = 10  # seconds for one file
MOST_MEMORY = 2 << 30  # bytes of address space beyond what is there at the start
INTERESTING = [0, 1, 0x7F, 0x80, 0xFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0x7FFFFFFFFFFFFFFF, 0xFFFFFFFFFFFFFFFF]


def damaged(content: bytes, chance: random.Random, words: list[bytes]) -> bytes:
    """One to eight changes: bits, bytes, lengths, pieces cut out, doubled or exchanged, and words of the format."""
    data = bytearray(content)
    for _ in range(chance.choice([1, 1, 2, 3, 8])):
        at = chance.randrange(len(data) + 1)
        kind = chance.randrange(7)
        if kind == 0 and data:
            data[at % len(data)] ^= 1 << chance.randrange(8)
        elif kind == 1:
            data[at:at] = chance.randbytes(chance.choice([1, 2, 9]))
        elif kind == 2:
            del data[at : at + chance.choice([1, 4, 100])]
        elif kind == 3:
            number = struct.pack(chance.choice("<>") + chance.choice("BHIQ"), 0)
            value = chance.choice(INTERESTING) & (1 << 8 * len(number)) - 1
            data[at : at + len(number)] = value.to_bytes(len(number), chance.choice(["little", "big"]))
        elif kind == 4:
            data[at:at] = data[at // 2 : at // 2 + chance.choice([1, 16, 64])]
        elif kind == 5:
            data[at : at + chance.randrange(4)] = chance.choice(words)
        else:
            del data[at:]
    return bytes(data)


def seeds(folder: Path) -> dict[str, tuple[str, list[bytes], Callable[[Path], object]]]:
    """reader -> (the file's name, whole files to damage, what reads it)."""
    x, y = np.arange(12.0).reshape(6, 2), np.array([0, 1, 0, 1, 1, 0])
    arrays, archive = io.BytesIO(), io.BytesIO()
    np.save(arrays, x)
    np.savez(archive, x=x, y=y)
    packed = io.BytesIO()
    np.savez_compressed(packed, x=x, y=y, x_test=x, y_test=y)
    net, opt = bl.Network([2, 3, 2]), bl.Adam(bl.Cosine(0.1, 9))
    state = bl.initial_state(net, opt)
    bl.save(folder / "seed", net, opt, state, preparation=bl.Preparation.learn(bl.Dataset(x, y)).to_record())
    checkpoint = to_bytes({"seed": 0, "network": {"sizes": net.sizes}}, [state, state], [{"epoch": [1]}, None])
    idx = struct.pack(">HBBIII", 0, 8, 3, 3, 2, 2) + bytes(range(12))
    labels = struct.pack(">HBBI", 0, 8, 1, 3) + bytes([0, 1, 0])
    (folder / "labels-idx1-ubyte").write_bytes(labels)
    np.save(folder / "y.npy", y)
    table = b'a,b,"c d",y\n1,2.5,red,yes\n-3e4,,"bl""ue",no\n7,nan,red,yes\n1,1,,no\n'

    def checked(path: Path) -> object:
        try:
            return from_bytes(path.read_bytes())
        except Damaged as error:
            raise bl.BadInput(str(error)) from None

    def model(path: Path) -> object:
        return bl.load(path), bl.load_preparation(path)

    def data(path: Path) -> object:
        found = bl.load_dataset(path)
        return found.x.sum(), found.y[:1], found.test

    found: dict[str, tuple[str, list[bytes], Callable[[Path], object]]] = {
        "model (safetensors)": ("model", [(folder / "seed").read_bytes()], model),
        "checkpoint": ("step", [checkpoint], checked),
        "IDX": ("images-idx3-ubyte", [idx], data),
        "CSV": ("t.csv", [table, table.replace(b",", b";"), b"\xef\xbb\xbf" + table], data),
        "npz": ("a.npz", [archive.getvalue(), packed.getvalue()], data),
        "npy": ("x.npy", [arrays.getvalue()], data),
    }
    found |= imported(folder)
    try:
        import pyarrow
        import pyarrow.parquet

        columns = {"a": [1.0, 2.0, 3.0], "t": ["a", "b", "a"]}
        pyarrow.parquet.write_table(pyarrow.table(columns), folder / "seed.parquet")
        found["Parquet"] = ("t.parquet", [(folder / "seed.parquet").read_bytes()], data)
        found["Parquet, imported"] = ("i.parquet", found["Parquet"][1], partial(import_anew, folder / "of parquet"))
    except ImportError:
        print("Parquet: not tried, pyarrow is not installed")
    return found


def import_anew(to: Path, path: Path) -> object:
    """What backlit import makes of a table; nothing is left of it for the next."""
    shutil.rmtree(to, ignore_errors=True)
    return import_tables([path], to, None, 0.3, lambda *_: None)


def imported(folder: Path) -> dict[str, tuple[str, list[bytes], Callable[[Path], object]]]:
    """The files of a folder that backlit import made, and of one that it was interrupted in."""
    table, whole, begun = folder / "seed.csv", folder / "whole", folder / "begun"
    lines = [f"{k},{'red' if k % 3 else 'blue'},{k / 7},{'yes' if k % 2 else 'no'}" for k in range(40)]
    table.write_text("\n".join(["a,b,c,y", *lines, ""]))
    import_anew(whole, table)
    (whole / "y.npy").rename(whole / "y_whole")

    def stop(what: str, *_: object) -> None:
        if what == "writing":
            raise InterruptedError

    begun.mkdir()
    with suppress(bl.BadInput):
        import_tables([table], begun, None, 0.3, stop)
    state = (begun / "import.json").read_bytes()

    def read(path: Path) -> object:
        shutil.copyfile(whole / "y_whole", whole / "y.npy")
        data = bl.load_dataset(whole)
        assert data.test is not None
        return data.x.sum(), data.test.x.sum(), stored_preparation(whole)

    def go_on(path: Path) -> object:
        for file in begun.iterdir():
            if file != path:
                file.unlink()
        return import_tables([table], begun, None, 0.3, lambda *_: None)

    return {
        "CSV, imported": ("i.csv", [table.read_bytes()], partial(import_anew, folder / "of csv")),
        "imported folder, its preparation": (
            "whole/preparation.json",
            [(whole / "preparation.json").read_bytes()],
            read,
        ),
        "imported folder, its x.npy": ("whole/x.npy", [(whole / "x.npy").read_bytes()], read),
        "import that was interrupted": ("begun/import.json", [state], go_on),
    }


def words_of(files: list[bytes]) -> list[bytes]:
    """Pieces of the whole files, and what trips readers of text and of archives."""
    return [b'"', b"\n", b"\r", b",", b"\0", b"nan", b"inf", b"1e999", b"-", b"{", b"}", b"[" * 5000, b"null",
            b"'descr': '|O'", b"'shape': (9999999999, 9999999)", "é".encode(), b"\xff\xfe",
            *(file[k : k + 8] for file in files for k in range(0, len(file), 16))]  # fmt: skip


def too_long(*_: object) -> None:
    raise TimeoutError


def fuzz(
    name: str, file: Path, files: list[bytes], read: Callable[[Path], object], count: int
) -> tuple[int, int, list[str]]:
    """(refused, read, findings) of ``count`` files."""
    chance = random.Random(name)
    words, refused, taken, findings = words_of(files), 0, 0, []
    for i in range(count):
        content = damaged(chance.choice(files), chance, words) if i % 50 else chance.randbytes(chance.randrange(300))
        file.write_bytes(content)
        signal.setitimer(signal.ITIMER_REAL, LONGEST)
        try:
            read(file)
            taken += 1
        except bl.BadInput as error:
            refused += 1
            if len(str(error).splitlines()) != 1:
                findings.append(f"{len(str(error).splitlines())} lines: {content[:80]!r}")
        except BaseException as error:
            findings.append(f"{type(error).__name__}: {error!s:.100}: {content[:2000]!r}")
            if isinstance(error, KeyboardInterrupt):
                raise
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
    return refused, taken, findings


def main(count: str = "100000", *names: str) -> int:
    warnings.simplefilter("ignore")
    signal.signal(signal.SIGALRM, too_long)
    lines = ["| reader | files | refused by BadInput | read | findings | seconds |\n", "|---|---|---|---|---|---|\n"]
    before, _, rest = PAGE.read_text("utf-8").partition(BEGIN)
    table, _, after = rest.partition(END)
    known = {line.split("|")[1].strip(): line for line in table.splitlines(keepends=True)}
    bad = 0
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as place:
        folder = Path(place)
        every = seeds(folder)
        for name, (_, files, read) in every.items():  # what is loaded at first use comes before the limit on memory
            file = folder / every[name][0]
            file.write_bytes(files[0])
            read(file)
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + MOST_MEMORY, -1))
        for name, (file_name, files, read) in every.items():
            if names and name not in names:
                lines.append(known[name])
                continue
            start = time.monotonic()
            refused, taken, findings = fuzz(name, folder / file_name, files, read, int(count))
            (folder / file_name).write_bytes(files[0])
            bad += len(findings)
            seconds = time.monotonic() - start
            lines.append(f"| {name} | {int(count):,} | {refused:,} | {taken:,} | {len(findings)} | {seconds:.0f} |\n")
            print(lines[-1], *findings[:5], sep="\n", flush=True)
    PAGE.write_text(before + BEGIN + "".join(lines) + END + after, "utf-8")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
