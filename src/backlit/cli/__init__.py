"""The command line: argv -> library calls -> text and an exit code. One file per command, loaded when it is called.

Exit codes: 0 done; 1 our error, one line on standard error, never a traceback; 2 misuse; 130 interrupted.
"""

from __future__ import annotations

import os
import sys
from difflib import get_close_matches
from importlib import import_module
from typing import NoReturn

import click

from ..errors import BadInput, Diverged, EngineUnavailable

# What people want -> command -> what the list says of it; the file of that name is imported only when it is called.
GROUPS = {
    "Train": {
        "train": "Train a network on a data set and test it.",
        "data": "The data sets that can be loaded by name.",
        "import": "Tables of any size into a folder that can be trained on.",
        "advise": "How large a batch and which rate, from short runs.",
    },
    "Look inside": {
        "step": "One step of a run, written out as tables.",
        "explain": "The chain rule of one weight, or a page to explore.",
        "examples": "The rows that matter to a saved model: wrong labels.",
        "check": "What is wrong with the backpropagation in your file.",
    },
    "Use a saved model": {
        "predict": "Its outputs for the rows of a file.",
        "evaluate": "Its loss and score on a data set.",
        "info": "What is in it, or what this installation can do.",
        "export": "Write it as ONNX or as a PyTorch state dict.",
    },
}
COMMANDS = {name: says for group in GROUPS.values() for name, says in group.items()}

BEGINNING = (
    "backlit train digits --save digits.model",
    "backlit step digits.model --at 120",
    "backlit explain digits.model --at 120 --html page.html",
)
FILES = {"import": "import_"}  # where Python keeps the command's name for itself


class _Commands(click.Group):
    """The commands of the table above."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        command: click.Command = import_module(f".{FILES.get(name, name)}", __name__).command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in COMMANDS and (near := get_close_matches(args[0], COMMANDS)):
            ctx.fail(f"No such command '{args[0]}'. (Did you mean {' or '.join(near)}?)")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for title, commands in GROUPS.items():
            with formatter.section(title):
                formatter.write_dl([(f"{name:<8}", says) for name, says in commands.items()])
        with formatter.section("Begin with"):
            for line in BEGINNING:
                formatter.write(f"{'':{formatter.current_indent}}{line}\n")


def _print_version(ctx: click.Context, option: click.Parameter, wanted: bool) -> None:
    if wanted:
        from .. import __version__

        click.echo(f"backlit {__version__}")
        ctx.exit()


@click.command(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Every command tells more with --help.",
)
@click.option(
    "--version", is_flag=True, expose_value=False, is_eager=True, callback=_print_version, help="Print the version."
)
def backlit() -> None:
    """Back-propagation, lit up: train dense networks, open any step, check any gradient."""


def main() -> NoReturn:
    """Runs the command of sys.argv and ends the process with its exit code."""
    _make_streams_patient()
    try:
        with backlit.make_context("backlit", sys.argv[1:]) as context:
            code = backlit.invoke(context)
        sys.stdout.flush()
        sys.exit(code if isinstance(code, int) else 0)
    except click.exceptions.Exit as end:
        sys.exit(end.exit_code)
    except click.UsageError as error:
        error.show()
        sys.exit(2)
    except click.ClickException as error:
        _fail(error.format_message())
    except (BadInput, EngineUnavailable, Diverged) as error:
        _fail(str(error))
    except (KeyboardInterrupt, click.Abort):
        _end_interrupted()
    except BrokenPipeError:  # the reader of our output has gone: nothing is left to say
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except OSError as error:
        _fail(f"{error.filename or 'the output'} can't be read or written: {error.strerror}.")
    except MemoryError:
        _fail("there is not enough memory for this. Give fewer rows, or a memory-mapped .npy file.")
    except Exception as error:
        if _came_of_ctrl_c(error):
            _end_interrupted()
        if os.environ.get("BACKLIT_TRACEBACK"):
            raise
        _fail(
            f"an error inside backlit, which shouldn't be: {type(error).__name__}: {error}. Run it with "
            "BACKLIT_TRACEBACK=1 and report what it prints."
        )


def _came_of_ctrl_c(error: BaseException | None) -> bool:
    """Whether it began with Ctrl-C: Python 3.11 makes a RuntimeError of one that comes while a class is made."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__ or error.__context__
    return error is not None


def _end_interrupted() -> NoReturn:
    click.echo("interrupted", err=True)
    sys.exit(130)


def _make_streams_patient() -> None:
    """A closed stream, or one that can't write every letter, must not end a command in the middle."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115 (for as long as the process lives)
        reconfigure = getattr(getattr(sys, name), "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")


def _fail(message: str) -> NoReturn:
    from ..data.wording import printable  # what is quoted may come from a stranger's file, and terminals obey it

    click.echo(f"backlit: {printable(' '.join(message.split()))}", err=True)
    sys.exit(1)
