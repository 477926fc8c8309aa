"""Tries every fault and writes the table of docs/reliability.md: python tests/faults/write_table.py [TIMES]"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import cases

PAGE = Path(__file__).parents[2] / "docs" / "reliability.md"
BEGIN, END = "<!-- faults: written by tests/faults/write_table.py -->\n", "<!-- end of faults -->\n"


def main(times: int = 100) -> None:
    tries = [
        lambda folder: cases.killed(folder, times),
        lambda folder: cases.interrupted(folder, times),
        cases.disk_full,
        cases.checkpoints_on_a_full_disk,
        cases.read_only,
        lambda folder: cases.truncated(folder, max(1, times // 10)),
        lambda folder: cases.two_writers(folder, 10 * times),
    ]
    lines = ["| fault | survived | how |\n", "|---|---|---|\n"]
    for attempt in tries:
        with tempfile.TemporaryDirectory() as folder:
            try:
                outcome = attempt(Path(folder))
                lines.append(f"| {outcome.fault} | {outcome.survived} of {outcome.tried} | {outcome.how} |\n")
            except cases.CannotTry as reason:
                lines.append(f"| - | not tried | {reason} |\n")
        print(lines[-1], end="", flush=True)
    text = PAGE.read_text("utf-8")
    before, _, rest = text.partition(BEGIN)
    PAGE.write_text(before + BEGIN + "".join(lines) + END + rest.partition(END)[2], "utf-8")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
