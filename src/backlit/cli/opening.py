"""What ``step`` and ``explain`` share: which run, which of its steps, which weight."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from ..data import load_dataset, stored_preparation
from ..errors import BadInput
from ..model_file import load
from ..optimizers import SGD
from ..state import initial_state
from .common import is_prepared, preparation_of, seed_option, target_option
from .train import Sizes, divided, network_for
from .watching import Run

Place = tuple[int, int | None, int]  # layer from 1, source from 0 or None for the bias, unit from 0


class Weight(click.ParamType):  # type: ignore[type-arg,unused-ignore]
    """LAYER:SOURCE:UNIT as bl.explain counts them: the layer from 1, row and column of its W from 0."""

    name = "weight"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Place:
        if isinstance(value, tuple):
            return value
        try:
            layer, source, unit = str(value).split(":")
            return int(layer), None if source in ("b", "bias") else int(source), int(unit)
        except ValueError:
            wanted = (
                "LAYER:SOURCE:UNIT is wanted, such as 1:0:2 (layer from 1, row and column of its W from 0), or 1:b:2"
            )
            self.fail(f"{wanted} for a bias; got {value!r}.", param, ctx)


def run_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """SOURCE [DATA] and what decides the run, for ``step`` and ``explain``."""
    for option in reversed(
        (
            click.argument("source", metavar="DATA_OR_MODEL"),
            click.argument("data", metavar="[DATA]", required=False),
            target_option,
            click.option("--hidden", type=Sizes(), default="3", show_default=True, help="Sizes, such as 30 or 64,32."),
            click.option("--batch", "--batch-size", type=click.IntRange(min=1), default=4, show_default=True),
            click.option("--rate", type=click.FloatRange(min=0), default=0.5, show_default=True, help="Learning rate."),
            seed_option,
        )
    ):
        command = option(command)
    return command


def run_of(
    source: str, data: str | None, target: str | None, hidden: tuple[int, ...], batch: int, rate: float, seed: int
) -> Run:
    """Plain gradient descent on a data set from the beginning; or the run of a saved model, from where it stands."""
    if data is None:
        if _is_model(Path(source)):
            raise BadInput(f"{source} is a model, which holds no data: name both, {source} and then DATA.")
        rows = divided(load_dataset(source, target), None, seed, stored_preparation(source)).train
        net = network_for(rows, hidden, "sigmoid")
        return Run(net, SGD(rate), rows, initial_state(net, seed=seed, dtype="float64"), batch, seed)
    net, opt, state = load(source)
    # Its epochs may have had other batches; the number of its step, and what its optimizer carries, go on from here.
    state = replace(state, epoch_losses=(), epoch_sum=0.0)
    preparation = preparation_of(Path(source))
    raw = load_dataset(data, target or preparation.target if Path(data).is_file() else target)
    rows = raw if is_prepared(data, Path(source), preparation) else preparation.apply_to(raw)
    return Run(net, opt, rows, state, batch, seed)


def _is_model(path: Path) -> bool:
    """Whether this is a file in the format of models: the length of a JSON header, then the header."""
    if not path.is_file():
        return False
    with open(path, "rb") as file:
        return file.read(10)[8:10] == b'{"'


def steps_of(run: Run, at: tuple[int, ...] | None) -> tuple[int, ...]:
    """The steps that were asked for; by default the next one."""
    first = run.state.step
    if at is None:
        return (first,)
    if min(at) < first:
        raise BadInput(
            f"--at {min(at)}: this model holds the parameters after {first} updates, so step {first} is the first that "
            "can be opened. Train with --watch and --report to open earlier ones."
        )
    return at
