"""What ``step`` and ``explain`` share: which run, which of its steps, which weight."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import wraps
from pathlib import Path
from typing import Any

import click
import numpy as np

from ..data import Preparation, load_dataset, load_prepared, stored_preparation
from ..errors import BadInput
from ..explanations import Factors, Shares, explain
from ..model_file import load
from ..optimizers import SGD
from ..progress import Watched
from ..state import initial_state
from .common import is_prepared, preparation_of, target_option, tell_prepared
from .saved_run import SavedRun, is_model, saved_run
from .train import Sizes, divided, network_for
from .watching import Run, Steps
from .writing import check_apart

Place = tuple[int, int | None, int]  # layer from 1, source from 0 or None for the bias, unit from 0


class Weight(click.ParamType):  # type: ignore[type-arg,unused-ignore]
    """LAYER:FROM:TO as bl.explain counts them: the layer from 1, row and column of its W from 0."""

    name = "weight"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Place:
        if isinstance(value, tuple):
            return value
        try:
            layer, source, unit = str(value).split(":")
            return int(layer), None if source in ("b", "bias") else int(source), int(unit)
        except ValueError:
            wanted = "LAYER:FROM:TO is wanted, such as 1:0:2 (layer from 1, row and column of its W from 0), or 1:b:2"
            self.fail(f"{wanted} for a bias; got {value!r}.", param, ctx)


WEIGHT_HELP = "Layer from 1; row and column of its W from 0, as the tables show them; 1:b:2 is a bias."
example_option = click.option(
    "--example", type=int, metavar="K", help="Of that example of the batch, from 0. Default: of the whole batch."
)


@dataclass(frozen=True)
class Asked:
    """Which run, as it was typed; None for what wasn't."""

    source: str
    data: str | None
    target: str | None
    hidden: tuple[int, ...] | None
    batch: int | None
    rate: float | None
    seed: int | None
    at: tuple[int, ...] | None

    def refuse(self, why: str, *names: str) -> None:
        """BadInput if one of these options was given, which mean nothing here."""
        for name in names:
            if getattr(self, name) is not None:
                raise BadInput(f"--{name}: {why}. Leave it out.")


def run_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """SOURCE [DATA] and what decides the run and its steps, as one ``asked``, for ``step`` and ``explain``."""

    @wraps(command)
    def asking(**given: Any) -> Any:
        asked = Asked(**{name: given.pop(name) for name in Asked.__dataclass_fields__})
        return command(asked=asked, **given)

    run: Callable[..., Any] = asking
    for option in reversed(
        (
            click.argument("source", metavar="DATA|MODEL|DIR"),
            click.argument("data", metavar="[DATA]", required=False),
            click.option("--at", type=Steps(), metavar="STEPS", help="Which steps, from 0: 120, or 0,1,4711. "
                         "Default: the first one of DATA, the last one of a saved run."),
            target_option,
            click.option("--hidden", type=Sizes(), help="For DATA: hidden sizes, such as 30 or 64,32.  [default: 3]"),
            click.option("--batch-size", "--batch", "batch", type=click.IntRange(min=1), metavar="ROWS",
                         help="For DATA: rows of a batch.  [default: 4]"),
            click.option("--rate", type=click.FloatRange(min=0), metavar="RATE",
                         help="For DATA: learning rate.  [default: 0.5]"),
            click.option("--seed", type=click.IntRange(min=0), metavar="SEED",
                         help="For DATA: of everything that is drawn at random.  [default: 0]"),
        )
    ):  # fmt: skip
        run = option(run)
    return run


def opened(asked: Asked, page: Path | None = None) -> list[Watched]:
    """The steps that were asked for; ``page``, where --html is to write them, may be nothing that they come from."""
    kept = saved_run(Path(asked.source))
    if page is not None:
        check_apart("--html", page, asked.source, asked.data or asked.source, *(kept.files if kept is not None else ()))
    if kept is not None and _of_the_run(kept, asked):
        asked.refuse("a saved run is repeated as it was", "hidden", "batch", "rate", "seed")
        return kept.opened(asked.at, asked.data, asked.target)
    run, preparation = _run_of(asked)
    first = run.state.step
    at = (first,) if asked.at is None else asked.at
    if min(at) < first:
        raise BadInput(
            f"--at {min(at)}: {asked.source} holds the parameters after {first} updates, and not what its run was "
            f"given: step {first} is the first that can be opened."
        )
    tell_prepared(preparation)
    return run.opened(at)


def _of_the_run(kept: SavedRun, asked: Asked) -> bool:
    """Whether a step of the run itself is meant: not one that a model would take next, on data that is named."""
    if not is_model(Path(asked.source)) or asked.source.endswith(".checkpoint"):
        return True
    return asked.data is None or (asked.at is not None and min(asked.at) < kept.newest.step)


def _run_of(asked: Asked) -> tuple[Run, Preparation]:
    """Plain gradient descent on a data set from the beginning; or a saved model, trained on from where it stands.

    And how the rows of it are prepared.
    """
    source, target = asked.source, asked.target
    batch, seed = asked.batch or 4, asked.seed or 0
    if asked.data is None:
        if is_model(Path(source)):
            raise BadInput(f"{source} doesn't say how it was trained: name the data, too, {source} DATA.")
        parts = divided(load_dataset(source, target), None, seed, stored_preparation(source))
        rows = parts.train
        net = network_for(rows, (3,) if asked.hidden is None else asked.hidden, "sigmoid")
        rate = 0.5 if asked.rate is None else asked.rate
        return Run(net, SGD(rate), rows, initial_state(net, seed=seed, dtype="float64"), batch, seed), parts.preparation
    asked.refuse(f"{source} has its own", "hidden", "rate")
    net, opt, state = load(source)
    # Its epochs may have had other batches; the number of its step, and what its optimizer carries, go on from here.
    state = replace(state, epoch_losses=(), epoch_sum=0.0)
    preparation = preparation_of(Path(source))
    if is_prepared(asked.data, Path(source), preparation):
        rows = load_dataset(asked.data, target)
    else:
        rows = load_prepared(asked.data, target, preparation, {})
    return Run(net, opt, rows, state, batch, seed), preparation


def explained(step: Watched, weight: Place, example: int | None) -> Factors | Shares:
    """The factors of a weight in an opened step; BadInput in the words of the command line."""
    try:
        return explain(step, *weight, example=example)
    except BadInput as error:
        layer, source, unit = weight
        what = str(error).removeprefix("explain: ")
        option = "" if what.startswith("example") else f" {layer}:{'b' if source is None else source}:{unit}"
        raise BadInput(f"{'--weight' if option else '--example'}{option}: {what}") from None


def steepest(step: Watched) -> Place:
    """The weight of layer 1 with the largest gradient: what there is most to see of."""
    W = np.abs(step.trace().gradient[0].W)
    source, unit = np.unravel_index(int(W.argmax()), W.shape)
    return 1, int(source), int(unit)


def record(found: Factors | Shares, weight: Place, example: int | None) -> dict[str, object]:
    """Terms, product and difference quotient, for machines."""
    layer, source, unit = weight
    terms = [{"symbol": t.symbol, "formula": t.formula, "filled": t.filled, "value": t.value} for t in found.terms]
    return {
        "layer": layer,
        "source": "bias" if source is None else source,
        "unit": unit,
        "example": example,
        "where": found.where,
        "terms": terms,
        "product": found.product,
        "difference": found.difference,
    }
