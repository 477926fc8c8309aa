"""What a person sees while it trains: a bar on a terminal, one updated line in a notebook, plain lines elsewhere."""

from __future__ import annotations

import sys
from time import monotonic
from types import TracebackType
from typing import Any

from ..progress import Progress
from .history import History

LINES = 50  # up to so many epochs each gets a line of its own; of more, one every LINE_EVERY seconds
LINE_EVERY = 2.0


class Display:
    """A context manager that is called with every Progress. It writes to standard error."""

    def __init__(self, history: History, shown: bool = True) -> None:
        self.history = history
        self._surface: Any = _surface() if shown and sys.stderr else None  # a daemon may have none

    def __enter__(self) -> Display:
        return self

    def __call__(self, progress: Progress) -> None:
        if self._surface is not None:
            self._surface.show(progress, self._text(progress))

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        if self._surface is not None:
            self._surface.close()

    def _text(self, progress: Progress) -> str:
        where = (
            f"epoch {progress.epoch}/{progress.epochs} · batch {progress.batch}/{progress.batches} · "
            f"update {progress.step}"
        )
        parts = [where, f"loss {self.history.loss[-1] if self.history.loss else progress.losses[-1]:.4f}"]
        if self.history.validation_loss:
            parts.append(f"validation loss {self.history.validation_loss[-1]:.4f}")
            parts.append(f"score {self.history.validation_score[-1]:.4f}")
        return " · ".join(parts)


def _surface() -> Any:
    if "ipykernel" in sys.modules:
        return _Notebook()
    return _Bar() if sys.stderr.isatty() else _Lines()


class _Lines:
    """Plain lines where nothing can be redrawn."""

    def __init__(self) -> None:
        self.last = monotonic()

    def show(self, progress: Progress, text: str) -> None:
        finished = progress.epoch_loss is not None
        due = monotonic() - self.last > LINE_EVERY
        last = finished and progress.epoch == progress.epochs
        if due or last or (finished and (progress.epochs <= LINES or progress.epoch == 1)):
            print(text, file=sys.stderr, flush=True)
            self.last = monotonic()

    def close(self) -> None:
        pass


class _Bar:
    """rich's bar, over all the epochs."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (BarColumn(bar_width=24), TextColumn("{task.description}"), TimeRemainingColumn())
        self.bar = Progress(*columns, console=Console(stderr=True))
        self.task = self.bar.add_task("")
        self.bar.start()

    def show(self, progress: Progress, text: str) -> None:
        total = progress.epochs * progress.batches
        self.bar.update(self.task, description=text, total=total, completed=progress.step)

    def close(self) -> None:
        self.bar.stop()


class _Notebook:
    """One line that is redrawn in its place: live bars of the terminal leave their traces in a notebook."""

    def __init__(self) -> None:
        from IPython.display import display  # type: ignore[import-not-found,unused-ignore]

        self.handle = display({"text/plain": ""}, raw=True, display_id=True)  # type: ignore[no-untyped-call]
        self.last = 0.0

    def show(self, progress: Progress, text: str) -> None:
        if progress.epoch_loss is not None or monotonic() - self.last > 0.2:
            self.handle.update({"text/plain": text}, raw=True)
            self.last = monotonic()

    def close(self) -> None:
        pass
