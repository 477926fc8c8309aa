"""Checkpoints: a run that is stopped anywhere goes on to the same bits, and a folder is never made worse."""

from __future__ import annotations

import importlib
import os
import signal
import subprocess
import sys
import threading
import time
from itertools import pairwise

import numpy as np
import pytest
from refusals import refusal
from requires import requires

import backlit as bl

RANDOM = np.random.default_rng(3)
X, Y = RANDOM.standard_normal((157, 6)), RANDOM.integers(0, 3, 157)
NET = bl.Network([6, 5, 3], hidden="tanh", output="softmax", loss="cross_entropy")


class HalveOnWorse:
    """A schedule of one's own that depends on the losses of the finished epochs."""

    def __call__(self, step, epoch_losses=()):
        return 0.3 * 0.5 ** sum(b > a for a, b in pairwise(epoch_losses))


OPTIMIZERS = {
    "sgd": bl.SGD(0.1),
    "nesterov": bl.SGD(bl.Cosine(0.2, 60), momentum=0.9, nesterov=True, l2=0.01),
    "adam": bl.Adam(bl.OneCycle(0.05, 80)),
    "adamw": bl.AdamW(bl.WarmUp(bl.StepDecay(0.03, 20), 10)),
    "own": bl.SGD(HalveOnWorse(), momentum=0.5),
}


class StopAt:
    """Ends the run at the first report from step ``step`` on; every report counts in ``calls``, kept in checkpoints."""

    def __init__(self, step):
        self.step, self.calls = step, 0

    def __call__(self, progress):
        self.calls += 1
        return progress.step >= self.step

    def record(self):
        return {"calls": self.calls}

    def restore(self, record):
        self.calls = record["calls"]


def fit(opt=OPTIMIZERS["adam"], stop=10**9, engine="reference", **kwargs):
    given = {"batch_size": 10, "epochs": 8, "seed": 4, "validation": (X[:40], Y[:40]), "early_stopping": 2}
    return bl.fit(NET, opt, (X, Y), engine=engine, observers=[StopAt(stop)], progress=False, **{**given, **kwargs})


def same(a, b):
    return (
        a.step == b.step
        and a.epoch_losses == b.epoch_losses
        and a.parameters.tobytes() == b.parameters.tobytes()
        and a.slots.keys() == b.slots.keys()
        and all(a.slots[name].tobytes() == b.slots[name].tobytes() for name in a.slots)
    )


@pytest.mark.parametrize("engine", ["native", "reference"])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_stopped_run_goes_on_to_the_same_bits(name, engine, tmp_path):
    reason = bl.available_engines()[engine]
    requires(engine, reason == "ready", reason)
    opt = OPTIMIZERS[name]
    whole, curves = fit(opt, engine=engine)
    for stop in (1, 17, 40, 70, 10**9):
        fit(opt, stop, engine, checkpoints=bl.Checkpoints(tmp_path, every=1, resume=True))
    state, history = fit(opt, engine=engine, checkpoints=bl.Checkpoints(tmp_path, every=1, resume=True))
    assert same(state, whole)
    assert history == curves


def test_early_stopping_that_has_spoken_stays_so(tmp_path):
    opt = bl.SGD(3.0)  # swings: soon no better
    whole, curves = fit(opt, early_stopping=1, epochs=50)
    assert len(curves.epoch) < 50
    fit(opt, early_stopping=1, epochs=50, checkpoints=bl.Checkpoints(tmp_path, every=1))
    state, history = fit(opt, early_stopping=1, epochs=50, checkpoints=bl.Checkpoints(tmp_path, resume=True))
    assert same(state, whole)
    assert history == curves


class Pressed:
    """Ctrl-C, for real, when ``call`` of them have been counted."""

    def __init__(self, monkeypatch, owner, name, call, before=False):
        genuine, self.calls = getattr(owner, name), 0

        def pressing(*given, **more):
            self.calls += 1
            if before and self.calls == call:
                signal.raise_signal(signal.SIGINT)
            result = genuine(*given, **more)
            if not before and self.calls == call:
                signal.raise_signal(signal.SIGINT)
            return result

        monkeypatch.setattr(owner, name, pressing)


