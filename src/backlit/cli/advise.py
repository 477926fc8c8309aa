"""``backlit advise``: how large a batch, or with --rate which learning rate, from short runs on a data set."""

from __future__ import annotations

from pathlib import Path

import click

from ..advice import BatchAdvice, RangeTest, advise_batch_size, range_test
from ..data import load_dataset, stored_preparation
from ..errors import BadInput
from .common import console_of_results, data_argument, json_option, print_json, printable, seed_option, target_option
from .keeping import explain_shrinking_files
from .train import RATES, describe, divided, network_for, network_options, optimizer_for
from .writing import check_results, write_picture


@click.command("advise")
@data_argument
@target_option
@network_options
@click.option("--batch-size", "--batch", type=click.IntRange(min=1), metavar="ROWS", default=32, show_default=True,
              help="Of the brief training.")  # fmt: skip
@click.option(
    "--epochs", type=click.IntRange(min=1), metavar="N", help="Of the brief training. Default: about 1000 updates."
)
@click.option("--rate", "want_rate", is_flag=True, help="Advise on the learning rate instead.")
@click.option("--optimizer", type=click.Choice(list(RATES)), help="Whose rate; with --rate. Default: sgd.")
@seed_option
@click.option("--plot", type=click.Path(path_type=Path), metavar="PICTURE", help="Draw it: .png, .svg or .pdf.")
@json_option
def command(
    data: str,
    target: str | None,
    hidden: tuple[int, ...],
    activation: str,
    batch_size: int,
    epochs: int | None,
    want_rate: bool,
    optimizer: str | None,
    seed: int,
    plot: Path | None,
    as_json: bool,
) -> None:
    """How large a batch for DATA: a brief training measures the gradient noise, and this machine's time for each size.

    With --rate: which learning rate, by steps from one state at rates that grow until the loss runs away.
    """
    if optimizer is not None and not want_rate:
        raise click.UsageError("--optimizer goes with --rate: the advice on batch sizes is for sgd.")
    if epochs is not None and want_rate:
        raise click.UsageError("--epochs is of the brief training that advises on batch sizes; --rate has none.")
    check_results({"--plot": plot}, data)
    explain_shrinking_files(data)
    raw = load_dataset(data, target)
    if raw.note:
        click.echo(printable(raw.note), err=True)
    rows = divided(raw, None, seed, stored_preparation(data)).train
    net = network_for(rows, hidden, activation)
    if not as_json:
        click.echo(f"{describe(net)}: {net.n_parameters:,} parameters · {len(rows):,} rows", err=True)
    advice: BatchAdvice | RangeTest
    if want_rate:
        opt = optimizer_for(optimizer or "sgd", 1.0, 0.0, None)
        advice = range_test(net, opt, rows, batch_size=batch_size, seed=seed)
    else:
        if batch_size < 2:
            raise BadInput("--batch-size: at least 2 rows are wanted; one row alone tells no noise from signal.")
        advice = advise_batch_size(net, rows, batch_size=batch_size, epochs=epochs, seed=seed)
    show(advice, plot, as_json)


def show(advice: BatchAdvice | RangeTest, plot: Path | None, as_json: bool) -> None:
    """The advice as JSON or as tables, and its picture."""
    if as_json:
        print_json(advice.record())
    else:
        console_of_results().print(advice)
    if plot is not None:
        write_picture("--plot", plot, advice.picture())
        if not as_json:
            click.echo(f"drawn in {plot}")
