"""Logs: one entry an epoch in CSV, JSON lines and TensorBoard's files, also of a run that goes on."""

from __future__ import annotations

import csv
import json
import shutil

import numpy as np
import pytest
from requires import requires

import backlit as bl
from backlit.observers import log_to

X, Y = np.random.default_rng(1).standard_normal((60, 4)), np.arange(60) % 3
NET = bl.Network([4, 5, 3], output="softmax", loss="cross_entropy")


def entries(path):
    text = path.read_text("utf-8")
    return list(csv.DictReader(text.splitlines())) if path.suffix == ".csv" else [*map(json.loads, text.splitlines())]


@pytest.mark.parametrize(("kind", "name"), [(bl.CSVLog, "log.csv"), (bl.JSONLog, "log.jsonl")])
def test_an_entry_for_every_epoch_also_after_going_on(kind, name, tmp_path):
    def fit(stop, **more):
        def until(progress):
            return progress.epoch_loss is not None and progress.epoch >= stop

        return bl.fit(NET, bl.SGD(0.1), (X, Y), epochs=6, batch_size=10, validation=(X, Y), progress=False,
                      observers=[kind(tmp_path / name), until], **more)  # fmt: skip

    fit(3, checkpoints=bl.Checkpoints(tmp_path / "run", every=1))
    assert len(entries(tmp_path / name)) == 3
    fit(4)  # another run, without checkpoints, begins the file anew
    assert [int(e["epoch"]) for e in entries(tmp_path / name)] == [1, 2, 3, 4]
    _, history = fit(9, checkpoints=bl.Checkpoints(tmp_path / "run", resume=True))
    logged = entries(tmp_path / name)
    assert [int(e["epoch"]) for e in logged] == history.epoch == [1, 2, 3, 4, 5, 6]
    assert [int(e["update"]) for e in logged] == [6, 12, 18, 24, 30, 36]
    for column, curve in (("loss", history.loss), ("validation_loss", history.validation_loss), ("rate", history.rate),
                          ("validation_score", history.validation_score)):  # fmt: skip
        assert [float(e[column]) for e in logged] == curve


def test_without_validation_and_on_a_disk_that_fails_later(tmp_path, capsys):
    bl.fit(NET, bl.SGD(0.1), (X, Y), epochs=2, progress=False, observers=[bl.JSONLog(tmp_path / "a.jsonl")])
    assert entries(tmp_path / "a.jsonl")[1]["validation_loss"] is None
    log = bl.CSVLog(tmp_path / "folder" / "a.csv")
    with pytest.raises(bl.BadInput, match="can't be written"):
        bl.fit(NET, bl.SGD(0.1), (X, Y), epochs=2, progress=False, observers=[log])
    log.path.parent.mkdir()

    def gone(progress):
        shutil.rmtree(log.path.parent, ignore_errors=True)

    _, history = bl.fit(NET, bl.SGD(0.1), (X, Y), epochs=2, progress=False, observers=[gone, log])
    assert history.epoch == [1, 2]
    assert capsys.readouterr().err.count("can't be written") == 1


@pytest.mark.parametrize("name", ["log.csv", "log.jsonl"])
def test_a_full_disk_leaves_no_half_of_a_line(name, tmp_path, capsys):
    resource = pytest.importorskip("resource", reason="no limits on this system")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))  # a file that grows beyond is written in part
    try:
        bl.fit(NET, bl.SGD(0.1), (X, Y), epochs=40, progress=False, observers=[log_to(tmp_path / name)])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    logged = entries(tmp_path / name)
    assert 2 < len(logged) < 40 and all(None not in entry.values() for entry in logged if name.endswith("csv"))
    assert (tmp_path / name).read_text("utf-8").endswith("\n")
    assert capsys.readouterr().err.count("can't be written: File too large") == 1


def test_tensorboard(tmp_path):
    try:
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    except ImportError:
        requires("logs", False, "pip install tensorboard")
    _, history = bl.fit(NET, bl.SGD(0.1), (X, Y), epochs=3, progress=False, observers=[bl.TensorBoardLog(tmp_path)])
    read = EventAccumulator(str(tmp_path))
    read.Reload()
    assert [event.tensor_proto.float_val[0] for event in read.Tensors("loss")] == pytest.approx(history.loss, rel=1e-6)


def test_the_order_in_blocks(monkeypatch):
    monkeypatch.setattr("backlit.batches.BLOCK", 10)
    from backlit.batches import epoch_rows

    rows = epoch_rows(47, 3, 0, "shuffled_in_blocks")
    assert sorted(rows) == list(range(47)) and list(rows) != sorted(rows)
    starts = [k for k in range(1, 47) if rows[k] // 10 != rows[k - 1] // 10]
    assert len(starts) == 4, "each block is read in one piece"
    assert not np.array_equal(rows, epoch_rows(47, 3, 1, "shuffled_in_blocks"))
    assert np.array_equal(rows, epoch_rows(47, 3, 0, "shuffled_in_blocks"))
