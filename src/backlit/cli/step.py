"""``backlit step``: one step of training, written out as tables."""

from __future__ import annotations

import click

from ..explanations import explain
from .opening import Place, Weight, run_of, run_options, steps_of
from .watching import Steps


@click.command("step")
@run_options
@click.option("--at", type=Steps(), metavar="STEP", help="Which step, from 0; trains up to it. Default: the next one.")
@click.option(
    "--weight", type=Weight(), metavar="L:I:J", help="Also the factors of a weight: 1:0:2 is W[0, 2] of layer 1."
)
@click.option("--example", type=int, metavar="K", help="Of that example of the batch, from 0. Default: of the batch.")
def command(
    source: str,
    data: str | None,
    target: str | None,
    hidden: tuple[int, ...],
    batch: int,
    rate: float,
    seed: int,
    at: tuple[int, ...] | None,
    weight: Place | None,
    example: int | None,
) -> None:
    """One step of training, written out: forward, back, the sum that grows, the one update.

    Of plain gradient descent on a data set (see: backlit data), or of the next steps of a saved model: MODEL DATA.
    """
    from rich.console import Console

    run = run_of(source, data, target, hidden, batch, rate, seed)
    for watched in run.opened(steps_of(run, at)):
        Console().print(watched.trace())
        if weight is not None:
            click.echo(explain(watched.trace(), *weight, example=example).text())
