"""``backlit predict``: outputs of a saved model for the rows of a raw file, as CSV or JSON."""

from __future__ import annotations

import csv
import sys
from io import StringIO
from pathlib import Path
from typing import Any, TextIO

import click
import numpy as np

from ..data import Preparation, load_inputs
from ..data.arrow_columns import pyarrow
from ..data.columns import Unseen
from ..data.parquet import parquet_of
from ..data.readers import is_table
from ..data.tables import PARQUET, table_columns, table_values
from ..data.wording import about
from ..errors import BadInput
from ..evaluation import predict
from ..model_file import load
from ..network import Network
from ..state import Floats
from .common import (
    counted,
    data_argument,
    is_prepared,
    json_option,
    model_argument,
    preparation_of,
    print_json,
    printable,
    tell_unseen,
)
from .writing import check_apart, check_writable, write_result

TEXTS = {".csv": ",", ".tsv": "\t"}


@click.command("predict")
@model_argument
@data_argument
@click.option("--output", type=click.Path(path_type=Path), metavar="FILE",
              help="A .csv, .tsv or .parquet file to write.")  # fmt: skip
@click.option("--with-inputs", is_flag=True,
              help="Put all columns of a table, as they stand, before the predictions.")  # fmt: skip
@json_option
def command(model: Path, data: str, output: Path | None, with_inputs: bool, as_json: bool) -> None:
    """Outputs of the saved MODEL for the rows of DATA, a raw file as it was trained on; the target may be absent.

    Of a folder the rows to train on are taken; for those to test on name its x_test.npy.

    For classes: the most probable one and the probability of each. For numbers: the numbers. One line for each row, in
    the order of DATA.
    """
    if with_inputs and not is_table(data):
        raise BadInput(f"--with-inputs: a table, whose columns have names, is wanted; got {data}.")
    if output is not None:
        check_output(output, as_json)
        check_apart("--output", output, model, data)
    net, _, state = load(model)
    preparation = preparation_of(model)
    unseen: Unseen = {}
    raw = load_inputs(data, preparation, unseen)
    with about(Path(data)):
        x = raw if is_prepared(data, model, preparation) else preparation.apply(raw)
    outputs = preparation.restore(predict(net, state, x))
    tell_unseen(unseen)
    header, rows = table(net, preparation.classes, preparation.target, outputs)
    terminal = output is None and not as_json and sys.stdout.isatty()
    if terminal:  # a file or a pipe gets the numbers in full, and the names as they are
        rows = [[f"{value:.6g}" if isinstance(value, float) else value for value in row] for row in rows]
    known = preparation.columns or ()
    if with_inputs:
        header, rows = beside(*table_values(Path(data), known, not of_parquet(output)), header, rows)
    elif is_table(data):
        tell_unused(table_columns(Path(data), known), preparation)
    if as_json:
        print_json({"columns": header, "rows": rows})
    elif output is None:
        if terminal:
            header, rows = [printable(name) for name in header], [[shown(value) for value in row] for row in rows]
        write(sys.stdout, header, rows)
    else:
        store(output, header, rows)


def check_output(output: Path, as_json: bool) -> None:
    """BadInput before the work for a result that couldn't be written, or wouldn't be what its name says."""
    if as_json:
        raise BadInput("--output and --json: a file or JSON on standard output; leave one of them out.")
    if output.exists() and not (output.is_file() or output.is_dir()):
        return  # a pipe, or /dev/stdout
    suffix = output.suffix.lower()
    if suffix not in ("", *TEXTS, *PARQUET):
        raise BadInput(f"--output {output}: a name that ends in .csv, .tsv or .parquet is wanted.")
    if of_parquet(output):
        pyarrow("writing Parquet")
    check_writable("--output", output)


def of_parquet(output: Path | None) -> bool:
    """Whether the result is to be a Parquet file."""
    return output is not None and output.suffix.lower() in PARQUET


def store(output: Path, header: list[str], rows: list[list[object]]) -> None:
    """The predictions as a file, CSV or Parquet by its name."""
    if of_parquet(output):
        content = parquet_of(header, rows)
    else:
        text = StringIO()
        write(text, header, rows, TEXTS.get(output.suffix.lower(), ","))
        content = text.getvalue().encode()
    write_result("--output", output, content)
    click.echo(f"{counted(len(rows), 'row')} written to {output}", err=True)


def tell_unused(names: list[str], preparation: Preparation) -> None:
    """One line on standard error about columns that the model doesn't know."""
    if preparation.columns is not None:
        unused = [name for name in names if name not in preparation.columns and name != preparation.target]
        if unused:
            click.echo(f"not used: {printable(', '.join(unused))} (--with-inputs keeps all columns)", err=True)


def beside(
    names: list[str], cells: list[list[object]], header: list[str], rows: list[list[object]]
) -> tuple[list[str], list[list[object]]]:
    """The input columns, then the predictions; a prediction called like an input is called "predicted" so."""
    renamed: list[str] = []
    for name in header:
        while name in (*names, *renamed):
            name = f"predicted {name}"
        renamed.append(name)
    return [*names, *renamed], [[*left, *right] for left, right in zip(cells, rows, strict=True)]


def table(
    net: Network, classes: tuple[object, ...] | None, target: str | None, outputs: Floats
) -> tuple[list[str], list[list[object]]]:
    """Header and rows: class and probabilities where there are classes, else the numbers."""
    target = target or "prediction"
    if classes is not None and len(classes) == outputs.shape[1]:
        best = outputs.argmax(axis=1)
        header = [target, *(f"probability {name}" for name in classes)]
        return header, [[classes[k], *map(in_full, row)] for k, row in zip(best, outputs, strict=True)]
    header = [target] if outputs.shape[1] == 1 else [f"{target} {k + 1}" for k in range(outputs.shape[1])]
    return header, [[in_full(value) for value in row] for row in outputs]


def in_full(value: np.floating[Any]) -> float:
    """The float with the fewest digits that is this number in its own precision: 0.1 for float32's 0.1."""
    return float(str(value))


def shown(value: object) -> object:
    """A cell for a terminal."""
    return printable(value) if isinstance(value, str) else value


def write(file: TextIO, header: list[str], rows: list[list[object]], delimiter: str = ",") -> None:
    """CSV with a header; every number in full, an empty cell where nothing is."""
    writer = csv.writer(file, delimiter=delimiter, lineterminator="\n")
    writer.writerow(header)
    writer.writerows([["" if value != value else value for value in row] for row in rows])  # only nan isn't itself
