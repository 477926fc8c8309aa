"""What several commands share: their options, and how results are printed. No command and no arithmetic here."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..data import Dataset, Preparation, stored_preparation
from ..data.columns import Unseen
from ..data.wording import printable as printable
from ..data.wording import shown
from ..errors import BadInput
from ..evaluation import is_classification
from ..model_file import load_preparation
from ..network import Network

if TYPE_CHECKING:
    from rich.console import Console

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

data_argument: Decorator = click.argument("data", metavar="DATA")
model_argument: Decorator = click.argument("model", metavar="MODEL", type=click.Path(path_type=Path))
target_option: Decorator = click.option("--target", metavar="COLUMN", help="The column to predict, for tables.")
json_option: Decorator = click.option("--json", "as_json", is_flag=True, help="Print one JSON object, for machines.")
seed_option: Decorator = click.option(
    "--seed",
    type=click.IntRange(min=0),
    metavar="SEED",
    default=0,
    show_default=True,
    help="Of everything that is drawn at random.",
)


def print_json(value: Mapping[str, Any]) -> None:
    """One line of JSON on standard output; numbers that are not finite become null, dates and the like texts."""
    click.echo(json.dumps(_finite(value), allow_nan=False, ensure_ascii=False, default=str))


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _finite(entry) for name, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def console_of_results() -> Console:
    """rich's console on standard output, for which a reader that has gone is no error, as for plain lines."""
    from rich.console import Console

    class Results(Console):
        def on_broken_pipe(self) -> None:  # rich would end the process with 1
            raise BrokenPipeError

    return Results()


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """A table on standard output; every cell is shown as plain text."""
    from rich.table import Table
    from rich.text import Text

    console, table = console_of_results(), Table()
    for number, column in enumerate(columns):
        numbers = all(isinstance(row[number], int | float) for row in rows)
        table.add_column(Text(printable(column)), justify="right" if numbers else "left")
    for row in rows:
        table.add_row(*(Text(printable(cell)) for cell in row))
    console.print(Text(printable(title)))
    console.print(table)


def print_facts(facts: Mapping[str, object]) -> None:
    """Names and values, one per line, aligned."""
    width = max(len(name) for name in facts)
    for name, value in facts.items():
        click.echo(f"{printable(name):<{width}}  {printable(value)}")


def tell_unseen(unseen: Unseen, where: str = "") -> None:
    """One line on standard error for each column that holds categories which training didn't have."""
    for column, texts in unseen.items():
        rows, some = texts.total(), ", ".join(shown(text) for text, _ in texts.most_common(3))
        more = f" and {len(texts) - 3} more" if len(texts) > 3 else ""
        hold = "1 row holds a value" if rows == 1 else f"{rows:,} rows hold values"
        click.echo(
            f"{where}column {shown(column)}: {hold} never seen in training ({some}{more}); taken as none of the known",
            err=True,
        )


def tell_prepared(preparation: Preparation) -> None:
    """One line on standard error where x and y aren't the numbers of the file; nothing where they are."""
    kinds = preparation.categories or (None,) * preparation.inputs
    told = []
    if preparation.mean is not None and None in kinds:
        told.append("numbers scaled to mean 0 and deviation 1")
    if any(kinds):
        told.append("an input of 0 or 1 for each category")
    answers = "; y is scaled likewise" if preparation.target_mean is not None else ""
    if told or answers:
        click.echo(f"x is what the network gets: {', '.join(told) or 'as in the file'}{answers}", err=True)


def counted(number: int, what: str, several: str = "s") -> str:
    """``1 update``, ``1,000 updates``; ``several`` is what is put behind the word."""
    return f"{number:,} {what}{'' if number == 1 else several}"


def score_name(net: Network, data: Dataset) -> str:
    """What the score of ``evaluate`` is called by machines: accuracy for classes, r2 for numbers."""
    return "accuracy" if is_classification(net, data) else "r2"


def defined(name: str, score: float, rows: int) -> float:
    """The score; nan, which JSON says as null, for R² of one row, whose answer doesn't vary."""
    return math.nan if name == "r2" and rows == 1 else score


def score_text(name: str, score: float) -> str:
    """A score as people write it: ``accuracy 97.5 %``, ``R² 0.482``."""
    if math.isnan(score):
        return "R² undefined for one row"
    return f"accuracy {100 * score:.1f} %" if name == "accuracy" else f"R² {score:.3f}"


def preparation_of(model: Path) -> Preparation:
    """The preparation that a model was saved with."""
    record = load_preparation(model)
    if record is None:
        raise BadInput(
            f"{model} was saved without a preparation, so raw files can't be turned into its inputs. "
            "Use bl.load and bl.predict, or save with preparation=...to_record()."
        )
    return Preparation.from_record(record)


def is_prepared(data: str, model: Path, preparation: Preparation) -> bool:
    """Whether DATA is an imported folder, prepared as the model wants it; BadInput if it is prepared in another way."""
    stored = stored_preparation(data)
    if stored is None or stored == preparation:
        return stored is not None
    ours, theirs = stored.to_record(), preparation.to_record()
    other = next(name for name in ours if ours[name] != theirs[name])
    raise BadInput(
        f"{data} was imported with another preparation than that of {model} (its {other.replace('_', ' ')}: "
        f"{shown(ours[other])}; the model's: {shown(theirs[other])}). Give the raw files, or a model that was "
        "trained on this folder."
    )
