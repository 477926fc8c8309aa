"""The reference of the command line: from the commands themselves, in place of ``<!-- commands -->``."""

from __future__ import annotations

from inspect import cleandoc
from typing import Any

import click

from backlit.cli import COMMANDS, backlit

MARK = "<!-- commands -->"


def fill(app: Any, page: str, source: list[str]) -> None:
    """Sphinx's source-read."""
    if MARK in source[0]:
        source[0] = source[0].replace(MARK, "\n".join(map(section, COMMANDS)))


def section(name: str) -> str:
    """One command: what it does, how it is called, every option."""
    group = click.Context(backlit, info_name="backlit")
    command = backlit.get_command(group, name)
    assert command is not None
    context = click.Context(command, info_name=name, parent=group)
    usage = f"backlit {name} {' '.join(command.collect_usage_pieces(context))}"
    lines = [f"## backlit {name}", "", cleandoc(command.help or COMMANDS[name]), "", "```sh", usage, "```", ""]
    for option in command.params:
        record = option.get_help_record(context)
        if record is not None and isinstance(option, click.Option):
            names, text = record
            lines += [f"`{names}`", f": {text}", ""]
    return "\n".join(lines)
