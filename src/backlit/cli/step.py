"""``backlit step``: one step of training, written out as tables."""

from __future__ import annotations

import click
import numpy as np

from .. import chain
from ..batches import epoch_rows
from ..data import load_dataset
from ..optimizers import SGD
from ..state import initial_state
from .common import data_argument, print_table, seed_option, target_option
from .train import Sizes, divided, network_for

FOLD = 8  # columns shown of a long layer: a wall of numbers explains nothing


@click.command("step")
@data_argument
@target_option
@click.option("--hidden", type=Sizes(), default="3", show_default=True, help="Hidden sizes, such as 30 or 64,32.")
@click.option("--batch", type=click.IntRange(1, 100), default=4, show_default=True, help="Examples in the batch.")
@click.option("--rate", type=click.FloatRange(min=0), default=0.5, show_default=True, help="Learning rate.")
@seed_option
def command(data: str, target: str | None, hidden: tuple[int, ...], batch: int, rate: float, seed: int) -> None:
    """One step of plain gradient descent on the first batch of DATA: forward, back, and the one update."""
    rows = divided(load_dataset(data, target), None, seed).train
    net = network_for(rows, hidden, "sigmoid")
    chosen = epoch_rows(len(rows), seed, 0)[:batch]
    state = initial_state(net, seed=seed, dtype="float64")
    trace = chain.step(net, SGD(rate), state, rows.x[chosen], rows.targets(net)[chosen])
    examples = [f"example {k + 1} (row {row})" for k, row in enumerate(chosen)]
    for number, layer in enumerate(trace.layers, 1):
        for name, values in (("z", layer.z), ("a", layer.a), ("delta = ∂L/∂z", layer.delta)):
            print_table(f"layer {number}: {name} {values.shape}", *folded(values, examples))
    losses = zip(examples, trace.example_losses, strict=True)
    print_table("loss of each example", ["", "loss"], [(name, f"{loss:.4f}") for name, loss in losses])
    sums = np.stack([trace.running_sum(i)[-1].b for i in range(len(chosen) + 1)])
    print_table(
        f"layer {len(trace.layers)}: the sum of ∂L/∂b grows, the parameters stand still",
        *folded(sums, ["before", *(f"after {name}" for name in examples)]),
    )
    moved = np.stack(
        [layers[-1].b for layers in (trace.gradient, trace.before.layers, trace.update, trace.after.layers)]
    )
    print_table(
        f"then it is divided by {len(chosen)}, once, and b moves, once: update = −{rate:g} · gradient",
        *folded(moved, ["gradient", "b before", "update", "b after"]),
    )


def folded(values: np.ndarray, names: list[str]) -> tuple[list[str], list[list[str]]]:
    """Header and rows of a table over the units of a layer, the first FOLD of them."""
    width = min(FOLD, values.shape[1])
    more = [f"… {values.shape[1] - width} more"] if values.shape[1] > width else []
    header = ["", *(f"unit {k + 1}" for k in range(width)), *more]
    return header, [[name, *(f"{v:.4f}" for v in row[:width])] for name, row in zip(names, values, strict=True)]
