"""Steps of a run to be opened again, and what ``train`` writes of them: a report page, the curves as a picture."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from ..data import Dataset
from ..errors import BadInput
from ..explanations import explorer
from ..network import Network
from ..observers import History
from ..optimizers import Optimizer
from ..progress import Watched
from ..state import State
from ..training import train
from .writing import write_picture, write_result


class Steps(click.ParamType):  # type: ignore[type-arg,unused-ignore]
    """Numbers of steps as people type them: 0, or 0,1,4711."""

    name = "steps"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, ...]:
        if isinstance(value, tuple):
            return value
        try:
            steps = tuple(int(part) for part in str(value).split(","))
        except ValueError:
            steps = (-1,)
        if min(steps) < 0:
            self.fail(f"numbers of steps from 0, such as 0,1,4711, are wanted; got {value!r}.", param, ctx)
        return steps


@dataclass(frozen=True)
class Run:
    """A run whose steps are to be opened: what is trained, on what, from where."""

    net: Network
    opt: Optimizer
    data: Dataset
    state: State
    batch: int
    seed: int
    engine: str = "auto"
    order: str = "shuffled"

    def opened(self, steps: Sequence[int]) -> list[Watched]:
        """The watched steps, by training as far as the last of them."""
        epochs = max(steps) // -(-len(self.data) // self.batch) + 1
        run = train(
            self.net,
            self.opt,
            self.data,
            batch_size=self.batch,
            epochs=epochs,
            seed=self.seed,
            state=self.state,
            engine=self.engine,
            order=self.order,
            watch=steps,
        )
        found: list[Watched] = []
        for progress in run:
            found += progress.watched
            if progress.step > max(steps):
                break
        return found


def picture_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """--watch, --report and --plot."""
    for option in reversed(
        (
            click.option("--watch", type=Steps(), metavar="STEPS", help="Steps to open, from 0: 0,1,4711."),
            click.option(
                "--report", type=click.Path(path_type=Path), metavar="PAGE", help="Show them on an HTML page."
            ),
            click.option("--plot", type=click.Path(path_type=Path), metavar="PICTURE", help="Draw the curves."),
        )
    ):
        command = option(command)
    return command


def check_watching(watch: tuple[int, ...] | None, steps: int) -> None:
    """BadInput before the training for steps that it doesn't have."""
    if watch is not None and max(watch) >= steps:
        raise BadInput(f"--watch {max(watch)}: this run has the steps 0 to {steps - 1}.")


def steps_to_watch(watch: tuple[int, ...] | None, report: Path | None, steps: int) -> tuple[int, ...]:
    """Those that were asked for; a report without --watch shows the first two."""
    return watch or (tuple(range(min(2, steps))) if report is not None else ())


def show_watched(found: Sequence[Watched], wanted: Sequence[int], report: Path | None, quiet: bool) -> None:
    """What the run kept of the watched steps: a line for each, and the report page."""
    say = (lambda text: None) if quiet else click.echo
    for step in found:
        say(
            f"step {step.step}: loss {step.trace().loss:.4f} · the plain formulas differ from the engine by at most "
            f"{step.difference:.1e}"
        )
    missed = sorted(set(wanted) - {step.step for step in found})
    if missed:
        names = ", ".join(map(str, missed[:10])) + (" and more" if len(missed) > 10 else "")
        click.echo(f"step {names}: not among the steps that this run has made", err=True)
    if report is not None and found:
        write_result("--report", report, explorer(found).encode())
        say(f"report written to {report}")


def draw_curves(history: History, chosen: int, path: Path, quiet: bool) -> None:
    """The curves of a run, as a picture; ``chosen`` is the epoch whose state was kept."""
    from ..explanations.pictures import curves

    figure = curves(history, mark=chosen if chosen in history.epoch else None)
    write_picture("--plot", path, figure)
    if not quiet:
        click.echo(f"curves drawn in {path}")
