"""Training from a file beside training from memory: `python benchmarks/memory_mapped.py [--folder F] [--rows N]`.

Makes a folder of N rows of 200 float32 (2,500,000 rows: 2 GB) and trains 200-32-10 on them with the native engine, one
thread, batches of 64: so little work per row that fetching it counts. Epochs from the mapped file (cached) and from the
same rows in memory alternate. Then, in a process of its own, the peak of private memory (RssAnon: what the system
can't take back, the cached file not counted); and epochs on a cold file, whose pages are given back before each and,
with --evict S, again every S seconds, as if memory were smaller than the file. Writes Markdown and JSON to
benchmarks/results, named by the processor.
"""

from __future__ import annotations

import argparse
import json
import mmap
import os
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
from step_speed import processor

import backlit as bl

COLUMNS, CLASSES, BATCH = 200, 10, 64
NET = bl.Network([COLUMNS, 32, CLASSES], output="softmax", loss="cross_entropy")
ORDERS = ("shuffled", "shuffled_in_blocks", "as_given")
RESULTS = Path(__file__).parent / "results"


def make(folder: Path, rows: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(0)
    x = np.lib.format.open_memmap(folder / "x.npy", "w+", np.float32, (rows, COLUMNS))
    for first in range(0, rows, 50_000):
        x[first : first + 50_000] = random.standard_normal((min(50_000, rows - first), COLUMNS), np.float32)
    x.flush()
    np.save(folder / "y.npy", random.integers(0, CLASSES, rows))


def epoch(data: object, order: str, longest: float = 1e9) -> float:
    """Rows per second over one epoch, or over as much of it as fits into ``longest`` seconds."""
    run = bl.train(NET, bl.SGD(0.01), data, batch_size=BATCH, epochs=1, order=order, engine="native")
    start, steps = time.perf_counter(), 0
    for progress in run:
        steps = progress.step
        if time.perf_counter() - start > longest:
            break
    return steps * BATCH / (time.perf_counter() - start)


def cached(folder: Path, rounds: int) -> dict[str, dict[str, list[float]]]:
    """order -> where the rows are -> rows per second of each round."""
    mapped = bl.load_dataset(folder)
    places = {"file": mapped, "memory": bl.Dataset(np.array(mapped.x), np.array(mapped.y))}
    found = {order: {where: [] for where in places} for order in ORDERS[:2]}
    for number in range(rounds + 1):
        for order, where in ((o, w) for o in found for w in places):
            speed = epoch(places[where], order)
            if number:  # the first round warms
                found[order][where].append(speed)
    return found


def private_memory(folder: Path) -> dict[str, int]:
    """Peaks in MB while one epoch is trained from the file, sampled every 10 ms; and what had been there before."""
    peaks = {"RssAnon": 0, "RssFile": 0}

    def sample() -> dict[str, int]:
        lines = Path("/proc/self/status").read_text().splitlines()
        return {name: int(line.split()[1]) >> 10 for line in lines for name in peaks if line.startswith(name + ":")}

    def watch() -> None:
        while True:
            for name, value in sample().items():
                peaks[name] = max(peaks[name], value)
            time.sleep(0.01)

    before = sample()["RssAnon"]
    threading.Thread(target=watch, daemon=True).start()
    epoch(bl.load_dataset(folder), "shuffled")
    return {**peaks, "RssAnon before": before}


def cold(folder: Path, order: str, evict: float, longest: float) -> float:
    """Rows per second from a file that isn't cached, and whose pages go again every ``evict`` seconds (0: never)."""
    data = bl.load_dataset(folder)
    mapped = data.x
    while not isinstance(mapped, mmap.mmap):
        mapped = mapped.base
    ended = threading.Event()

    def give_back() -> None:
        mapped.madvise(mmap.MADV_DONTNEED)
        handle = os.open(folder / "x.npy", os.O_RDONLY)
        os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(handle)

    def keep_giving_back() -> None:
        while not ended.wait(evict):
            give_back()

    give_back()
    thread = threading.Thread(target=keep_giving_back)
    if evict:
        thread.start()
    try:
        return epoch(data, order, longest)
    finally:
        ended.set()
        if evict:
            thread.join()


def report(folder: Path, rounds: int, evict: float) -> None:
    speeds = cached(folder, rounds)
    size = (folder / "x.npy").stat().st_size / 1e9
    lines = [
        f"# Training from a file of {size:.1f} GB\n\n",
        f"{processor()}, one thread; 200-32-10, batch {BATCH}.\n\n",
    ]
    lines += ["| order | rows/s, cached file | rows/s, memory | file ÷ memory |\n|---|---|---|---|\n"]
    for order, where in speeds.items():
        ratio = statistics.median(f / m for f, m in zip(where["file"], where["memory"], strict=True))
        file, memory = (f"{statistics.median(where[w]):,.0f}" for w in ("file", "memory"))
        lines.append(f"| {order} | {file} | {memory} | {ratio:.2f} |\n")
    done = subprocess.run([sys.executable, __file__, "--private", str(folder)], capture_output=True, check=True)
    memory_used = json.loads(done.stdout)
    lines.append(
        f"\nPrivate memory at its peak: {memory_used['RssAnon']} MB ({memory_used['RssAnon before']} MB before the "
        f"data was opened), for {size:.1f} GB of rows; the answers, one float32 for each row and class, lie in it.\n\n"
    )
    fresh = {order: cold(folder, order, 0, 60) for order in ORDERS}
    evicted = {order: cold(folder, order, evict, 20) for order in ORDERS} if evict else {}
    lines += ["| order | rows/s, cold file |", f" its pages given back every {evict:g} s |" if evict else "", "\n"]
    lines += ["|---" * (3 if evict else 2) + "|\n"]
    for order in ORDERS:
        more = f" {evicted[order]:,.0f} |" if evict else ""
        lines.append(f"| {order} | {fresh[order]:,.0f} |{more}\n")
    print("".join(lines))
    file = RESULTS / f"memory-mapped-{re.sub(r'[^a-z0-9]+', '-', processor().lower()).strip('-')}.md"
    file.write_text("".join(lines), "utf-8")
    numbers = {"cached": speeds, "memory": memory_used, "cold": fresh, "evicted": evicted, "evicted every": evict}
    file.with_suffix(".json").write_text(json.dumps(numbers, indent=1) + "\n", "utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, help="made there if it isn't; otherwise it is made and removed")
    parser.add_argument("--rows", type=int, default=2_500_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--evict", type=float, default=0.3)
    parser.add_argument("--private", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    os.environ["BACKLIT_NUM_THREADS"] = "1"
    if given.private:
        print(json.dumps(private_memory(given.private)))
        return
    with tempfile.TemporaryDirectory() as aside:
        folder = given.folder or Path(aside)
        if not (folder / "x.npy").exists():
            make(folder, given.rows)
        report(folder, given.rounds, given.evict)


if __name__ == "__main__":
    main()
