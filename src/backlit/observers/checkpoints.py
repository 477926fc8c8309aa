"""Checkpoints: a run's State and its observers' records on disk, so that it can be killed at any moment and go on.

Here: the folder, its files, and what must agree before a run goes on. How a file is written whole stands in
whole_file.py; nothing here changes a run.
"""

from __future__ import annotations

import json
import os
import re
import sys
import zlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from types import TracebackType
from typing import Any

import numpy as np

from ..batches import Order
from ..data import Dataset
from ..engines import chosen
from ..errors import BadInput
from ..network import Network
from ..optimizers import Optimizer, to_record
from ..progress import Progress
from ..state import State
from ..whole_file import ASIDE, write_whole
from .checkpoint_file import Contents, Damaged, from_bytes, to_bytes, to_json
from .history import History

NAME = re.compile(r"step-(\d{12})\.checkpoint")
UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}
SAMPLED = 64  # rows by which a data set is recognised
# What was given that decides an entry of the plan, by its name in ``note``: people gave this, and not that entry.
OF_ROWS = ("target", "drop", "validation")
DECIDED_BY = {"optimizer rate steps": ("epochs",), "data": OF_ROWS, "network sizes": OF_ROWS, "rows": OF_ROWS}
WARN_EVERY = 60.0  # seconds between two complaints about a disk that doesn't take checkpoints


@dataclass(frozen=True)
class Checkpoints:
    """Keep a run in ``folder``, so that it can go on to the same bits after being killed at any moment.

    every:   a number of updates, at whose multiples a checkpoint is written; or a time such as "30s", "500ms" or
             "5min": at the first report of progress (20 a second, and after each epoch) when so much has gone by.
             The last one is written at the end.
    keep:    so many newest ones stay. 0 writes none and only goes on from what is there.
    resume:  go on from the newest whole one; with none in the folder the run starts anew.
    note:    plain JSON that is kept with it, such as what a command was given.
    """

    folder: str | os.PathLike[str]
    every: int | str = "30s"
    keep: int = 3
    resume: bool = False
    note: Mapping[str, Any] | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        self.interval  # noqa: B018 (checks it)
        if isinstance(self.keep, bool) or not isinstance(self.keep, int) or self.keep < 0:
            raise BadInput(f"Checkpoints: keep must be a whole number of at least 0; got {self.keep!r}.")
        if not isinstance(self.folder, str | os.PathLike) or not os.fspath(self.folder):
            raise BadInput(f"Checkpoints: folder must be a path, such as 'runs/big'; got {self.folder!r:.60}.")
        if not isinstance(self.resume, bool | np.bool_):
            raise BadInput(f"Checkpoints: resume must be True or False; got {self.resume!r:.60}.")
        try:
            json.dumps(self.note)
        except (TypeError, ValueError, RecursionError) as error:
            raise BadInput(f"Checkpoints: note must be plain JSON, as json.dumps takes it: {error}.") from None

    @property
    def interval(self) -> tuple[int | None, float | None]:
        """(updates, None) or (None, seconds) between two checkpoints."""
        given = str(self.every).strip()
        if re.fullmatch(r"\d{1,18}", given) and int(given) and self.every is not True:
            return int(given), None
        amount = re.fullmatch(r"(\d+(?:\.\d+)?) ?(ms|s|min|m|h)", given)
        if amount and float(amount[1]):
            return None, float(amount[1]) * UNITS[amount[2]]
        raise BadInput(
            f"Checkpoints: every must be a number of updates, such as 200, or a time such as '30s'; got {self.every!r}."
        )


def plan_of(
    net: Network, opt: Optimizer, state: State, data: Any, batch_size: int, seed: int, order: Order, engine: str
) -> dict[str, Any]:
    """What must agree between a run and the one that goes on with it, as plain JSON."""
    try:
        optimizer: Any = to_record(opt)
    except BadInput:  # a schedule of one's own: what it does can't be compared, only what kind it is
        optimizer = {"kind": type(opt).__name__, "rate": "of your own"}
    return {
        "network": {name: getattr(net, name) for name in Network.__dataclass_fields__},
        "optimizer": optimizer,
        "dtype": str(state.dtype),
        "batch_size": batch_size,
        "seed": seed,
        "order": order if isinstance(order, str) else "of your own",
        **marks_of(Dataset.of(data)),
        "engine": chosen(engine),
    }


def marks_of(data: Dataset) -> dict[str, str]:
    """What a data set is recognised by: how many rows of what, and a checksum over some of them."""
    rows = np.linspace(0, len(data) - 1, min(SAMPLED, len(data))).astype(np.int64)
    given = (data.x, data.y, *(() if data.sample_weight is None else (data.sample_weight,)))
    sample = b"".join(np.ascontiguousarray(array[rows]).tobytes() for array in given)
    return {"rows": f"{len(data)} of {data.x.shape[1]} {data.x.dtype}", "data": f"{zlib.crc32(sample):08x}"}


def kept_steps(folder: Path) -> list[int]:
    """The updates at which a folder holds checkpoints, the newest first."""
    return [_step(file) for file in kept_files(folder)]


