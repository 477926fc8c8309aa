"""``backlit data``: the data sets that can be loaded by name."""

from __future__ import annotations

import click

from ..data import known_datasets
from .common import json_option, print_json, print_table


@click.command("data")
@json_option
def command(as_json: bool) -> None:
    """The data sets that can be loaded by name. Files: CSV with a header, .npz, .npy, IDX, folders of them."""
    known = known_datasets()
    if as_json:
        print_json({"datasets": [entry._asdict() for entry in known]})
        return
    rows = [(d.name, d.rows, d.inputs, "a number" if d.classes is None else d.classes, d.about) for d in known]
    print_table("Data sets by name", ["name", "rows", "inputs", "classes", "what it is"], rows)
