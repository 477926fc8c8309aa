"""``backlit step``: one step of training, written out as tables."""

from __future__ import annotations

from typing import Any

import click

from ..explanations import RichTables
from ..progress import Watched
from ..state import Layers
from .common import console_of_results, json_option, print_json
from .opening import WEIGHT_HELP, Asked, Place, Weight, example_option, explained, opened, record, run_options


@click.command("step")
@run_options
@click.option("--weight", type=Weight(), metavar="LAYER:FROM:TO", help=f"Also the factors of a weight. {WEIGHT_HELP}")
@example_option
@json_option
def command(asked: Asked, weight: Place | None, example: int | None, as_json: bool) -> None:
    """One step of training, written out: forward, back, the sum that grows, the one update.

    \b
    backlit step iris                    plain gradient descent on a data set
    backlit step MODEL --at 120          of the run that made it (train --save)
    backlit step DIR --at 120            of a run that is kept (train --checkpoint)
    backlit step MODEL DATA              what a model would do next on other data

    Steps of a saved run are repeated, bit by bit, from the nearest state that was kept.

    \b
    --json: {"steps": [{step, rate, rows, x, y, sample_weight,
      layers: [{layer, activation, z, a, delta}], example_losses, loss,
      gradient, update, before, after: each [{W, b}], a layer each,
      engine_difference, weight: as backlit explain --json has it}]}
    """
    if example is not None and weight is None:
        raise click.UsageError("--example says whose factors are meant, and needs --weight LAYER:FROM:TO.")
    steps = opened(asked)
    found = None if weight is None else [explained(step, weight, example) for step in steps]
    if as_json:
        records = [written(step) for step in steps]
        if found is not None and weight is not None:
            for entry, factors in zip(records, found, strict=True):
                entry["weight"] = record(factors, weight, example)
        print_json({"steps": records})
        return
    for n, step in enumerate(steps):
        console_of_results().print(RichTables(step))
        if found is not None:
            click.echo(found[n].text())


def written(step: Watched) -> dict[str, Any]:
    """All the numbers of a step, for machines."""
    trace = step.trace()
    layers = zip(trace.network.activations, trace.layers, strict=True)
    return {
        "step": step.step,
        "rate": trace.rate,
        "rows": step.rows.tolist(),
        "x": trace.x.tolist(),
        "y": trace.y.tolist(),
        "sample_weight": trace.sample_weight.tolist(),
        "layers": [
            {"layer": n, "activation": activation, "z": at.z.tolist(), "a": at.a.tolist(), "delta": at.delta.tolist()}
            for n, (activation, at) in enumerate(layers, 1)
        ],
        "example_losses": trace.example_losses.tolist(),
        "loss": float(trace.loss),
        "gradient": _each(trace.gradient),
        "update": _each(trace.update),
        "before": _each(trace.before.layers),
        "after": _each(trace.after.layers),
        "engine_difference": step.difference,
    }


def _each(layers: Layers) -> list[dict[str, Any]]:
    return [{"W": layer.W.tolist(), "b": layer.b.tolist()} for layer in layers]
