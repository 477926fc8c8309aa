"""``backlit check``: runs somebody's own backpropagation, checks it, and says what is wrong with it."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from itertools import chain
from pathlib import Path
from typing import Any

import click
import numpy as np

from ..checks import Diagnosis, check_gradients, diagnose
from ..checks.foreign import Answer, Run, run_file
from ..checks.network_objects import loss_of
from ..checks.other_networks import near, right_for
from ..errors import BadInput
from ..network import HIDDEN, LOSSES, NEEDS_OUTPUT, OUTPUT, REDUCTIONS, Network
from ..state import Floats, State, initial_state
from .common import json_option, print_json

DEFAULT_SIZES = "4,5,3"
WIDTH = 110  # of the lines of the report


class _Sizes(click.ParamType):  # type: ignore[type-arg,unused-ignore]
    """Sizes of all layers, such as 4,5,3."""

    name = "sizes"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, ...]:
        try:
            sizes = tuple(int(part) for part in str(value).split(","))
        except ValueError:
            sizes = ()
        if len(sizes) < 2 or min(sizes) < 1:
            self.fail(f"the units of every layer, inputs first, such as {DEFAULT_SIZES}, are wanted; got {value!r}.")
        return sizes


class _Seconds(click.FloatRange):
    """A time that ends; nan, which no clock ever reaches, would not."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        seconds = super().convert(value, param, ctx)
        if seconds != seconds:
            self.fail(f"a number of seconds is wanted; got {value!r}.", param, ctx)
        return seconds


@click.command("check")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--sizes", type=_Sizes(), default=DEFAULT_SIZES, show_default=True, help="Units, inputs first.")
@click.option("--hidden", type=click.Choice(HIDDEN),
              help="Activation of the hidden layers (their units: --sizes). Default: sigmoid.")  # fmt: skip
@click.option(
    "--output", type=click.Choice(OUTPUT), help="Output activation. Default: sigmoid, or what the loss needs."
)
@click.option("--loss", type=click.Choice(LOSSES), help="Its loss. Default: quadratic, or what the class's cost says.")
@click.option("--reduction", type=click.Choice(REDUCTIONS), default="mean", show_default=True, help="Over the batch.")
@click.option(
    "--batch", type=click.IntRange(1, 1000), metavar="ROWS", default=5, show_default=True, help="Examples to run it on."
)
@click.option(
    "--time-limit",
    type=_Seconds(min=0.1),
    metavar="SECONDS",
    default=20,
    show_default=True,
    help="For one call.",
)
@json_option
def command(
    file: Path, sizes: tuple[int, ...], hidden: str | None, output: str | None, loss: str | None, reduction: str,
    batch: int, time_limit: float, as_json: bool,
) -> int:  # fmt: skip
    """Find out what is wrong with the backpropagation in FILE, a Python file that is EXECUTED in a process of its own.

    FILE has a function backprop(weights, biases, x, y) that returns (weight gradients, bias gradients) for a batch, or
    a class with the methods of the well-known book's Network. The options say which network it should be the gradient
    of; what they leave open is found out where the numbers show it. The exit code is 0 if the gradient is right and 1
    if it isn't.
    """
    said = {name for name, given in (("hidden", hidden), ("output", output), ("loss", loss)) if given}
    output = output or NEEDS_OUTPUT.get(loss or "", "sigmoid")
    net = Network(sizes, hidden or "sigmoid", output, loss or "quadratic", reduction)
    state = initial_state(net, seed=0, dtype="float64", init="nielsen")
    x, y = _batch(net, batch)
    run = run_file(file, net, state, x, y, time_limit)
    if loss is None and run.kind == "class":
        net = Network(sizes, hidden or "sigmoid", output, loss_of(run.cost), reduction)
        said |= {"loss"} if run.cost else set()
    net, remark = _network_meant(net, state, x, y, run, said)
    verdicts = [_verdict(net, state, x, y, run, method) for method in dict.fromkeys(a.method for a in run.answers)]
    if as_json:
        records = [_record(answer, diagnosis) for answer, diagnosis in verdicts]
        print_json({"file": str(file), "network": str(net), "remark": remark, "verdicts": records})
    else:
        _print_report(file, net, len(x), time_limit, run, remark)
        for answer, diagnosis in verdicts:
            _print_verdict(net, state, x, y, answer, diagnosis)
    return 0 if all(diagnosis.correct for _, diagnosis in verdicts) else 1


def _network_meant(net: Network, state: State, x: Floats, y: Floats, run: Run, said: set[str]) -> tuple[Network, str]:
    """(the network whose gradient it seems to be, a sentence if that isn't the one assumed)."""
    answer, diagnosis = _verdict(net, state, x, y, run, run.answers[0].method)
    repeated = all(map(np.array_equal, chain(*answer.first), chain(*answer.second)))
    if diagnosis.correct or len(said) == 3 or not repeated:
        return net, ""
    other = right_for(answer.second, net, state, x, y, said)
    if other is not None and not _unknown(diagnosis):
        right = f"If your network has {_described(other)}, the gradient is right"
        return net, f"{right}: say so with {_options(other, net)}."
    if other is None and _unknown(diagnosis):
        other = next((n for n in near(answer.second, net, state, x, y, said)
                      if _named(diagnose(_replayed(answer), n, state, x, y))), None)  # fmt: skip
    if other is None:
        ask = "Is that your network? If not, say what it is: --sizes, --hidden, --output, --loss."
        return net, ask if _unknown(diagnosis) else ""
    return other, f"That was found out, since no option says otherwise; to say so: {_options(other, net)}."


