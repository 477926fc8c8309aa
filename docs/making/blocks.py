"""Pages are plain Markdown: at build ``python`` blocks are executed, and the commands of ``console`` blocks are run.

A page whose ``python`` blocks have a ``text`` block behind them shows its outputs itself, for readers of the file: they
are held against what the blocks print. On other pages the run's own output stands behind each block.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

NOT_EXECUTED = {"book"}  # whole trainings on MNIST: examples/book_runs.py makes that page's tables

EXAMPLES = Path(__file__).parents[2] / "examples"
FRONT = "---\nfile_format: mystnb\nkernelspec:\n  name: python3\n---\n"
PYTHON = re.compile(r"^```python\n(.*?^```\n)", re.MULTILINE | re.DOTALL)
PRINTING = re.compile(r"^```python\n(.*?)^```\n(?:^```text\n(.*?)^```\n)?", re.MULTILINE | re.DOTALL)
CONSOLE = re.compile(r"^```console\n(.*?)^```\n", re.MULTILINE | re.DOTALL)


def execute(app: Any, page: str, source: list[str]) -> None:
    """Sphinx's source-read: the text of a page, with its blocks ready for execution."""
    text = source[0]
    if page in NOT_EXECUTED or Path(app.env.doc2path(page)).suffix != ".md":
        return
    if CONSOLE.search(text):
        with tempfile.TemporaryDirectory() as folder:
            shutil.copytree(EXAMPLES, Path(folder) / "examples")
            text = CONSOLE.sub(lambda match: f"```console\n{session(match[1], folder)}```\n", text)
    if any(expected for _, expected in PRINTING.findall(text)):
        for expected, printed in outputs(text, page):
            if expected != printed:
                raise ValueError(f"{page}: a block prints\n{printed}where the page says\n{expected}")
    elif PYTHON.search(text) or "```{code-cell}" in text:
        text = FRONT + PYTHON.sub(r"```{code-cell} ipython3\n\1", text)
    source[0] = text


def outputs(text: str, name: str) -> list[tuple[str, str]]:
    """(what the page says, what is printed) of each ``python`` block, run one after the other as one program."""
    names: dict[str, object] = {}
    found = []
    for code, expected in PRINTING.findall(text):
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(code, name, "exec"), names)
        found.append((expected, printed.getvalue()))
    return found


def session(block: str, folder: str) -> str:
    """The lines of a console block that begin with ``$``, each with what it prints when it is run in ``folder``."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "COLUMNS": "80"}
    shown = []
    for line in block.splitlines():
        if not line.startswith("$ "):
            continue
        command = line[2:]
        done = subprocess.run(command, shell=True, cwd=folder, env=environment, capture_output=True, text=True)
        # backlit check ends with 1 where it has found something
        if done.returncode != 0 and not (done.returncode == 1 and "backlit check" in command):
            raise RuntimeError(f"{command}\n{done.stdout}{done.stderr}")
        shown.append(f"{line}\n{done.stdout}")
    return "".join(shown)
