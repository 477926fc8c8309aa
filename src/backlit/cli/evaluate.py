"""``backlit evaluate``: loss and score of a saved model on a data set."""

from __future__ import annotations

from pathlib import Path

import click

from ..data import load_dataset, load_prepared
from ..data.columns import Unseen
from ..data.readers import is_table
from ..evaluation import evaluate
from ..model_file import load
from .common import (
    counted,
    data_argument,
    defined,
    is_prepared,
    json_option,
    model_argument,
    preparation_of,
    print_json,
    score_name,
    score_text,
    target_option,
    tell_unseen,
)
from .report import details, print_details
from .saved_run import rows_trained_on


@click.command("evaluate")
@model_argument
@data_argument
@target_option
@json_option
def command(model: Path, data: str, target: str | None, as_json: bool) -> None:
    """Loss and score of the saved MODEL on DATA: on its test part if it has one, otherwise on all its rows."""
    net, _, state = load(model)
    preparation = preparation_of(model)
    unseen: Unseen = {}
    if is_table(data):
        dataset = load_prepared(data, target, preparation, unseen)
    else:
        raw = load_dataset(data, target)
        rows = raw.test or raw
        dataset = rows if is_prepared(data, model, preparation) else preparation.apply_to(rows, unseen)
    tell_unseen(unseen)
    if trained_on := rows_trained_on(model, dataset):
        click.echo(
            f"the model was trained on {trained_on:,} of these {counted(len(dataset), 'row')}: expect less of new ones "
            "(train told its score on rows that it hadn't seen)",
            err=True,
        )
    loss, score = evaluate(net, state, dataset)
    name = score_name(net, dataset)
    score = defined(name, score, len(dataset))
    more = details(net, state, dataset, preparation)
    if as_json:
        print_json({"rows": len(dataset), "loss": loss, "score": name, "value": score, **more})
    else:
        print_details(more, preparation.target)
        click.echo(f"{counted(len(dataset), 'row')} · loss {loss:.4f} · {score_text(name, score)}")