@pytest.mark.parametrize("call", range(1, 12))
@pytest.mark.parametrize("where", ["the engine", "an observer", "the display"])
def test_ctrl_c_anywhere_leaves_a_checkpoint_that_goes_on_to_the_same_bits(where, call, tmp_path, monkeypatch, capsys):
    """On small data every stretch ends an epoch: the engine is done with one that no observer has seen."""
    whole, curves = fit()
    kept = bl.Checkpoints(tmp_path, every="1h", resume=True)
    with monkeypatch.context() as patch:
        patch.setattr("backlit.training.STRETCH", 1e9)  # a stretch is as long as an epoch lets it be
        owner, name = {
            "the engine": (importlib.import_module("backlit.engines.reference").Engine, "advance"),
            "an observer": (importlib.import_module("backlit.observers.validation").Validation, "__call__"),
            "the display": (importlib.import_module("backlit.observers.display").Display, "__call__"),
        }[where]
        Pressed(patch, owner, name, call + (where == "the engine"))
        _, history = fit(checkpoints=kept)
    assert history.interrupted and len(list(tmp_path.glob("step-*"))) == 1
    assert "there is none" not in capsys.readouterr().err
    state, resumed = fit(checkpoints=kept)
    assert "going on from" in capsys.readouterr().err
    assert same(state, whole)
    assert resumed == curves