def _described(net: Network) -> str:
    return f"{f'{net.hidden[0]} hidden, ' if net.hidden else ''}{net.output} output, {net.loss} loss"


def _options(other: Network, net: Network) -> str:
    """The options that make ``other`` of ``net``."""
    pairs = [("hidden", other.hidden[:1], net.hidden[:1]), ("output", [other.output], [net.output]),
             ("loss", [other.loss], [net.loss])]  # fmt: skip
    return " ".join(f"--{name} {theirs[0]}" for name, theirs, ours in pairs if list(theirs) != list(ours))


def _batch(net: Network, rows: int) -> tuple[Floats, Floats]:
    """Inputs between −1 and 1, and targets that suit the loss: irregular, and the same every time."""
    n_in, n_out = net.sizes[0], net.sizes[-1]
    x = np.sin(np.arange(1.0, rows * n_in + 1) ** 2).reshape(rows, n_in)
    spread = np.cos(np.arange(1.0, rows * n_out + 1) ** 2).reshape(rows, n_out)
    if net.output in ("softmax", "sigmoid") and n_out > 1:
        return x, np.eye(n_out)[spread.argmax(1)]
    if net.loss == "poisson":
        return x, np.round(3 * np.abs(spread))
    return x, (spread > 0).astype(float) if net.output == "sigmoid" else spread


def _verdict(net: Network, state: State, x: Floats, y: Floats, run: Run, method: str) -> tuple[Answer, Diagnosis]:
    """The way of calling it that explains most: right, else the one with fewest suspects that has a name for it."""
    judged, refused = [], []
    for answer in run.answers:
        if answer.method == method:
            try:
                judged.append((answer, diagnose(_replayed(answer), net, state, x, y)))
            except BadInput as error:
                refused.append(error)
    if not judged:
        raise refused[0]
    return min(judged, key=lambda pair: (not pair[1].correct, _unknown(pair[1]), len(pair[1].suspects)))


def _unknown(diagnosis: Diagnosis) -> bool:
    return any(suspect.name == "unknown" for suspect in diagnosis.suspects)


def _named(diagnosis: Diagnosis) -> bool:
    """Whether bugs with a name explain it, and not any number before a layer."""
    return all(suspect.name not in ("unknown", "scale", "layer_scale") for suspect in diagnosis.suspects)


def _replayed(answer: Answer) -> Callable[..., Any]:
    """A function that gives what theirs gave, call by call."""
    calls = iter((answer.first, answer.second))
    return lambda weights, biases, x, y: next(calls)


def _record(answer: Answer, diagnosis: Diagnosis) -> dict[str, Any]:
    names = ("name", "layer", "factor", "error", "text")
    suspects = [{name: getattr(suspect, name) for name in names} for suspect in diagnosis.suspects]
    for suspect in suspects:
        suspect["error"] = suspect["error"] if np.isfinite(suspect["error"]) else None
    return {"method": answer.method, "called_with": answer.way, "correct": diagnosis.correct, "suspects": suspects,
            "remarks": list(diagnosis.remarks)}  # fmt: skip


def _print_report(file: Path, net: Network, rows: int, seconds: float, run: Run, remark: str) -> None:
    click.echo(f"{file} was executed, in a process of its own (limit {seconds:g} s).")
    click.echo(f"It should be the gradient of: {list(net.sizes)}, {_described(net)}, {net.reduction} over {rows} "
               "examples.")  # fmt: skip
    if remark:
        click.echo(textwrap.fill(remark, WIDTH))
    if run.stopped:
        click.echo(f"It ended early{run.stopped} What it had defined by then was used.")
    if run.printed.strip():
        lines = run.printed.strip().splitlines()
        click.echo(f"It printed (left out here, but for the first line): {lines[0][:100]}")


def _print_verdict(net: Network, state: State, x: Floats, y: Floats, answer: Answer, diagnosis: Diagnosis) -> None:
    click.echo()
    click.echo(f"{answer.method}, called with {answer.way}:")
    for line in str(diagnosis).splitlines():
        click.echo(textwrap.fill(line, WIDTH, initial_indent="  ", subsequent_indent="     "))
    if answer.moved:
        click.echo(f"  It changes the {answer.moved} that it is given: it must only read them.")
    click.echo()
    pair = answer.second if not diagnosis.correct else answer.first
    for line in check_gradients(net, state, x, y, gradient=pair).table().splitlines():
        click.echo(f"  {line}")
