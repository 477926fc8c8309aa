"""``backlit train``: from a data set to a tested network, with a choice for everything that isn't said."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click

from ..batches import ORDERS
from ..data import Dataset, Preparation, load_dataset, stored_preparation
from ..data.arrays import blocks
from ..data.columns import Unseen
from ..engines import chosen
from ..errors import BadInput
from ..evaluation import evaluate
from ..model_file import save
from ..network import HIDDEN, Network
from ..observers import EarlyStopping, History, Interrupts, fit, log_to, plan_of
from ..optimizers import SGD, Adam, AdamW, Cosine, OneCycle, Optimizer, Rate
from ..state import State, initial_state
from .common import (
    counted,
    data_argument,
    defined,
    json_option,
    print_json,
    printable,
    score_name,
    score_text,
    seed_option,
    target_option,
    tell_unseen,
)
from .hosts import host_options
from .keeping import checkpoint_options, checkpoints_of, explain_shrinking_files, note_of
from .report import details, print_details
from .watching import check_watching, draw_curves, picture_options, show_watched, steps_to_watch
from .writing import check_results

TEST_SHARE = 0.2  # held out where the data has no test part of its own
UPDATES = 1000  # about what a small table needs; epochs follow from it
RATES = {"sgd": 0.1, "adam": 0.01, "adamw": 0.01}
NO_CORE = "the compiled core is missing: NumPy trains, more slowly; backlit info tells how to get it"
SCHEDULES = ("one-cycle", "cosine", "constant")


@dataclass(frozen=True)
class Parts:
    """The prepared rows to train on, to validate with and to test on; the last are read when they are asked for."""

    train: Dataset
    validation: Dataset | None
    test: Callable[[], Dataset]
    preparation: Preparation


class Sizes(click.ParamType):  # type: ignore[type-arg,unused-ignore]
    """Hidden sizes as people type them: 30, or 64,32, or 0 for none."""

    name = "sizes"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, ...]:
        if isinstance(value, tuple):
            return value
        try:
            sizes = tuple(int(part) for part in str(value).split(","))
        except ValueError:
            sizes = (-1,)
        if any(size < 1 for size in sizes) and sizes != (0,):
            self.fail(f"sizes such as 30, or 64,32, or 0 for no hidden layer are wanted; got {value!r}.", param, ctx)
        return () if sizes == (0,) else sizes


def network_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """--hidden and --activation, for ``network_for``."""
    activation = click.option("--activation", type=click.Choice(HIDDEN), default="relu", show_default=True)
    sizes = "Hidden sizes, such as 30 or 64,32."
    return click.option("--hidden", type=Sizes(), default="64", show_default=True, help=sizes)(activation(command))


@click.command("train")
@data_argument
@target_option
@network_options
@click.option("--drop", multiple=True, metavar="COLUMN", help="Leave this column of a table out; may be repeated.")
@click.option(
    "--epochs", type=click.IntRange(min=1), metavar="N", help=f"Default: about {UPDATES} updates, 5 epochs at least."
)
@click.option("--batch-size", "--batch", type=click.IntRange(min=1), metavar="ROWS", default=32, show_default=True,
              help="Rows of a batch.")  # fmt: skip
@click.option("--optimizer", type=click.Choice(list(RATES)), default="adamw", show_default=True)
@click.option("--rate", type=float, metavar="RATE", help="The (highest) learning rate. Default: 0.01; for sgd 0.1.")
@click.option("--schedule", type=click.Choice(SCHEDULES), default="one-cycle", show_default=True)
@click.option("--momentum", type=float, metavar="SHARE", default=0.0, show_default=True, help="For sgd.")
@click.option("--weight-decay", type=float, metavar="DECAY", help="For adamw. Default: 0.1.")
@seed_option
@click.option("--engine", metavar="ENGINE", default="auto", show_default=True, help="See: backlit info.")
@click.option("--validation", type=float, metavar="SHARE", help="Share of the rows to validate with after each epoch.")
@click.option("--early-stopping", type=click.IntRange(min=1), metavar="EPOCHS", help="Patience; validates with 0.1.")
@click.option("--save", "save_to", type=click.Path(path_type=Path), metavar="FILE", help="Where to save the model.")
@click.option("--order", type=click.Choice([name.replace("_", "-") for name in ORDERS]), default="shuffled",
              show_default=True, help="Of the rows; in blocks for data on a slow disk.")  # fmt: skip
@checkpoint_options
@picture_options
@click.option("--quiet", is_flag=True, help="No progress, no table: the score alone.")
@json_option
@host_options
def command(
    data: str,
    target: str | None,
    drop: tuple[str, ...],
    hidden: tuple[int, ...],
    activation: str,
    epochs: int | None,
    batch_size: int,
    optimizer: str,
    rate: float | None,
    schedule: str,
    momentum: float,
    weight_decay: float | None,
    seed: int,
    engine: str,
    validation: float | None,
    early_stopping: int | None,
    save_to: Path | None,
    order: str,
    checkpoint: Path | None,
    every: str | None,
    keep: int | None,
    resume: bool,
    log: Path | None,
    watch: tuple[int, ...] | None,
    report: Path | None,
    plot: Path | None,
    quiet: bool,
    as_json: bool,
) -> int:
    """Train a network on DATA and test it on rows that it hasn't seen.

    DATA is a name (see: backlit data), a CSV or Parquet file, .npz, .npy, IDX files, or a folder of them.
    """
    chosen(engine, "--engine")  # refused before the data is read
    results = {"--save": save_to, "--report": report, "--plot": plot, "--log": log, "--checkpoint": checkpoint}
    check_results(results, data)
    checkpoints = checkpoints_of(checkpoint, every, keep, resume)
    explain_shrinking_files(data)
    stored = stored_preparation(data) if os.path.exists(data) else None  # first: it says where an import isn't finished
    raw = load_dataset(data, target, drop=drop)
    if raw.note:
        click.echo(printable(raw.note), err=True)
    if validation is None and early_stopping is not None:
        validation = 0.1
    parts = divided(raw, validation, seed, stored)
    del raw  # a large data set isn't kept beside its prepared copy
    net = network_for(parts.train, hidden, activation)
    per_epoch = -(-len(parts.train) // batch_size)
    epochs = epochs or max(5, round(UPDATES / per_epoch))
    check_watching(watch, epochs * per_epoch)
    watched = steps_to_watch(watch, report, epochs * per_epoch)
    order, note = order.replace("-", "_"), note_of(data, target, drop, validation, epochs)
    rates = schedule_for(schedule, RATES[optimizer] if rate is None else rate, epochs * per_epoch)
    opt = optimizer_for(optimizer, rates, momentum, weight_decay)
    if not (quiet or as_json):
        size, updates = f"{net.n_parameters:,} parameters", f"{counted(per_epoch, 'update')} an epoch"
        click.echo(f"{describe(net)}: {size} · {counted(len(parts.train), 'row')} to train on · {updates}", err=True)
        if engine == "auto" and chosen(engine) != "native":
            click.echo(NO_CORE, err=True)
    with Interrupts() as interrupts:
        state, history = fit(
            net,
            opt,
            parts.train,
            batch_size=batch_size,
            epochs=epochs,
            seed=seed,
            state=initial_state(net, opt, seed=seed),
            engine=engine,
            validation=parts.validation,
            early_stopping=None if early_stopping is None else EarlyStopping(patience=early_stopping),
            order=order,
            observers=() if log is None else [log_to(log)],
            checkpoints=None if checkpoints is None else replace(checkpoints, note=note),
            progress=not (quiet or as_json),
            watch=watched,
        )
        interrupts.hold()  # whoever is impatient loses nothing
        if save_to is not None:
            plan = plan_of(net, opt, state, parts.train, batch_size, seed, order, engine)
            save(save_to, net, opt, state, preparation=parts.preparation.to_record(), run={"plan": plan, "note": note})
        interrupts.release()
    name, test, preparation = score_name(net, parts.train), parts.test, parts.preparation
    del parts  # a large training part isn't kept beside the test part
    try:
        show_watched(history.watched, watched, report, quiet=quiet or as_json)
        if plot is not None:
            draw_curves(history, state.step // per_epoch, plot, quiet=quiet or as_json)
    finally:  # where the disk is full, the score of a long run is told all the same
        tell_results(net, state, test(), history, name, preparation, save_to, as_json, quiet)
    return 130 if history.interrupted else int(not history.kept)


def tell_results(
    net: Network,
    state: State,
    tested: Dataset,
    history: History,
    name: str,
    preparation: Preparation,
    save_to: Path | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """What the trained network makes of the rows to test on; ``name`` is what its score is called."""
    loss, score = evaluate(net, state, tested)
    score = defined(name, score, len(tested))
    more = details(net, state, tested, preparation)
    if as_json:
        curves = {"epoch": history.epoch, "loss": history.loss, "rate": history.rate}
        curves |= {"validation_loss": history.validation_loss, "validation_score": history.validation_score}
        results = {"test_loss": loss, "score": name, "test_score": score, "updates": state.step}
        print_json({**results, **more, "history": curves})
    else:
        if save_to is not None and not quiet:
            click.echo(f"saved to {save_to}")
        if not quiet:
            print_details(more, preparation.target)
        click.echo(f"test {score_text(name, score)}")


def divided(raw: Dataset, validation: float | None, seed: int, stored: Preparation | None = None) -> Parts:
    """Test rows held out (or the data's own), validation rows from the others; scaling learned on what is left.

    ``stored``: what was learned when the data was imported; its numbers are prepared already, and stay on disk.
    """
    source = raw.test_source
    train, test = (raw, None) if source is not None else raw.split(1 - TEST_SHARE, seed)
    train, held = without_validation(train, validation, seed)
    if stored is not None:
        return Parts(train, held, lambda: test or raw.test or train, stored)
    # What lies between 0 and 1, as the pixels of IDX files do, is left alone; other numbers may have any unit.
    scale = not all(block.min() >= 0 and block.max() <= 1 for _, block in blocks(train.x))
    preparation = Preparation.learn(train, scale=scale, scale_target=train.classes is None)
    apply = preparation.apply_to

    def prepared_test() -> Dataset:
        rows = test or (source() if callable(source) else source)
        assert rows is not None
        unseen: Unseen = {}
        prepared = apply(rows, unseen)
        tell_unseen(unseen, "rows to test on, ")
        return prepared

    return Parts(apply(train), None if held is None else apply(held), prepared_test, preparation)


def without_validation(train: Dataset, validation: float | None, seed: int) -> tuple[Dataset, Dataset | None]:
    """(the rows to train on, those to validate with)."""
    if validation is None:
        return train, None
    if not 0 < validation < 1:
        raise BadInput(f"--validation: a share between 0 and 1 is wanted, such as 0.1; got {validation:g}.")
    return train.split(1 - validation, seed)


def network_for(data: Dataset, hidden: tuple[int, ...], activation: str) -> Network:
    """Classes: softmax and cross-entropy. Numbers: linear outputs and squared error."""
    n_in = data.x.shape[1]
    if data.classes is not None:
        if len(data.classes) < 2:
            raise BadInput(f"the data has one class only, {data.classes[0]!r}: at least two are wanted.")
        return Network([n_in, *hidden, len(data.classes)], activation, "softmax", "cross_entropy")
    return Network([n_in, *hidden, 1 if data.y.ndim == 1 else data.y.shape[1]], activation, "linear", "quadratic")


def schedule_for(name: str, rate: float, steps: int) -> Rate:
    """The learning rate over all the updates of the run."""
    if not 0 < rate < math.inf:
        raise BadInput(f"--rate: a finite number above 0 is wanted; got {rate:g}.")
    rates: dict[str, Rate] = {"one-cycle": OneCycle(rate, steps), "cosine": Cosine(rate, steps), "constant": rate}
    return rates[name]


def optimizer_for(name: str, rate: Rate, momentum: float, weight_decay: float | None) -> Optimizer:
    """The optimizer of that name; a momentum is for sgd only, a weight decay for adamw only."""
    if weight_decay is not None and name != "adamw":
        raise BadInput(f"--weight-decay is for --optimizer adamw; got it with {name}. Leave it out.")
    if momentum and name != "sgd":
        raise BadInput(f"--momentum is for --optimizer sgd; {name} has its own moments. Leave it out.")
    if name == "sgd":
        return SGD(rate, momentum=momentum)
    return Adam(rate) if name == "adam" else AdamW(rate, weight_decay=0.1 if weight_decay is None else weight_decay)


def describe(net: Network) -> str:
    """``784-30-10 relu softmax, cross_entropy``."""
    sizes = "-".join(map(str, net.sizes))
    hidden = " ".join(dict.fromkeys(net.hidden))
    return f"{sizes} {hidden} {net.output}, {net.loss}".replace("  ", " ")
