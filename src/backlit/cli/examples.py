"""``backlit examples``: which rows of a data set matter to a saved model, as tables or as a page."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click
import numpy as np

from ..advice import ExampleReport, example_report
from ..advice.examples import BY
from ..data import Preparation, load_dataset, load_prepared
from ..data.columns import Unseen
from ..model_file import load
from .common import (
    console_of_results,
    data_argument,
    is_prepared,
    json_option,
    model_argument,
    preparation_of,
    print_json,
    target_option,
    tell_unseen,
)
from .writing import check_results, write_picture, write_result


@click.command("examples")
@model_argument
@data_argument
@target_option
@click.option(
    "--top", type=click.IntRange(min=1, max=1000), metavar="N", default=20, show_default=True, help="How many to list."
)
@click.option("--by", type=click.Choice(list(BY)), default="gradient", show_default=True, help="What to list.")
@click.option("--html", type=click.Path(path_type=Path), metavar="PAGE", help="Write it as a page, pictures included.")
@click.option("--plot", type=click.Path(path_type=Path), metavar="PICTURE", help="Draw the listed rows, if pictures.")
@json_option
def command(
    model: Path,
    data: str,
    target: str | None,
    top: int,
    by: str,
    html: Path | None,
    plot: Path | None,
    as_json: bool,
) -> None:
    """Which rows of DATA matter to the saved MODEL: the longest gradients, often wrong labels; classes that disagree.

    These are the rows to train on where DATA has a test part. Rows are counted from 0.
    """
    check_results({"--html": html, "--plot": plot}, model, data)
    net, _, state = load(model)
    preparation = preparation_of(model)
    unseen: Unseen = {}
    if is_prepared(data, model, preparation):
        dataset = load_dataset(data, target)
    else:
        dataset = load_prepared(data, target, preparation, unseen)
    tell_unseen(unseen)
    report = as_before(preparation, example_report(net, state, dataset, largest=top, by=by))
    if html is not None:
        write_result("--html", html, report.html().encode())
    if plot is not None:
        write_picture("--plot", plot, report.picture())
    if as_json:
        print_json(report.record())
        return
    console_of_results().print(report)
    for path, what in ((html, "page written to"), (plot, "drawn in")):
        if path is not None:
            click.echo(f"{what} {path}")


def as_before(preparation: Preparation, report: ExampleReport) -> ExampleReport:
    """The report with targets, outputs and pictures as they were before the preparation.

    Losses and gradients stay those of the network.
    """
    mean, scale = preparation.mean, preparation.scale
    if report.images is not None and mean is not None and scale is not None and preparation.categories is None:
        shape = report.images.shape[1:]
        report = replace(report, images=report.images * np.reshape(scale, shape) + np.reshape(mean, shape))
    if preparation.target_mean is None:
        return report

    def restored(value: float | list[float]) -> float | list[float]:
        numbers = preparation.restore(np.atleast_1d(np.array(value, np.float64))[None])[0].tolist()
        return numbers if isinstance(value, list) else float(numbers[0])

    listed = (e._replace(label=restored(e.label), prediction=restored(e.prediction)) for e in report.largest)
    return replace(report, largest=tuple(listed))
