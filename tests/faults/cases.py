"""Each fault, caused for real: one function per fault, which gives (times tried, times survived, how).

Used by test_faults.py with few repetitions, and by write_table.py with many.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np

import backlit as bl

RUN = [sys.executable, str(Path(__file__).with_name("run.py"))]
NET = bl.Network([100, 200, 10])


class Outcome(NamedTuple):
    fault: str
    tried: int
    survived: int
    how: str


class CannotTry(Exception):
    """This fault can't be caused here; the message says why."""


def killed(folder: Path, times: int) -> Outcome:
    """kill −9 at random moments; each killed run is resumed and compared with the one that was never killed."""
    survived, moments = _stopped(folder, times, signal.SIGKILL)
    return Outcome("kill −9 at a random moment, checkpoints every 50 ms, then --resume", times, survived,
                   f"same bits of parameters, moments, curves and early stopping; killed {moments}")  # fmt: skip


def interrupted(folder: Path, times: int) -> Outcome:
    """Ctrl-C at random moments, then as above."""
    survived, moments = _stopped(folder, times, signal.SIGINT)
    return Outcome("Ctrl-C at a random moment, then --resume", times, survived,
                   f"no traceback, same bits afterwards; stopped {moments}")  # fmt: skip


def _stopped(folder: Path, times: int, how: signal.Signals) -> tuple[int, str]:
    chance = random.Random(11)
    with subprocess.Popen([*RUN, str(folder / "whole"), str(folder / "expected")], stdout=subprocess.PIPE) as whole:
        assert whole.stdout is not None and whole.stdout.readline() == b"begun\n"
        start = time.monotonic()
    assert whole.returncode == 0
    length = time.monotonic() - start
    expected = (folder / "expected").read_text("utf-8")
    survived, early, steps = 0, 0, []
    for i in range(times):
        kept, result = folder / f"kept{i}", folder / f"result{i}"
        process = subprocess.Popen([*RUN, str(kept), str(result)], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert process.stdout is not None and process.stdout.readline() == b"begun\n"
        time.sleep(chance.uniform(0.02, length))
        process.send_signal(how)
        said = process.communicate()[1].decode()
        newest = max((file.name for file in kept.glob("step-*.checkpoint")), default="")
        early += not newest
        steps += [int(newest[5:17])] if newest else []
        # 0: it had ended before; killed by the signal: Python was ending and listened no more
        ended = process.returncode in (130, 0, -signal.SIGINT)
        clean = how == signal.SIGKILL or (ended and "Traceback" not in said)
        again = subprocess.run([*RUN, str(kept), str(result)], capture_output=True, text=True)
        survived += clean and again.returncode == 0 and result.read_text("utf-8") == expected
    at = f"between updates {min(steps)} and {max(steps)}, " if steps else ""
    return survived, f"{at}{early} before the first checkpoint"


@contextmanager
def small_disk(place: Path, options: str = "size=300k") -> Iterator[Path]:
    """A file system of its own; CannotTry where this user may not mount one."""
    place.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)], capture_output=True, text=True)
    if made.returncode:
        raise CannotTry(f"no right to mount a small disk: {made.stderr.strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True)


def _states() -> tuple[bl.State, bl.State]:
    return bl.initial_state(NET, bl.SGD(0.1), seed=1), bl.initial_state(NET, bl.SGD(0.1), seed=2)


def disk_full(folder: Path) -> Outcome:
    """Saving over a model while the disk fills up, at every size of what is left, in steps of 8 kB."""
    old, new = _states()
    tried = survived = refused = 0
    with small_disk(folder / "small") as disk:
        for left in range(0, 200_000, 8192):
            model, filler = disk / "model", disk / "filler"
            bl.save(model, NET, bl.SGD(0.1), old)
            filler.write_bytes(b"x" * max(0, 300 * 1024 - model.stat().st_size - left - 8192))
            tried += 1
            expected = new
            try:
                bl.save(model, NET, bl.SGD(0.1), new)
            except bl.BadInput as error:
                assert "No space left" in str(error)
                refused, expected = refused + 1, old
            alone = {file.name for file in disk.iterdir()} == {"model", "filler"}
            survived += alone and np.array_equal(bl.load(model)[2].parameters, expected.parameters)
            model.unlink()
            filler.unlink()
    return Outcome("disk full while saving over a model", tried, survived,
                   f"{refused} refused in one line, with the old file whole and nothing left beside it")  # fmt: skip


def checkpoints_on_a_full_disk(folder: Path) -> Outcome:
    """The disk fills up during training: the run goes on, and says that its checkpoints aren't written."""
    x, y = np.random.default_rng(0).standard_normal((300, 100)), np.zeros((300, 10))
    with small_disk(folder / "full") as disk:
        def fill(progress: bl.Progress) -> None:
            if progress.epoch == 3:
                room = os.statvfs(disk)
                (disk / "filler").write_bytes(b"x" * ((room.f_bavail - 2) * room.f_bsize))

        kept = bl.Checkpoints(disk / "run", every=1, keep=1)
        whole, _ = bl.fit(NET, bl.SGD(0.01), (x, y), epochs=9, progress=False)
        state, _ = bl.fit(NET, bl.SGD(0.01), (x, y), epochs=9, progress=False, observers=[fill], checkpoints=kept)
        same = np.array_equal(state.parameters, whole.parameters)
        resumed, _ = bl.fit(NET, bl.SGD(0.01), (x, y), epochs=9, progress=False, observers=[lambda p: None],
                            checkpoints=bl.Checkpoints(disk / "run", resume=True))  # fmt: skip
        same = same and np.array_equal(resumed.parameters, whole.parameters)
    return Outcome("disk full while training with checkpoints", 1, int(same),
                   "training goes on and says so; the last whole checkpoint is there to go on from")  # fmt: skip


def read_only(folder: Path) -> Outcome:
    """A disk that can't be written to: refused before training, in one line."""
    with small_disk(folder / "ro") as disk:
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        survived = 0
        for option in ("--save", "--checkpoint"):
            command = [sys.executable, "-m", "backlit", "train", "digits", option, str(disk / "here")]
            done = subprocess.run(command, capture_output=True, text=True)
            lines = done.stderr.strip().splitlines()
            survived += done.returncode == 1 and len(lines) <= 2 and "epoch 1" not in done.stderr
    return Outcome("read-only disk for --save and --checkpoint", 2, survived, "refused in one line, before training")


def truncated(folder: Path, times: int) -> Outcome:
    """A memory-mapped data file is cut short at a random moment of the training that reads it."""
    chance = random.Random(5)
    survived = 0
    for i in range(times):
        data = folder / f"data{i}"
        data.mkdir()
        x = np.random.default_rng(0).standard_normal((20_000, 200)).astype(np.float32)
        np.save(data / "x.npy", x)
        np.save(data / "y.npy", (x[:, 0] > 0).astype(np.int64))
        code = (
            "import sys, numpy as np, backlit as bl\n"
            "from backlit.cli.keeping import explain_shrinking_files\n"
            "explain_shrinking_files(sys.argv[1])\n"
            "data = bl.load_dataset(sys.argv[1])\n"
            "net = bl.Network([200, 20, 2], output='softmax', loss='cross_entropy')\n"
            "kept = bl.Checkpoints(sys.argv[2], every='50ms')\n"
            "print('begun', flush=True)\n"
            "bl.fit(net, bl.SGD(0.1), data, epochs=10_000, progress=False, checkpoints=kept)\n"
        )
        command = [sys.executable, "-c", code, str(data), str(folder / f"run{i}")]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert process.stdout is not None and process.stdout.readline() == "begun\n"
        time.sleep(chance.uniform(0.3, 1.0))
        with open(data / "x.npy", "rb+") as file:
            file.truncate(chance.randrange(128, 12_000_000))
        said = process.communicate(timeout=60)[1]
        one_line = process.returncode == 1 and said.count("\n") == 1 and "became shorter" in said
        survived += one_line and bool(list((folder / f"run{i}").glob("step-*.checkpoint")))
    return Outcome("a memory-mapped data file is cut short during training", times, survived,
                   "ends at once with one line that says so, exit code 1; checkpoints whole")  # fmt: skip


def two_writers(folder: Path, times: int) -> Outcome:
    """Two processes save to one path again and again, while a third reads it: it must always be one or the other."""
    model = folder / "model"
    states = _states()
    bl.save(model, NET, bl.SGD(0.1), states[0])
    code = (
        "import sys, backlit as bl\n"
        "net = bl.Network([100, 200, 10])\n"
        "state = bl.initial_state(net, bl.SGD(0.1), seed=int(sys.argv[2]))\n"
        "bl.save(sys.argv[1], net, bl.SGD(0.1), state)\n"
        "print(flush=True)\n"
        "while True: bl.save(sys.argv[1], net, bl.SGD(0.1), state)\n"
    )
    commands = [[sys.executable, "-c", code, str(model), seed] for seed in ("1", "2")]
    writers = [subprocess.Popen(command, stdout=subprocess.PIPE) for command in commands]
    try:
        for writer in writers:
            assert writer.stdout is not None and writer.stdout.readline()
        survived, seen = 0, [0, 0]
        for _ in range(times):
            parameters = bl.load(model)[2].parameters
            which = [np.array_equal(parameters, state.parameters) for state in states]
            survived += any(which)
            seen = [count + one for count, one in zip(seen, which, strict=True)]
            time.sleep(0.002)
    finally:
        for writer in writers:
            writer.kill()
            writer.communicate()
    return Outcome("two processes save to one path while a third reads it", times, survived,
                   f"always one of the two, whole: {seen[0]} and {seen[1]} times")  # fmt: skip