def kept_files(folder: Path) -> list[Path]:
    """The checkpoints of a folder, the newest first; none if it is no such folder."""
    if not folder.is_dir():
        return []
    return sorted((file for file in folder.iterdir() if NAME.fullmatch(file.name)), reverse=True)


def newest_at(folder: Path, step: int | None = None, told: bool = True) -> Contents | None:
    """The newest whole checkpoint at or before ``step`` (of all, without it); None if there is none.

    ``told``: damaged ones are named on standard error.
    """
    for file in kept_files(folder):
        if step is not None and _step(file) > step:
            continue
        try:
            return from_bytes(file.read_bytes())
        except OSError as error:
            raise BadInput(f"checkpoint: {file} can't be read: {error.strerror or error}.") from None
        except Damaged as error:
            if told:
                _say(f"{file} is damaged: {error}. The one before it is used.")
    return None


class Keeper:
    """An observer that writes the checkpoints of one run; made before the run, closed after it."""

    def __init__(
        self, wanted: Checkpoints, plan: Mapping[str, Any], observers: Sequence[Any], history: History
    ) -> None:
        self.wanted, self.plan, self.observers, self.history = wanted, plan, observers, history
        self.folder = Path(wanted.folder)
        self.updates, self.seconds = wanted.interval
        self.written_step, self.written_at, self.warned_at = -1, monotonic(), -WARN_EVERY
        self.newest: Progress | None = None  # that every observer has seen
        self.settled = True  # False while the observers see the next one: their records are of different steps
        self.lock = _opened(self.folder) if wanted.keep else None

    def resume(self, state: State) -> State:
        """The State of the newest whole checkpoint, with every observer's record restored; ``state`` if there is none.

        Raises BadInput where checkpoints are there and nobody asked to go on, where none is whole, and where they are
        those of another run.
        """
        self.written_step = state.step
        files = kept_files(self.folder)
        if files and not self.wanted.resume:
            raise BadInput(
                f"checkpoint: {self.folder} holds a run at update {_step(files[0])}. Go on with it by --resume "
                "(resume=True), or name another folder."
            )
        damaged: list[Path] = []
        for file in files:
            try:
                plan, (state, *others), records, note = from_bytes(file.read_bytes())
            except OSError as error:
                raise BadInput(f"checkpoint: {file} can't be read: {error.strerror or error}.") from None
            except Damaged as error:
                _say(f"{file} is damaged: {error}. The one before it is used.")
                damaged.append(file)
                continue
            self._check_plan(file, plan, note)
            self._restore(file, records, others)
            for other in damaged if self.wanted.keep else ():  # so that it counts no longer as one of the newest
                with suppress(OSError):
                    other.replace(other.with_suffix(".damaged"))
            self.written_step = state.step
            _say(f"going on from {file}, update {state.step}.")
            return state
        if files:
            raise BadInput(f"checkpoint: none of {len(files)} in {self.folder} is whole. Start anew in another folder.")
        return state

    def __call__(self, progress: Progress) -> None:
        """To be called after all the other observers."""
        self.newest, self.settled = progress, True
        due = False
        if self.updates is not None:  # a multiple, or one that the disk didn't take
            due = progress.step % self.updates == 0 or progress.step - self.written_step >= self.updates
        if due or (self.seconds is not None and monotonic() - self.written_at >= self.seconds):
            self._write(progress.state())

    def starting(self, progress: Progress) -> None:
        """To be called before the other observers: until they are done, their records belong to different steps."""
        self.settled = False

    def __enter__(self) -> Keeper:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        """The last checkpoint, of what the observers have seen; then the folder is free for another run."""
        try:
            if kind is None and self.newest is not None and self.newest.step != self.written_step:
                if self.settled:  # and after Ctrl-C the engine may be further than they have seen
                    self._write(self.newest.state(self.newest.step), last=True)
                elif self.wanted.keep:
                    self._complain(f"there is none of update {self.newest.step}", "Ctrl-C was pressed again", last=True)
        finally:
            if self.lock is not None:
                os.close(self.lock)

    def _write(self, state: State, last: bool = False) -> None:
        """One more file, and the oldest away. A disk that doesn't take it is complained about; the run goes on."""
        if not self.wanted.keep or not np.isfinite(state.parameters).all():
            return  # numbers that have run away: the loop is about to find out
        path = self.folder / f"step-{state.step:012d}.checkpoint"
        self.written_at = monotonic()
        try:
            write_whole(path, self._contents(state))
        except OSError as error:
            self._complain(f"{path} can't be written", str(error.strerror or error), last)
            return
        except BadInput as error:
            self._complain(f"{path} can't be written", str(error), last)
            return
        self.written_step = state.step
        for old in kept_files(self.folder)[self.wanted.keep :]:
            with suppress(OSError):
                old.unlink()

    def _contents(self, state: State) -> bytes:
        """The file; BadInput that names the observer whose record can't be in it."""
        others: list[State] = []
        records = [_plain(observer.record(), others) if _keeps(observer) else None for observer in self.observers]
        try:
            return to_bytes(self.plan, [state, *others], records, self.wanted.note)
        except (TypeError, ValueError):
            for observer, record in zip(self.observers, records, strict=True):
                try:
                    to_json(record)
                except (TypeError, ValueError) as error:
                    what = f"record() of {type(observer).__name__} must give plain JSON, and States: {error}"
                    raise BadInput(what) from None
            raise

    def _complain(self, what: str, why: str, last: bool) -> None:
        """Says that there is none, and what remains: at the end, and now and then while the run goes on."""
        lately = monotonic() - self.warned_at < WARN_EVERY
        files = kept_files(self.folder)
        if last:
            self.history.kept = False
            remains = f"goes on from update {_step(files[0])}, the newest" if files else "begins anew"
            _say(f"{what}{'' if lately else f': {why}'}. It was the last one: --resume (resume=True) {remains}.")
        elif not lately:
            _say(f"{what}: {why}. Training goes on; {'older ones are whole' if files else 'there is none yet'}.")
            self.warned_at = monotonic()

    def _check_plan(self, file: Path, plan: Mapping[str, Any], note: Any) -> None:
        changed = _changes(self.plan, plan)
        if "engine" in changed:
            our, their = changed.pop("engine")
            _say(f"it was written by the engine {their}; {our} goes on, alike to rounding but not to the bit.")
        if changed:
            name = next(iter(changed))
            given = _changes(self.wanted.note or {}, note if isinstance(note, Mapping) else {})
            name = next((cause for cause in DECIDED_BY.get(name, ()) if cause in given), name)
            our, their = {**changed, **given}[name]
            other = "other" if name == "epochs" else "another"
            raise BadInput(
                f"checkpoint: {file} is of a run with {other} {name}: {their}, this one has {our}. Give what that run "
                "was given, or name another folder."
            )

    def _restore(self, file: Path, records: Sequence[Any], others: Sequence[State]) -> None:
        if len(records) != len(self.observers):
            raise BadInput(
                f"checkpoint: {file} is of a run with {len(records)} observers, validation counted; this one has "
                f"{len(self.observers)}. Give the same ones."
            )
        for observer, record in zip(self.observers, records, strict=True):
            if record is not None and _keeps(observer):
                observer.restore(_with_states(record, others))


