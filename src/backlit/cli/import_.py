"""``backlit import``: tables of any size into a folder of arrays that training reads without loading them."""

from __future__ import annotations

import sys
from pathlib import Path
from time import monotonic
from typing import Any

import click

from ..data import import_tables
from ..data.tables import table_note
from ..errors import BadInput
from .common import counted, json_option, print_json, printable, target_option


@click.command("import")
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=click.Path(path_type=Path))
@target_option
@click.option("--to", "folder", required=True, type=click.Path(path_type=Path), metavar="FOLDER", help="A new folder.")
@click.option(
    "--test",
    "test_share",
    type=float,
    metavar="SHARE",
    default=0.2,
    show_default=True,
    help="Share of the rows to test on.",
)
@json_option
def command(files: tuple[Path, ...], target: str | None, folder: Path, test_share: float, as_json: bool) -> None:
    """Turn CSV or Parquet files of any size into a FOLDER that can be trained on: backlit train FOLDER.

    Columns are scaled and categories encoded, in bounded memory. Interrupted, it goes on with the same command.
    """
    if not 0 <= test_share < 1:
        raise BadInput(f"--test: a share of at least 0 and below 1 is wanted, such as 0.2; got {test_share:g}.")
    for file in files:
        if file.is_file() and (note := table_note(file, [] if target is None else [target])):
            click.echo(f"{printable(file)}: {printable(note)}", err=True)
    try:
        with _Shown(not as_json) as shown:
            preparation, rows, left_out = import_tables(files, folder, target, test_share, shown)
    except KeyboardInterrupt:
        click.echo("interrupted: run the same command again, and it goes on", err=True)
        sys.exit(130)
    facts = {"folder": str(folder), "train": rows["train"], "test": rows["test"], "inputs": preparation.width}
    if as_json:
        print_json(facts | {"left_out": left_out})
        return
    if left_out:
        told = printable(", ".join(left_out))
        click.echo(f"left out, because they are empty or most rows have a text of their own: {told}", err=True)
    counts = f"{counted(rows['train'], 'row')} to train on and {rows['test']:,} to test on"
    answers = "numbers" if preparation.classes is None else counted(len(preparation.classes), "class", "es")
    target = f"target {printable(repr(preparation.target))} ({answers})"
    click.echo(f"{counts}, {counted(preparation.width, 'input')}, {target}: {folder}")


class _Shown:
    """A bar on a terminal, a line every few seconds elsewhere."""

    def __init__(self, wanted: bool) -> None:
        self.wanted, self.last = wanted, monotonic()
        self.bar: Any = None

    def __enter__(self) -> _Shown:
        if self.wanted and sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import Progress

            self.bar = Progress(console=Console(stderr=True))
            self.bar.start()
            self.tasks: dict[str, Any] = {}
        return self

    def __call__(self, what: str, rows: int, total: int | None) -> None:
        if self.bar is not None:
            if what not in self.tasks:
                self.tasks[what] = self.bar.add_task(what, total=total)
            self.bar.update(self.tasks[what], completed=rows, description=f"{what}: {rows:,} rows")
        elif self.wanted and monotonic() - self.last > 5:
            of = "" if total is None else f" of {total:,}"
            click.echo(f"{what}: {rows:,}{of} rows", err=True)
            self.last = monotonic()

    def __exit__(self, *_: object) -> None:
        if self.bar is not None:
            self.bar.stop()