def test_ctrl_c_again_does_not_lose_what_is_being_written(tmp_path, monkeypatch):
    kept = bl.Checkpoints(tmp_path, every="1h")

    def interrupt(progress):
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    Pressed(monkeypatch, importlib.import_module("backlit.observers.checkpoints"), "to_bytes", 1, before=True)
    state, history = bl.fit(NET, bl.SGD(0.1), (X, Y), progress=False, observers=[interrupt], checkpoints=kept)
    assert history.interrupted
    assert [file.name for file in tmp_path.glob("step-*")] == [f"step-{state.step:012d}.checkpoint"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_an_observer_that_never_ends_can_still_be_interrupted(monkeypatch):
    monkeypatch.setattr("backlit.observers.interrupts.PATIENCE", 0.05)

    def endless(progress):
        end = time.monotonic() + 20
        while time.monotonic() < end:
            signal.raise_signal(signal.SIGINT)
            time.sleep(0.02)

    start = time.monotonic()
    _, history = bl.fit(NET, bl.SGD(0.1), (X, Y), progress=False, observers=[endless])
    assert history.interrupted and time.monotonic() - start < 10


def test_the_newest_are_kept_and_own_observers_too(tmp_path):
    fit(stop=50, checkpoints=bl.Checkpoints(tmp_path, every=5, keep=2))
    files = sorted(tmp_path.glob("step-*"))
    assert len(files) == 2 and files[-1].name >= "step-000000000050.checkpoint"
    counter = StopAt(0)
    bl.fit(NET, OPTIMIZERS["adam"], (X, Y), batch_size=10, epochs=8, seed=4, validation=(X[:40], Y[:40]),
           early_stopping=2, progress=False, engine="reference", observers=[counter],
           checkpoints=bl.Checkpoints(tmp_path, resume=True))  # fmt: skip
    assert counter.calls > 5  # those of the first run and one more


@pytest.mark.parametrize("engine", ["native", "reference"])
def test_a_number_of_updates_means_its_multiples(engine, tmp_path):
    """16 updates an epoch: multiples of 7 lie inside epochs and across their ends; a resumed run keeps to them."""
    reason = bl.available_engines()[engine]
    requires(engine, reason == "ready", reason)
    every = bl.Checkpoints(tmp_path, every=7, keep=100, resume=True)
    alone = {"early_stopping": None, "engine": engine, "checkpoints": every}
    fit(stop=40, epochs=4, **alone)
    stopped = max(int(file.name[5:17]) for file in tmp_path.glob("step-*"))
    fit(epochs=40, opt=OPTIMIZERS["sgd"], checkpoints=bl.Checkpoints(tmp_path / "other", every=7, keep=100),
        engine=engine, early_stopping=None)  # fmt: skip
    fit(epochs=4, **alone)
    steps = [int(file.name[5:17]) for file in sorted(tmp_path.glob("step-*"))]
    assert steps == sorted({*range(7, 65, 7), stopped, 64})
    steps = [int(file.name[5:17]) for file in sorted((tmp_path / "other").glob("step-*"))]
    assert steps == [*range(7, 641, 7), 640][-100:]


@pytest.mark.parametrize("damage", ["cut", "empty", "flip", "header", "noise"])
def test_a_damaged_newest_one_is_named_and_the_one_before_is_used(damage, tmp_path, capsys):
    whole, _ = fit()
    fit(stop=60, checkpoints=bl.Checkpoints(tmp_path, every=1))
    newest = max(tmp_path.glob("step-*"))
    content = bytearray(newest.read_bytes())
    if damage == "cut":
        del content[-3:]
    elif damage == "empty":
        content.clear()
    elif damage == "flip":
        content[-5] ^= 1
    elif damage == "header":
        content[200] ^= 1
    else:
        content[:] = os.urandom(500)
    newest.write_bytes(content)
    state, _ = fit(checkpoints=bl.Checkpoints(tmp_path, keep=1, resume=True))
    said = capsys.readouterr().err
    assert f"{newest} is damaged" in said and said.count("going on from") == 1
    assert same(state, whole)
    assert [file.name for file in tmp_path.glob("step-*.checkpoint")] != [newest.name]


def test_when_none_is_whole_nothing_is_started_and_nothing_touched(tmp_path):
    fit(stop=60, checkpoints=bl.Checkpoints(tmp_path, every=1))
    for file in tmp_path.glob("step-*"):
        file.write_bytes(b"")
    for _ in range(2):
        with pytest.raises(bl.BadInput, match="none of 3"):
            fit(checkpoints=bl.Checkpoints(tmp_path, resume=True))


def test_a_folder_with_a_run_is_not_mixed_with_another(tmp_path):
    fit(stop=60, checkpoints=bl.Checkpoints(tmp_path, every=1))
    with pytest.raises(bl.BadInput, match=r"holds a run at update \d+.*--resume"):
        fit(checkpoints=bl.Checkpoints(tmp_path))
    go_on = bl.Checkpoints(tmp_path, resume=True)
    with pytest.raises(bl.BadInput, match="another optimizer rate steps: 80, this one has 90"):
        fit(bl.Adam(bl.OneCycle(0.05, 90)), checkpoints=go_on)
    with pytest.raises(bl.BadInput, match="another batch_size: 10, this one has 11"):
        fit(batch_size=11, checkpoints=go_on)
    with pytest.raises(bl.BadInput, match="another dtype"):
        fit(state=bl.initial_state(NET, dtype="float64"), checkpoints=go_on)
    with pytest.raises(bl.BadInput, match="another data"):
        bl.fit(NET, OPTIMIZERS["adam"], (X + 1, Y), batch_size=10, seed=4, checkpoints=go_on, progress=False,
               engine="reference")  # fmt: skip
    with pytest.raises(bl.BadInput, match=r"3 observers.*this one has 1"):
        bl.fit(NET, OPTIMIZERS["adam"], (X, Y), batch_size=10, seed=4, checkpoints=go_on, progress=False,
               engine="reference")  # fmt: skip


def test_two_runs_do_not_write_to_one_folder(tmp_path):
    begun, end = threading.Event(), threading.Event()

    def hold(progress):
        begun.set()
        end.wait(10)
        return True

    other = threading.Thread(
        target=bl.fit, args=(NET, bl.SGD(0.1), (X, Y)), daemon=True,
        kwargs={"observers": [hold], "checkpoints": bl.Checkpoints(tmp_path), "progress": False},
    )  # fmt: skip
    other.start()
    assert begun.wait(10)
    with pytest.raises(bl.BadInput, match="another run is writing"):
        fit(checkpoints=bl.Checkpoints(tmp_path, resume=True))
    end.set()
    other.join(10)
    fit(bl.SGD(0.1), checkpoints=bl.Checkpoints(tmp_path / "deep" / "er"))


def test_a_disk_that_takes_nothing_is_named_once_and_the_run_goes_on(tmp_path, monkeypatch, capsys):
    whole, _ = fit()

    def full(path, content, check=None):
        if path.name != ".probe":
            raise OSError(28, "No space left on device")

    monkeypatch.setattr("backlit.observers.checkpoints.write_whole", full)
    monkeypatch.setattr("pathlib.Path.unlink", lambda self, missing_ok=False: None)
    state, history = fit(checkpoints=bl.Checkpoints(tmp_path, every=1))
    assert same(state, whole) and not history.kept
    said = capsys.readouterr().err.splitlines()
    assert sum("No space left on device" in line for line in said) == 1
    assert "No space left on device. Training goes on; there is none yet." in said[0]
    assert "It was the last one: --resume (resume=True) begins anew." in said[-1]


def test_what_an_observer_gives_that_no_checkpoint_can_hold_does_not_end_the_run(tmp_path, capsys):
    class Sums:
        def __call__(self, progress):
            self.sums = np.zeros(3)

        def record(self):
            return {"sums": self.sums}

        def restore(self, record):
            raise AssertionError

    state, history = bl.fit(NET, bl.SGD(0.1), (X, Y), batch_size=10, epochs=2, progress=False, observers=[Sums()],
                            checkpoints=bl.Checkpoints(tmp_path, every=1))  # fmt: skip
    said = capsys.readouterr().err
    assert state.step == 32 and not history.kept
    assert said.count("record() of Sums must give plain JSON, and States: ndarray is no plain JSON.") == 1


def test_numbers_of_numpy_are_numbers(tmp_path):
    given = {"batch_size": np.int64(10), "seed": np.int64(4), "epochs": np.int64(3)}
    fit(stop=20, checkpoints=bl.Checkpoints(tmp_path, every=1), **given)
    state, _ = fit(checkpoints=bl.Checkpoints(tmp_path, every=1, resume=True), **given)
    assert same(state, fit(epochs=3)[0])


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"folder": 5}, "folder must be a path, such as 'runs/big'; got 5."),
        ({"folder": None}, "folder must be a path"),
        ({"folder": ""}, "folder must be a path"),
        ({"folder": True}, "folder must be a path"),
        ({"resume": "no"}, "resume must be True or False; got 'no'."),
        ({"resume": 1}, "resume must be True or False; got 1."),
        ({"note": {"lr": np.float32(0.1)}}, "note must be plain JSON, as json.dumps takes it: Object of type float32"),
        ({"note": {"x": X}}, "note must be plain JSON"),
    ],
)
def test_checkpoints_that_make_no_sense(given, told):
    assert told in refusal(bl.Checkpoints, **{"folder": "x", **given})


