"""``--hosts``: one training run by several processes, on one machine or many. How they come together and end; no maths.

Each process watches over a child that does the work, because what ends a host that lost the others may be a signal
from within jax, which no exception can catch: then the watcher still says why, and how to go on.
"""

from __future__ import annotations

import os
import re
import signal
import sys
import threading
import time
from collections.abc import Callable
from functools import wraps
from typing import Any, NoReturn

import click

from ..errors import BadInput, Diverged, EngineUnavailable

OPTIONS = (
    click.option("--hosts", metavar="HOST:PORT", help="Train together with other processes; the address of rank 0."),
    click.option(
        "--rank", type=click.IntRange(min=0), metavar="N", help="Which of them this is, from 0; 0 speaks and saves."
    ),
    click.option("--world", type=click.IntRange(min=1), metavar="N", help="How many they are."),
)
# What every rank but 0 is given.
FOLLOWER = {"quiet": True, "as_json": False, "save_to": None, "keep": 0, "log": None, "plot": None}
OWN = ("data", "checkpoint")  # may lie at another place on each host; all other options must be the same


def host_options(command: Callable[..., int]) -> Callable[..., int]:
    """Adds --hosts, --rank and --world to a command with --engine and --checkpoint, and runs it as that host."""

    @wraps(command)
    def run(*, hosts: str | None, rank: int | None, world: int | None, **options: Any) -> int:
        if hosts is None:
            if rank is not None or world is not None:
                raise click.UsageError("--rank and --world need --hosts HOST:PORT.")
            return command(**options)
        if rank is None or world is None or rank >= world or not re.fullmatch(r"[^\s:/]+:\d{1,5}", hosts):
            raise click.UsageError("--hosts HOST:PORT needs --rank R and --world N, with R from 0 to N - 1.")
        if options["engine"] not in ("auto", "jax"):
            raise click.UsageError(f"--hosts is for --engine jax; got {options['engine']!r}.")
        if options["watch"] or options["report"]:
            raise click.UsageError("--hosts goes without --watch and --report: watch a run of one process.")
        options["engine"] = "jax"
        code = _child_under_watch()
        if code is not None:
            return code
        alike = {f"--{name.replace('_', '-')}": str(v) for name, v in options.items() if name not in (*FOLLOWER, *OWN)}
        _work(hosts, rank, world, alike, lambda: command(**{**options, **(FOLLOWER if rank else {})}))

    for option in reversed(OPTIONS):
        run = option(run)
    return run


def _child_under_watch() -> int | None:
    """Forks: in the child None, in the watcher the exit code, after it has said why a signal ended the child."""
    watched, alive = os.pipe()  # closes when the watcher ends, however it ends
    child = os.fork()
    if child == 0:
        os.close(alive)
        threading.Thread(target=_end_with_the_watcher, args=(watched,), daemon=True).start()
        return None
    os.close(watched)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the child gets it too, and knows what to do
    signal.signal(signal.SIGTERM, lambda *_: os.kill(child, signal.SIGKILL))
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if status >= 0:
        return status
    from ..engines.jax_hosts import lost

    click.echo(f"backlit: {lost()}", err=True)
    return 1


def _end_with_the_watcher(watched: int) -> None:
    os.read(watched, 1)
    os._exit(1)


def _work(hosts: str, rank: int, world: int, alike: dict[str, str], run: Callable[[], int]) -> NoReturn:
    """Joins, runs and ends this process. Never by sys.exit: jax would wait there for hosts that are gone."""
    silent = os.open(os.devnull, os.O_WRONLY)
    sys.stdout = os.fdopen(silent if rank else os.dup(1), "w", buffering=1)
    sys.stderr = os.fdopen(os.dup(2), "w", buffering=1)
    for descriptor in (1, 2):  # what the threads of jax print goes nowhere
        os.dup2(silent, descriptor)
    code = 1
    try:
        from ..engines import jax, jax_hosts

        if jax.availability() != "ready":
            raise EngineUnavailable(f"engine 'jax': {jax.availability()}")
        jax_hosts.join(hosts, rank, world, _end)
        jax_hosts.check_alike(rank, world, alike)
        code = run()
        sys.stdout.flush()
        if code == 0:
            jax_hosts.wait_for_all()
    except (BadInput, EngineUnavailable, Diverged) as error:
        _say(str(error))
    except KeyboardInterrupt:
        code = 130
        _say("interrupted")
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 1
    except BaseException as error:
        _say(f"an error on rank {rank}: {type(error).__name__}: {error}")
    sys.stderr.flush()
    time.sleep(0 if rank else 0.5)  # the others leave first: rank 0 is the one they hang on
    os._exit(code)


def _end(message: str) -> NoReturn:
    """Says why, and ends this process from whatever thread this is."""
    _say(message)
    sys.stderr.flush()
    os._exit(1)


def _say(message: str) -> None:
    click.echo(f"backlit: {' '.join(message.split())}", file=sys.stderr)
