"""``backlit explain``: the chain-rule factors of one weight, or a whole page to explore steps on."""

from __future__ import annotations

from pathlib import Path

import click

from ..explanations import explorer
from .common import json_option, print_json
from .opening import WEIGHT_HELP, Asked, Place, Weight, example_option, explained, opened, record, run_options, steepest
from .writing import check_writable, write_result


@click.command("explain")
@run_options
@click.option("--weight", type=Weight(), metavar="LAYER:FROM:TO",
              help=f"{WEIGHT_HELP} Default: of layer 1 the one with the largest gradient.")  # fmt: skip
@example_option
@click.option("--open", "depth", type=click.IntRange(min=0), default=0, metavar="LEVELS", help="Of paths to open.")
@click.option("--latex", is_flag=True, help="As one formula.")
@click.option("--html", type=click.Path(path_type=Path), metavar="PAGE", help="Write the explorer page of these steps.")
@json_option
def command(
    asked: Asked,
    weight: Place | None,
    example: int | None,
    depth: int,
    latex: bool,
    html: Path | None,
    as_json: bool,
) -> None:
    """The chain-rule factors of one weight in a step that was really trained; with --html a page to explore it on.

    \b
    backlit explain iris --weight 1:2:0       of plain gradient descent on a data set
    backlit explain MODEL --at 120            of the run that made it (train --save)
    backlit explain DIR --at 0,120 --html p.html    of a run that is kept (train --checkpoint)
    backlit explain MODEL DATA                what a model would do next on other data

    \b
    --json: {"steps": [{step, layer, source, unit, example, where,
      terms: [{symbol, formula, filled, value}],
      product: of the terms (of the whole batch: their sum), which is the gradient,
      difference: the same derivative by central differences}]}
    """
    given = {"--weight": weight is not None, "--example": example is not None, "--open": depth, "--latex": latex}
    for option in (name for name, asked_for in {**given, "--json": as_json}.items() if html is not None and asked_for):
        raise click.UsageError(f"{option} changes nothing on the page of --html: leave one of them out.")
    if as_json and latex:
        raise click.UsageError("--json and --latex: one or the other is wanted.")
    if html is not None:
        check_writable("--html", html)
    steps = opened(asked, html)
    if html is not None:
        write_result("--html", html, explorer(steps).encode())
        click.echo(f"page written to {html}")
        return
    weights = [weight or steepest(step) for step in steps]
    found = [explained(step, at, example) for step, at in zip(steps, weights, strict=True)]
    if as_json:
        each = zip(steps, found, weights, strict=True)
        print_json({"steps": [{"step": step.step, **record(f, at, example)} for step, f, at in each]})
        return
    for step, factors in zip(steps, found, strict=True):
        if latex:
            click.echo(factors.latex())
        else:
            click.echo(f"update {step.step + 1} (step {step.step})\n{factors.text(depth)}\n")
