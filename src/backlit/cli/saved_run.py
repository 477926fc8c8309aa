"""A run that was kept, by ``train --save`` or ``--checkpoint``: what it was given, and the way to any of its steps.

A step is a pure function of the state before it and its rows, so going on from the nearest state that was kept, or
from the beginning, comes to the same bits as the run did. No options here, and nothing is shown.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import click

from ..batches import ORDERS, steps_per_epoch
from ..data import Dataset, Preparation, known_datasets, load_dataset, rows_in_share, stored_preparation
from ..engines import available_engines
from ..errors import BadInput
from ..model_file import load, load_run
from ..network import Network
from ..observers import kept_files, kept_steps, marks_of, newest_at
from ..optimizers import Optimizer, from_record
from ..progress import Watched
from ..state import State, initial_state
from .common import printable, tell_prepared
from .train import TEST_SHARE, divided, without_validation
from .watching import Run

LOOKED_AT = 2000  # files and folders around a model
MEANT = {"data": str, "target": str | None, "drop": list | None, "validation": float | None, "epochs": int}
PLANNED = {"seed": int, "batch_size": int, "order": str, "engine": str, "rows": str, "data": str, "dtype": str}


@dataclass(frozen=True)
class SavedRun:
    """One kept run: ``plan`` as checkpoints hold it, ``note`` as the command line wrote it (None for Python's own).

    ``folders`` hold checkpoints of it: the one that was named, or those around a model.
    """

    source: Path
    net: Network
    opt: Optimizer
    plan: Mapping[str, Any]
    note: Mapping[str, Any] | None
    folders: Sequence[Path]
    newest: State

    def opened(self, at: Sequence[int] | None, data: str | None, target: str | None) -> list[Watched]:
        """The steps asked for, each from the nearest state before it; without any, the last step that was made."""
        at = sorted(set((max(0, self.newest.step - 1),) if at is None else at))
        rows, preparation = self.rows(data, target)
        per_epoch = steps_per_epoch(len(rows), min(self.plan["batch_size"], len(rows)))
        if self.note is not None and max(at) >= per_epoch * self.note["epochs"]:
            raise BadInput(f"--at {max(at)}: this run has the steps 0 to {per_epoch * self.note['epochs'] - 1}.")
        if preparation is not None:
            tell_prepared(preparation)
        near: dict[int, tuple[State, list[int]]] = {}
        for step in at:
            state = self.state_before(step)
            near.setdefault(state.step, (state, []))[1].append(step)
        found: list[Watched] = []
        last = max(self.newest.step, *(step for folder in self.folders for step in kept_steps(folder)), 0)
        for state, steps in near.values():
            said = f"the run is repeated from {f'update {state.step}' if state.step else 'the beginning'}"
            if steps[-1] >= last:  # it was stopped early, or is under way: whether it has come so far isn't known here
                said += f"; what was kept of it ends at update {last}, and this is how it goes on from there"
            several = "s" if len(steps) > 1 else ""
            click.echo(f"step{several} {', '.join(map(str, steps))}: {said}", err=True)
            plan = self.plan
            run = Run(self.net, self.opt, rows, state, plan["batch_size"], plan["seed"], self.engine, plan["order"])
            found += run.opened(steps)
        return found

    @property
    def files(self) -> list[str | Path]:
        """What it comes from, besides ``source``: the data that it was given, and its checkpoints."""
        kept: list[str | Path] = [file for folder in self.folders for file in kept_files(folder)]
        return kept if self.note is None else [self.note["data"], *kept]

    @property
    def engine(self) -> str:
        """The run's own; if that isn't here, the one that is, and a line that says so."""
        name: str = self.plan["engine"]
        if available_engines().get(name) == "ready":
            return name
        name = printable(name)
        click.echo(f"the run's engine {name} isn't here: what is shown is alike to rounding, not to the bit", err=True)
        return "auto"

    def state_before(self, step: int) -> State:
        """The newest state that was kept at or before ``step``, or the beginning; BadInput where there is neither."""
        states = [self.newest] if self.newest.step <= step else []
        for folder in self.folders:
            found = newest_at(folder, step)
            states += [] if found is None or found.plan != self.plan else [found.states[0]]
        if self.note is not None:
            start = initial_state(self.net, self.opt, seed=self.plan["seed"], dtype=self.plan["dtype"])
            states.append(start)
        if not states:
            kept = ", ".join(str(step) for folder in self.folders for step in sorted(kept_steps(folder)))
            raise BadInput(
                f"--at {step}: {self.source} holds the run at update {kept}, so steps before that can't be opened. "
                "Keep more (keep=), or watch them while it trains (watch=)."
            )
        return max(states, key=lambda state: state.step)

    def rows(self, data: str | None, target: str | None) -> tuple[Dataset, Preparation | None]:
        """The rows that the run was trained on, and how they were prepared; BadInput if they aren't those any more."""
        if data is None and self.note is None:
            raise BadInput(f"{self.source} doesn't say on which data it was trained: name both, {self.source} DATA.")
        named = data or str(self.note["data"] if self.note else "")
        # A model may come from a stranger: what it names is read only where it is a file, not a pipe that never ends.
        known = os.path.isfile(named) or os.path.isdir(named) or named in [entry.name for entry in known_datasets()]
        if data is None and not known:
            said = f"{self.source}: its data {named!r:.200} isn't here any more"
            raise BadInput(f"{said}: name both, {self.source} DATA.")
        note = self.note or {"target": None}
        raw = load_dataset(named, target or note["target"], drop=note.get("drop") or ())
        validation = self.note["validation"] if self.note else None
        wanted = {name: self.plan[name] for name in ("rows", "data")}
        if marks_of(raw) == wanted:
            return raw, None
        parts = divided(raw, validation, self.plan["seed"], stored_preparation(named))
        rows = parts.train
        if marks_of(rows) != wanted:
            raise BadInput(
                f"{named} isn't what the run in {self.source} was trained on: rows to train on {wanted['rows']} with "
                f"checksum {wanted['data']}, here {marks_of(rows)['rows']} with {marks_of(rows)['data']}."
            )
        return rows, parts.preparation


def saved_run(source: Path) -> SavedRun | None:
    """The run in a folder of checkpoints, in one of its files, or in a model; None if ``source`` is none of these."""
    folder = source if source.is_dir() else source.parent
    if kept_steps(folder) and (source.is_dir() or source.suffix == ".checkpoint"):
        only = None if source.is_dir() else int(source.stem.removeprefix("step-"))
        contents = newest_at(folder, only)
        if contents is None:
            raise BadInput(f"none of the checkpoints in {folder} is whole.")
        return _checked(source, contents.plan, contents.note, [folder], contents.states[0])
    if not is_model(source):
        return None
    run = load_run(source)
    if run is None:
        return None
    return _checked(source, run.get("plan"), run.get("note"), _folders_around(source, run.get("plan")), load(source)[2])


def rows_trained_on(model: Path, data: Dataset) -> int:
    """How many of these prepared rows the model was trained on; 0 where they are others, or it doesn't say.

    By what they hold: train divides the same rows in the same way, and its rows to train on have marks.
    """
    run = load_run(model)
    if run is None:
        return 0
    with suppress(BadInput):  # a record that doesn't hold together says nothing, and no step is to be opened here
        kept = _checked(model, run.get("plan"), run.get("note"), [], load(model)[2])
        seed, validation = kept.plan["seed"], kept.note["validation"] if kept.note else None
        if validation is not None and not 0 < validation < 1:
            return 0
        whole = len(data)
        for n in (whole, rows_in_share(whole, 1 - TEST_SHARE)):
            count = n if validation is None else rows_in_share(n, 1 - validation)
            if str(kept.plan["rows"]).partition(" ")[0] != str(count):
                continue  # dividing sorts and copies all rows: only where their number can be that of the run
            part = data if n == whole else data.split(1 - TEST_SHARE, seed)[0]
            rows = without_validation(part, validation, seed)[0]
            if marks_of(rows).items() <= kept.plan.items():
                return len(rows)
    return 0


def _folders_around(model: Path, plan: Any) -> list[Path]:
    """The folders beside a model or where we are, two levels deep, that hold checkpoints of its run."""
    bases = dict.fromkeys([model.resolve().parent, Path.cwd()])
    inside = (folder for base in bases for depth in ("*", "*/*") for folder in base.glob(depth))
    found = []
    for folder in dict.fromkeys((*bases, *islice(inside, LOOKED_AT))):
        with suppress(OSError, BadInput):  # what can't be read there is no concern of this run
            newest = newest_at(folder, told=False) if kept_steps(folder) else None
            found += [folder] if newest is not None and newest.plan == plan else []
    return found


def is_model(path: Path) -> bool:
    """Whether this is a file in the format of models: the length of a JSON header, then the header."""
    if not path.is_file():
        return False
    with open(path, "rb") as file:
        return file.read(10)[8:10] == b'{"'


def _checked(source: Path, plan: Any, note: Any, folders: Sequence[Path], newest: State) -> SavedRun:
    """A SavedRun whose record holds together; BadInput for what no run can be repeated from."""
    damaged = f"{source}: its record of the run doesn't hold together"
    records: list[tuple[Any, dict[str, Any]]] = [(plan, PLANNED), *([] if note is None else [(note, MEANT)])]
    for record, wanted in records:
        if not isinstance(record, dict) or any(not isinstance(record.get(n), kind) for n, kind in wanted.items()):
            raise BadInput(f"{damaged}.")
    if note is not None and not all(isinstance(name, str) for name in note.get("drop") or ()):
        raise BadInput(f"{damaged}.")
    if note is not None and note["epochs"] < 1:
        raise BadInput(f"{damaged}.")
    own = "of your own"
    if plan["order"] not in ORDERS or own in str(plan.get("optimizer")):
        raise BadInput(
            f"{source}: the run had an order of the rows or a schedule of its own, which no file holds. Open its steps "
            "with bl.train(..., state=..., watch=...)."
        )
    try:
        net, opt = Network(**plan["network"]), from_record(plan["optimizer"])
    except (BadInput, TypeError, KeyError) as error:
        raise BadInput(f"{damaged}: {error}.") from None
    if not isinstance(opt, Optimizer) or net.sizes != newest.sizes or plan["batch_size"] < 1 or plan["seed"] < 0:
        raise BadInput(f"{damaged}.")
    return SavedRun(source, net, opt, plan, note, folders, newest)
