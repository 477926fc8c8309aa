"""Draws docs/images/train.svg: what ``backlit train digits`` prints, run for real. Needs rich only."""

import io
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.text import Text

COMMAND = ["train", "digits"]
TARGET = Path(__file__).parent / "images" / "train.svg"


def main() -> None:
    """Runs the command and draws its two streams as one screen."""
    found = subprocess.run(
        [sys.executable, "-m", "backlit", *COMMAND], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    console = Console(record=True, width=108, file=io.StringIO())
    console.print(Text(f"$ backlit {' '.join(COMMAND)}", style="bold"))
    console.print(Text(found.stdout.rstrip()))
    TARGET.write_text(console.export_svg(title="backlit"))


if __name__ == "__main__":
    main()
