"""Options of ``backlit train`` by which a run is kept on disk while it trains. No training here."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from ..engines.native import say_on_bus_error
from ..observers import Checkpoints

EVERY = "30s"
KEEP = 3


class Place(click.ParamType):  # type: ignore[type-arg,unused-ignore]
    """Where to write; an empty text, as of a variable that isn't set, is not the current folder."""

    name = "place"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        if not str(value):
            self.fail("a path is wanted; got ''. Write . for the current folder.", param, ctx)
        return Path(value)


OPTIONS = (
    click.option("--checkpoint", type=Place(), metavar="DIR", help="Keep the run in this folder."),
    click.option("--every", metavar="UPDATES|TIME", help=f"Such as 200, 30s, 5min. Default: {EVERY}."),
    click.option(
        "--keep",
        type=click.IntRange(min=1),
        metavar="N",
        help=f"How many checkpoints stay. Default: {KEEP}.",
    ),
    click.option("--resume", is_flag=True, help="Go on from the newest checkpoint; anew if there is none."),
    click.option("--log", type=Place(), metavar="PATH", help="Write the curves: .csv, .jsonl, TensorBoard folder."),
)


def checkpoint_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """--checkpoint, --every, --keep and --resume for ``checkpoints_of``, and --log."""
    for option in reversed(OPTIONS):
        command = option(command)
    return command


def checkpoints_of(folder: Path | None, every: str | None, keep: int | None, resume: bool) -> Checkpoints | None:
    """What the options ask for; None where no folder is named. Misuse for a part without the folder."""
    if folder is None:
        for option, given in (("--resume", resume), ("--every", every is not None), ("--keep", keep)):
            if given:
                raise click.UsageError(f"{option} needs --checkpoint DIR.")
        return None
    return Checkpoints(folder, every or EVERY, KEEP if keep is None else keep, resume)


def note_of(
    data: str, target: str | None, drop: tuple[str, ...], validation: float | None, epochs: int
) -> dict[str, Any]:
    """What a command of train was given, to be kept with its run; not where, so that a run elsewhere is the same."""
    return {"data": data, "target": target, "drop": list(drop), "validation": validation, "epochs": epochs}


def explain_shrinking_files(data: str) -> None:
    """If a data file is cut short while it is read, the process ends; this sees to it that it says why."""
    name = data if data.isprintable() else repr(data)
    say_on_bus_error(
        f"backlit: {name:.200}: a file of it became shorter while it was read. Restore it; a run with --checkpoint DIR "
        "goes on with --resume."
    )
