"""Somebody's own file, run in a process of its own with a time limit; only arrays come back.

Whatever the file does (prints, raises, loops for ever, ends the process), the caller gets an answer or one BadInput.
What runs inside that process is foreign_child.py. It is no sandbox: the file can do all that its user can.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from ..errors import BadInput
from ..network import Network
from ..state import Floats, State

KEPT = 2000  # characters of what the file prints
Pair = tuple[list[Floats], list[Floats]]


@dataclass(frozen=True)
class Answer:
    """What one way of calling their code gave.

    way:     how it was called, in words.
    first:   their pair of lists, as they returned it; ``second``: of a second call with the same arguments.
    moved:   the names of the arguments that the call changed, "" for none.
    """

    way: str
    method: str  # "backprop", or "update_mini_batch"
    first: Pair
    second: Pair
    moved: str


@dataclass(frozen=True)
class Run:
    """All answers of a file, what was found in it, the beginning of what it printed, and what ended it early."""

    kind: str  # "function" or "class"
    cost: str  # of a class: the name of its cost, "" if there is none
    answers: tuple[Answer, ...]
    printed: str
    stopped: str = ""


def run_file(path: Path, net: Network, state: State, x: Floats, y: Floats, seconds: float) -> Run:
    """Calls ``backprop`` of the file at ``state`` on the batch x (B, n_in), y (B, n_out).

    Raises BadInput, in one line, where there is no such file or function, where it raises, and after ``seconds``.
    """
    if not path.is_file():
        if path.exists():
            raise BadInput(f"check: {path} is a folder or a device: a Python file is wanted.")
        raise BadInput(f"check: there is no file {path}.")
    with tempfile.TemporaryDirectory(prefix="backlit-check-") as folder:
        job = {"path": str(path.resolve()), "sizes": list(net.sizes)}
        Path(folder, "job.json").write_text(json.dumps(job), "utf-8")
        arrays: dict[str, Any] = {f"W{k}": layer.W for k, layer in enumerate(state.layers)}
        arrays |= {f"b{k}": layer.b for k, layer in enumerate(state.layers)}
        np.savez(Path(folder, "job.npz"), x=x, y=y, **arrays)
        code, printed = _run(folder, path, seconds)
        return _answers(Path(folder), path, code, printed)


def _run(folder: str, path: Path, seconds: float) -> tuple[int, str]:
    """(exit code, what was printed); BadInput where the time limit ends it."""
    command = [sys.executable, "-P", "-m", "backlit.checks.foreign_child", folder]
    environment = {**os.environ, "MPLBACKEND": "agg", "PYTHONIOENCODING": "utf-8:backslashreplace"}
    child = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=path.resolve().parent,
        env=environment, start_new_session=True,
    )  # fmt: skip
    assert child.stdout is not None
    kept: list[bytes] = []
    reader = threading.Thread(target=_drain, args=(child.stdout, kept), daemon=True)
    reader.start()
    try:
        code = child.wait(seconds)
    except subprocess.TimeoutExpired:
        raise BadInput(
            f"check: {path} was stopped after {seconds:g} s (--time-limit). Does a loop in backprop never end? What "
            'the file does by itself, such as training, belongs below if __name__ == "__main__".'
        ) from None
    finally:
        _end(child)
        reader.join(1)
    return code, b"".join(kept).decode("utf-8", "replace")


def _end(child: subprocess.Popen[bytes]) -> None:
    """Ends the process and all that it has started."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if hasattr(os, "killpg"):
            os.killpg(child.pid, signal.SIGKILL)
        else:
            child.kill()
    child.wait()


def _drain(pipe: IO[bytes], kept: list[bytes]) -> None:
    """Reads to the end, so that the process never waits for us, and keeps the beginning."""
    while chunk := pipe.read1(65536):  # type: ignore[attr-defined]
        if sum(map(len, kept)) < KEPT:
            kept.append(chunk[:KEPT])


def _answers(folder: Path, path: Path, code: int, printed: str) -> Run:
    try:
        report = json.loads(Path(folder, "report.json").read_text("utf-8"))
    except (OSError, ValueError):
        last = printed.strip().splitlines()[-1][:200] if printed.strip() else "nothing"
        ended = f"by signal {-code}" if code < 0 else f"with exit code {code}"
        message = f"check: {path} ended its process {ended} before backprop had answered. It last printed: {last}"
        raise BadInput(message) from None
    if report["error"]:
        raise BadInput(f"check: {path}{report['error']}")
    answers = []
    for number, told in enumerate(report["answers"]):
        with np.load(folder / f"answer{number}.npz", allow_pickle=False) as arrays:
            calls = [_pair(arrays, call) for call in ("first", "second")]
        answers.append(Answer(told["way"], told["method"], calls[0], calls[1], told["moved"]))
    return Run(report["kind"], report["cost"], tuple(answers), printed, report["stopped"])


def _pair(arrays: Any, call: str) -> Pair:
    one, other = ([arrays[k] for k in _numbered(arrays, f"{call}{side}_")] for side in (0, 1))
    return one, other


def _numbered(arrays: Any, prefix: str) -> list[str]:
    return sorted((k for k in arrays.files if k.startswith(prefix)), key=lambda k: int(k.rpartition("_")[2]))
