"""Memory and speed of `backlit import` on a large table: `python benchmarks/import_memory.py [--kind csv] [--gb 2]`.

Writes a made-up table of 50 columns of numbers and a target of three classes, imports it by the command line, and says
how many bytes a second went through (the whole import, which reads the file twice) and how much memory the process had
at its peak: VmHWM, and RssAnon sampled every 50 ms, which leaves out the pages of files.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

COLUMNS, BLOCK = 50, 50_000


def write_csv(path: Path, size: int) -> None:
    random = np.random.default_rng(0)
    blocks = []  # a few thousand different rows, written again and again
    for _ in range(4):
        rows = random.standard_normal((2000, COLUMNS)) * random.uniform(0.1, 1000, COLUMNS)
        text = (",".join([*(f"{v:.7g}" for v in row), random.choice(["a", "b", "c"])]) for row in rows)
        blocks.append(("\n".join(text) + "\n").encode())
    with path.open("wb") as file:
        file.write(",".join([*(f"c{k}" for k in range(COLUMNS)), "y"]).encode() + b"\n")
        while file.tell() < size:
            for block in blocks:
                file.write(block)


def write_parquet(path: Path, size: int) -> None:
    import pyarrow
    import pyarrow.parquet

    random, writer = np.random.default_rng(0), None
    while writer is None or path.stat().st_size < size:
        columns = {f"c{k}": random.standard_normal(BLOCK) for k in range(COLUMNS)}
        table = pyarrow.table({**columns, "y": random.choice(["a", "b", "c"], BLOCK)})
        writer = writer or pyarrow.parquet.ParquetWriter(path, table.schema)
        writer.write_table(table)
    writer.close()


def peaks(process: subprocess.Popen) -> dict[str, int]:
    """Peaks of VmHWM and RssAnon in MB until the process ends."""
    most = {"VmHWM": 0, "RssAnon": 0}
    while process.poll() is None:
        try:
            lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
        except OSError:
            break
        for name in most:
            found = [int(line.split()[1]) >> 10 for line in lines if line.startswith(name + ":")]
            most[name] = max(most[name], *found, 0)
        time.sleep(0.05)
    return most


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kind", choices=["csv", "parquet"], default="parquet")
    parser.add_argument("--gb", type=float, default=2.0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        table = Path(place) / f"t.{given.kind}"
        (write_csv if given.kind == "csv" else write_parquet)(table, int(given.gb * 1e9))
        start = time.perf_counter()
        command = [sys.executable, "-m", "backlit", "import", str(table), "--to", str(Path(place) / "to")]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        most, said = peaks(process), process.communicate()[0].split(":")[0]
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu = used.ru_utime + used.ru_stime
        seconds, size = time.perf_counter() - start, table.stat().st_size / 1e6
    print(
        f"{given.kind}, {size:,.0f} MB: {seconds:.0f} s, {size / seconds:.0f} MB/s, and {size / cpu:.0f} MB for each "
        f"second of processor time; peak {most['VmHWM']} MB, {most['RssAnon']} MB without pages of files; {said}"
    )
    sys.exit(process.returncode)


if __name__ == "__main__":
    main()