@pytest.mark.parametrize("every", [0, -1, True, "0s", "s", "10 weeks", 1.5, None, "1e9"])
def test_intervals_that_make_no_sense(every):
    with pytest.raises(bl.BadInput, match="every must be"):
        bl.Checkpoints("x", every=every)


@pytest.mark.parametrize(
    ("every", "interval"),
    [(200, (200, None)), ("200", (200, None)), ("30s", (None, 30)), ("50ms", (None, 0.05)), ("1.5 h", (None, 5400))],
)
def test_intervals(every, interval):
    assert bl.Checkpoints("x", every=every).interval == interval


def test_the_command_line_killed_and_resumed(tmp_path):
    """One real kill −9, at a random moment; a hundred of them are in tests/faults."""
    table = tmp_path / "table.npz"
    np.savez(table, x=X, y=Y)
    base = [sys.executable, "-m", "backlit", "train", str(table), "--epochs", "1500", "--seed", "2", "--quiet"]
    kept = [*base, "--checkpoint", str(tmp_path / "run"), "--every", "50ms", "--resume"]
    process = subprocess.Popen(kept, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 20
    while not list((tmp_path / "run").glob("step-*")) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.kill()
    process.wait()
    again = subprocess.run([*kept, "--save", str(tmp_path / "a")], capture_output=True, text=True, check=True)
    assert "going on from" in again.stderr
    subprocess.run([*base, "--save", str(tmp_path / "b")], check=True, capture_output=True)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_what_a_person_gave_otherwise_is_named(run):
    """And not what follows from it, such as the length of the schedule."""
    kept = ["train", "iris", "--checkpoint", "run", "--resume", "--quiet"]
    assert run(*kept, "--epochs", "3")[0] == 0
    for words, told in (
        (["--epochs", "9"], "is of a run with other epochs: 3, this one has 9."),
        (["--epochs", "3", "--validation", "0.25"], "is of a run with another validation: none, this one has 0.25."),
        (["--epochs", "3", "--seed", "5"], "another "),
        (["--epochs", "9", "--rate", "0.5"], "another optimizer rate peak: 0.01, this one has 0.5."),
    ):
        code, _, err = run(*kept, *words)
        assert code == 1 and told in err
