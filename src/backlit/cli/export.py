"""``backlit export``: a saved model as ONNX or as a PyTorch state dict."""

from __future__ import annotations

from pathlib import Path

import click

from ..data import Preparation
from ..errors import BadInput
from ..export import to_onnx, to_torch, torch_code
from ..model_file import load, load_preparation
from .common import model_argument
from .writing import check_apart


@click.command("export")
@model_argument
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path))
@click.option("--prepared", is_flag=True, help="ONNX of the network alone, for inputs that are prepared already.")
def command(model: Path, file: Path, prepared: bool) -> None:
    """Write the saved MODEL to FILE: ONNX for .onnx, a PyTorch state dict for .safetensors.

    The ONNX graph takes raw numbers: the scaling of the columns is in it, and that of the answers. The state dict is
    the network's alone, for inputs that are prepared.
    """
    check_apart("FILE", file, model)
    net, _, state = load(model)
    record = load_preparation(model)
    preparation = None if record is None or prepared else Preparation.from_record(record)
    if file.suffix == ".onnx":
        if preparation is not None and preparation.categories is not None and any(preparation.categories):
            raise BadInput(f"{model} takes texts, which an ONNX graph of numbers can't: export it with --prepared.")
        to_onnx(file, net, state, preparation)
        width = net.sizes[0] if preparation is None else preparation.inputs
        click.echo(f"{file}: x (N, {width}) -> y (N, {net.sizes[-1]})")
    elif file.suffix == ".safetensors":
        to_torch(file, net, state)
        click.echo(f"{file}: the state dict of {torch_code(net)}")
    else:
        raise BadInput(f"{file}: a name that ends with .onnx or .safetensors is wanted.")
