"""Logs for people's own tools: one entry per finished epoch, as CSV, JSON lines, or for TensorBoard.

Given to ``fit`` as observers. Kept in checkpoints: a run that goes on cuts its log back to where the checkpoint was.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryFile
from time import monotonic
from typing import Any

from ..errors import BadInput, EngineUnavailable
from ..progress import Progress
from .history import History

COLUMNS = ("epoch", "update", "loss", "rate", "validation_loss", "validation_score", "seconds")


def log_to(path: str | os.PathLike[str]) -> CSVLog | JSONLog | TensorBoardLog:
    """The log for a path: .csv, .jsonl, and TensorBoard's for everything else, which is a folder."""
    kinds: dict[str, type[CSVLog | JSONLog | TensorBoardLog]] = {".csv": CSVLog, ".jsonl": JSONLog}
    return kinds.get(Path(path).suffix.lower(), TensorBoardLog)(path)


class _Log:
    """What all logs have: the entry of an epoch, and the clock."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.history: History | None = None
        self.started, self.before, self.complained = monotonic(), 0.0, False

    def begin(self, history: History) -> None:
        """Called by ``fit`` before the run: whose validation is logged too. BadInput where nothing can be written."""
        self.history, self.started = history, monotonic()
        try:
            self.prepare()
        except OSError as error:
            reason = error.strerror or error
            raise BadInput(f"log: {self.path} can't be written: {reason}. Name another place.") from None

    def __call__(self, progress: Progress) -> None:
        if progress.epoch_loss is None:
            return
        history = self.history or History()
        entry = {
            "epoch": progress.epoch,
            "update": progress.step,
            "loss": progress.epoch_loss,
            "rate": progress.rate,
            "validation_loss": history.validation_loss[-1] if history.validation_loss else None,
            "validation_score": history.validation_score[-1] if history.validation_score else None,
            "seconds": round(self.seconds, 3),
        }
        try:
            self.write(entry)
        except OSError as error:  # a run of hours isn't worth less than its log
            if not self.complained:
                print(f"log: {self.path} can't be written: {error.strerror or error}.", file=sys.stderr, flush=True)
            self.complained = True

    @property
    def seconds(self) -> float:
        return self.before + monotonic() - self.started

    def prepare(self) -> None:
        """Tries to write, and changes nothing that is there; OSError where it can't."""
        raise NotImplementedError

    def write(self, entry: Mapping[str, Any]) -> None:
        raise NotImplementedError

    def record(self) -> dict[str, Any]:
        """For a checkpoint."""
        return {"seconds": self.seconds}

    def restore(self, record: Mapping[str, Any]) -> None:
        """Takes up a checkpoint's record."""
        self.before, self.started = record["seconds"], monotonic()


class _File(_Log):
    """A text file, one line an epoch, on disk when the epoch is over."""

    lines = size = 0  # of the file, size in bytes

    def prepare(self) -> None:
        """Opens the file; one that wasn't there is taken away again, as the run may not begin."""
        new = not self.path.exists()
        with open(self.path, "ab"):
            pass
        if new:
            self.path.unlink()

    def write(self, entry: Mapping[str, Any]) -> None:
        """Puts the line behind the others; what a run that was killed wrote later goes."""
        text = self.text(entry).encode()
        with open(self.path, "r+b" if self.size else "wb", buffering=0) as file:
            file.seek(self.size)
            left = memoryview(text)
            try:
                while left:
                    left = left[file.write(left) :]
                file.truncate()
            except OSError:  # where the disk is full, rather no line than half of one
                file.truncate(self.size)
                raise
        self.size, self.lines = self.size + len(text), self.lines + text.count(b"\n")

    def text(self, entry: Mapping[str, Any]) -> str:
        """The line of an epoch."""
        raise NotImplementedError

    def record(self) -> dict[str, Any]:
        """For a checkpoint: how many lines there are."""
        return super().record() | {"lines": self.lines}

    def restore(self, record: Mapping[str, Any]) -> None:
        """Goes on behind the lines of the checkpoint; anew if they are gone."""
        super().restore(record)
        kept = self.path.read_bytes().splitlines(keepends=True)[: record["lines"]] if self.path.is_file() else []
        if len(kept) == record["lines"]:
            self.lines, self.size = len(kept), sum(map(len, kept))


class CSVLog(_File):
    """A CSV file with a header; empty where there is no validation."""

    def text(self, entry: Mapping[str, Any]) -> str:
        """The line of an epoch, with the header before the first."""
        line = ",".join("" if entry[name] is None else str(entry[name]) for name in COLUMNS) + "\n"
        return line if self.size else ",".join(COLUMNS) + "\n" + line


class JSONLog(_File):
    """JSON lines: one object an epoch, null where there is no validation."""

    def text(self, entry: Mapping[str, Any]) -> str:
        """The line of an epoch."""
        return json.dumps(entry) + "\n"


class TensorBoardLog(_Log):
    """A folder for tensorboard --logdir FOLDER. Raises EngineUnavailable where TensorBoard isn't installed."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        super().__init__(path)
        try:
            from tensorboard.summary import Writer
        except ImportError:
            raise EngineUnavailable('log: TensorBoard isn\'t installed: pip install "backlit[logs]"') from None
        self.open_writer = Writer
        self.writer: Any = None

    def prepare(self) -> None:
        """Makes the folder and a file in it."""
        self.path.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=self.path):
            pass

    def write(self, entry: Mapping[str, Any]) -> None:
        """One scalar for each number."""
        if self.writer is None:
            self.writer = self.open_writer(str(self.path))
        for name, value in entry.items():
            if name not in ("epoch", "update") and value is not None:
                self.writer.add_scalar(name, value, step=entry["update"])
        self.writer.flush()