def _changes(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
    """What two plans or notes say differently, in the order of the alphabet: name -> (ours, theirs)."""
    our, their = _flat(ours), _flat(theirs)
    pairs = {name: (our.get(name, "nothing"), their.get(name, "nothing")) for name in sorted(our.keys() | their.keys())}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def _flat(plan: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """``optimizer rate steps`` -> its value as JSON, in which tuples and lists are the same; none for None."""
    flat: dict[str, str] = {}
    for name, value in plan.items():
        inner = _flat(value, f"{prefix}{name} ") if isinstance(value, Mapping) else None
        flat |= {prefix + name: "none" if value is None else to_json(value)} if inner is None else inner
    return flat


def _keeps(observer: Any) -> bool:
    return hasattr(observer, "record") and hasattr(observer, "restore")


def _plain(record: Mapping[str, Any], others: list[State]) -> dict[str, Any]:
    """A record with its States put into ``others`` and their places in their stead."""
    plain = {}
    for name, value in record.items():
        if isinstance(value, State):
            others.append(value)
            plain[name] = {"state": len(others) - 1}
        else:
            plain[name] = value
    return plain


def _with_states(record: Mapping[str, Any], others: Sequence[State]) -> dict[str, Any]:
    return {
        name: others[value["state"]] if isinstance(value, dict) and value.keys() == {"state"} else value
        for name, value in record.items()
    }


def _step(file: Path) -> int:
    return int(file.name.removeprefix("step-").removesuffix(".checkpoint"))


def _opened(folder: Path) -> int:
    """Makes the folder, sees that it can be written to, and locks it for this run; what a killed run left goes."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
    except FileExistsError:
        raise BadInput(f"checkpoint: {folder} is a file; a folder is wanted, there or to be made.") from None
    except OSError as error:
        raise BadInput(f"checkpoint: {folder} can't be written to: {error.strerror or error}.") from None
    try:
        _locked(lock, folder)
        write_whole(folder / ".probe", b"")
        (folder / ".probe").unlink()
        for left in folder.glob(f".step-*{ASIDE}"):
            left.unlink(missing_ok=True)
    except OSError as error:
        os.close(lock)
        raise BadInput(f"checkpoint: {folder} can't be written to: {error.strerror or error}.") from None
    except BadInput:
        os.close(lock)
        raise
    return lock


def _locked(lock: int, folder: Path) -> None:
    """A lock that ends with the process, however it ends; without one where the system has none."""
    try:
        import fcntl
    except ImportError:
        return
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise BadInput(f"checkpoint: another run is writing to {folder}. Name another one, or wait for it.") from None
    except OSError:
        return  # some network file systems have no locks


def _say(line: str) -> None:
    print(f"checkpoint: {line}", file=sys.stderr, flush=True)
