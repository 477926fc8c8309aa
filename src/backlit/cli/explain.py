"""``backlit explain``: the chain-rule factors of one weight, or a whole page to explore steps on."""

from __future__ import annotations

from pathlib import Path

import click

from ..explanations import Factors, Shares, explain
from .common import json_option, print_json
from .opening import Place, Weight, run_of, run_options, steps_of
from .watching import Steps, write_page


@click.command("explain")
@run_options
@click.option("--at", type=Steps(), metavar="STEPS", help="Which steps, from 0: 0,1,4711. Default: the next one.")
@click.option("--weight", type=Weight(), default="1:0:0", show_default=True, metavar="L:I:J", help="Layer 1, W[0, 0].")
@click.option("--example", type=int, metavar="K", help="Of that example of the batch, from 0. Default: of the batch.")
@click.option("--open", "depth", type=click.IntRange(min=0), default=0, help="Levels of paths to open.")
@click.option("--latex", is_flag=True, help="As one formula.")
@click.option("--html", type=click.Path(path_type=Path), metavar="PAGE", help="Write the explorer page of these steps.")
@json_option
def command(
    source: str,
    data: str | None,
    target: str | None,
    hidden: tuple[int, ...],
    batch: int,
    rate: float,
    seed: int,
    at: tuple[int, ...] | None,
    weight: Place,
    example: int | None,
    depth: int,
    latex: bool,
    html: Path | None,
    as_json: bool,
) -> None:
    """The chain-rule factors of one weight in a step that was really trained; with --html a page to explore it on.

    The step is one of plain gradient descent on a data set (see: backlit data), or of a saved model: MODEL DATA.
    """
    run = run_of(source, data, target, hidden, batch, rate, seed)
    steps = run.opened(steps_of(run, at))
    if html is not None:
        write_page(html, steps)
        click.echo(f"page written to {html}")
        return
    found = [explain(step, *weight, example=example) for step in steps]
    if as_json:
        print_json({"steps": [{"step": s.step, **record(f)} for s, f in zip(steps, found, strict=True)]})
        return
    for step, factors in zip(steps, found, strict=True):
        if latex:
            click.echo(factors.latex())
        else:
            click.echo(f"update {step.step + 1} (step {step.step})\n{factors.text(depth)}\n")


def record(found: Factors | Shares) -> dict[str, object]:
    """Terms, product and difference quotient, for machines."""
    terms = [{"symbol": t.symbol, "formula": t.formula, "filled": t.filled, "value": t.value} for t in found.terms]
    return {"where": found.where, "terms": terms, "product": found.product, "difference": found.difference}
