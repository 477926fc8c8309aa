"""Times one training step of backlit beside the libraries that are installed: `python benchmarks/step_speed.py`.

Every library runs in its own process and waits there; rounds go around all of them, so that a slow minute of the
machine hits all alike. Told are medians over the rounds, of times and of the ratios within a round, once pinned to one
core and once with all. Writes Markdown and JSON to benchmarks/results, named by the processor.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import time
from pathlib import Path

from rows import ROWS, Row

HERE = Path(__file__).parent
MODULES = {"backlit": "backlit", "scikit-learn": "sklearn", "PyTorch": "torch", "JAX": "jax", "NumPy": "numpy"}
# NumPy's and SciPy's OpenBLAS may take a new processor for an older one without AVX-512; peers get their best.
SKYLAKE = {"OPENBLAS_CORETYPE": "SkylakeX"}


def contenders() -> dict[str, tuple[str, dict[str, str]]]:
    """Column -> (library, extra environment), of what is installed here."""
    there = [name for name, module in MODULES.items() if importlib.util.find_spec(module)]
    columns = {name: (name, {}) for name in there}
    if "avx512f" in Path("/proc/cpuinfo").read_text():
        columns |= {f"{n}, SkylakeX": (n, SKYLAKE) for n in ("scikit-learn", "NumPy") if n in there}
    return columns


QUIET = 0.4  # seconds before each round: the pools of some libraries spin on for a while after their work


class Worker:
    def __init__(self, library: str, row: int, threads: int, environment: dict[str, str]) -> None:
        count = str(threads)
        limits = {"OMP_NUM_THREADS": count, "OPENBLAS_NUM_THREADS": count}
        self.process = subprocess.Popen(
            [sys.executable, str(HERE / "peers.py"), library, str(row), count],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, **limits, **environment},
        )

    def answer(self) -> str:
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"the worker ended: {' '.join(map(str, self.process.args))}")
        return line

    def round(self) -> float:
        self.process.stdin.write("go\n")
        self.process.stdin.flush()
        return json.loads(self.answer())

    def close(self) -> None:
        self.process.stdin.close()
        self.process.wait()


def time_row(row: int, threads: int, rounds: int) -> dict[str, list[float]]:
    """Column -> microseconds of a step, round by round."""
    workers = {name: Worker(lib, row, threads, env) for name, (lib, env) in contenders().items()}
    for worker in workers.values():
        worker.answer()
    times: dict[str, list[float]] = {name: [] for name in workers}
    for _ in range(rounds):
        for name, worker in workers.items():
            time.sleep(QUIET)
            times[name].append(worker.round() * 1e6)
    for worker in workers.values():
        worker.close()
    return times


def processor() -> str:
    info = Path("/proc/cpuinfo").read_text()
    field = {k: re.search(rf"^{k}\s*: (.*)$", info, re.M) for k in ("model name", "cpu family", "model")}
    family = ", ".join(f"{k.removeprefix('cpu ')} {m[1]}" for k, m in field.items() if m and k != "model name")
    return f"{field['model name'][1]} ({family})" if field["model name"] else platform.processor()


def measured_peak() -> float:
    """10⁹ multiply-add operations a second of the core this runs on, in float32."""
    code = "from backlit.engines.native import measured_peak; print(measured_peak())"
    return float(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)


def record(row: Row, threads: int, rounds: dict[str, list[float]], peak: float) -> dict[str, object]:
    times = {name: statistics.median(column) for name, column in rounds.items()}
    peers = {name: t for name, t in times.items() if name != "backlit"}
    best = min(peers, key=peers.__getitem__) if peers else None
    ours = times["backlit"]
    ratios = [theirs / our for theirs, our in zip(rounds[best], rounds["backlit"], strict=True)] if best else []
    return {
        "row": row.name,
        "threads": threads,
        "microseconds": times,
        "best_peer": best,
        "times_faster_than_best_peer": statistics.median(ratios) if best else None,
        "gflops": row.operations / ours / 1e3,
        "share_of_peak": row.operations / ours / 1e3 / (peak * threads),
    }


def markdown(records: list[dict], header: str) -> str:
    lines = [f"# Microseconds per training step\n\n{header}\n"]
    for threads in sorted({r["threads"] for r in records}):
        part = [r for r in records if r["threads"] == threads]
        columns = list(part[0]["microseconds"])
        lines.append(f"\n## {'One core, pinned' if threads == 1 else f'All {threads} cores'}\n")
        lines.append("| network | " + " | ".join(columns) + " | × best peer | share of peak |")
        lines.append("|" + "---|" * (len(columns) + 3))
        for r in part:
            numbers = [f"{r['microseconds'][c]:.3g}" for c in columns]
            ratio = f"{r['times_faster_than_best_peer']:.2f} ({r['best_peer']})" if r["best_peer"] else ""
            lines.append(f"| {r['row']} | {' | '.join(numbers)} | {ratio} | {r['share_of_peak']:.0%} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--rows", type=int, nargs="*", default=range(len(ROWS)), help="numbers of rows, from 0")
    parser.add_argument("--threads", type=int, nargs="*", default=None, help="1, the number of cores, or both")
    parser.add_argument("--out", type=Path, default=HERE / "results")
    arguments = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0))
    records, peaks = [], []
    for threads in arguments.threads or sorted({1, len(cores)}):
        os.sched_setaffinity(0, cores[-1:] if threads == 1 else cores)
        for row in arguments.rows:
            peaks.append(measured_peak())
            records.append(record(ROWS[row], threads, time_row(row, threads, arguments.rounds), peaks[-1]))
            print(json.dumps(records[-1]), file=sys.stderr, flush=True)
    header = f"{processor()}, {len(cores)} cores; multiply-add peak of one core {statistics.median(peaks):.0f} GFLOP/s."
    arguments.out.mkdir(parents=True, exist_ok=True)
    name = re.sub(r"\W+", "-", processor()).strip("-").lower()
    (arguments.out / f"step-speed-{name}.json").write_text(
        json.dumps({"processor": processor(), "peak_gflops": peaks, "records": records}, indent=1) + "\n"
    )
    text = markdown(records, header)
    (arguments.out / f"step-speed-{name}.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
