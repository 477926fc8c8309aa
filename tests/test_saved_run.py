"""``step`` and ``explain`` of a run that was kept: the bits of the run itself, from whatever state is nearest."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

import backlit as bl
from backlit.cli.common import preparation_of
from backlit.model_file import load_run
from backlit.observers import kept_steps

STEPS = (0, 37, 58)
TRAIN = ("train", "iris", "--hidden", "5", "--epochs", "15", "--quiet", "--validation", "0.1", "--seed", "4")


def watched_by_hand(model: str = "m") -> dict[int, bl.Trace]:
    """The same steps, seen by the loop itself while it trains on the rows that the command line trains on."""
    net, opt, _ = bl.load(model)
    raw = bl.load_dataset("iris")
    train, _ = raw.split(0.8, 4)
    train, _ = train.split(0.9, 4)
    rows = preparation_of_path(model).apply_to(train)
    state = bl.initial_state(net, opt, seed=4)
    loop = bl.train(net, opt, rows, batch_size=32, epochs=15, seed=4, state=state, watch=STEPS)
    return {record.step: record for progress in loop for record in progress.watched}


def preparation_of_path(model: str):
    return preparation_of(Path(model))


def same(found: dict, record) -> None:
    """Bit by bit."""
    trace = record.trace()
    assert found["rows"] == record.rows.tolist()
    assert found["loss"] == trace.loss
    for name, flat in (("before", trace.before.parameters), ("after", trace.after.parameters)):
        told = np.concatenate([np.ravel(part) for layer in found[name] for part in (layer["W"], layer["b"])])
        assert np.array_equal(told.astype(np.float32), flat), name


@pytest.mark.parametrize("keep", [1, 100])
def test_a_step_of_a_saved_run_has_the_bits_of_the_run(run, keep):
    """With one checkpoint kept, the early steps are repeated from the beginning; with many, from the nearest."""
    assert run(*TRAIN, "--save", "m", "--checkpoint", "runs", "--every", "1", "--keep", keep)[0] == 0
    expected = watched_by_hand()
    for source in ("m", "runs"):
        code, out, err = run("step", source, "--at", ",".join(map(str, STEPS)), "--json")
        assert code == 0, err
        steps = json.loads(out)["steps"]
        assert [step["step"] for step in steps] == list(STEPS)
        for step in steps:
            same(step, expected[step["step"]])
        assert "from the beginning" in err
    assert ("from update" in err) == (keep == 100)


def test_without_checkpoints_a_model_is_enough(run):
    assert run(*TRAIN, "--save", "m", "--order", "as-given")[0] == 0
    code, out, err = run("explain", "m", "--at", "37", "--json")
    assert code == 0 and "from the beginning" in err
    (step,) = json.loads(out)["steps"]
    assert step["product"] == pytest.approx(step["difference"], rel=1e-2, abs=1e-6)
    found = json.loads(run("step", "m", "--at", "37", "--json")[1])["steps"][0]
    assert found["rows"] == list(range(32, 64)), "108 rows are 4 batches an epoch, and 37 is the second of the tenth"
    code, out, _ = run("explain", "m", "--json")
    assert json.loads(out)["steps"][0]["step"] == bl.load("m")[2].step - 1, "by default its last step"


def test_a_page_of_a_saved_run(run, tmp_path):
    assert run(*TRAIN, "--checkpoint", "runs", "--every", "2")[0] == 0
    code, out, err = run("explain", "runs", "--at", "3,58", "--html", "p.html")
    assert code == 0, err
    assert "setosa" in (tmp_path / "p.html").read_text("utf-8")


def test_a_checkpoint_file_can_be_named_itself(run, tmp_path):
    assert run(*TRAIN, "--checkpoint", "runs", "--every", "2", "--keep", "3")[0] == 0
    step = kept_steps(tmp_path / "runs")[1]
    code, out, err = run("explain", f"runs/step-{step:012d}.checkpoint", "--json")
    assert code == 0, err
    assert json.loads(out)["steps"][0]["step"] == step - 1


def test_a_run_of_python_needs_its_data_and_a_checkpoint_before_the_step(run, tmp_path):
    random = np.random.default_rng(0)
    x, y = random.random((40, 3)), random.random(40)
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "y.npy", y)
    net, opt = bl.Network([3, 4, 1]), bl.Adam(bl.Cosine(0.01, 50))
    state = bl.initial_state(net, opt, init="nielsen", seed=9)
    options = {"batch_size": 8, "epochs": 10, "seed": 2, "state": state}
    record = next(r for p in bl.train(net, opt, (x, y), **options, watch=[47]) for r in p.watched)
    _, history = bl.fit(
        net, opt, (x, y), **options, progress=False, watch=[47],
        checkpoints=bl.Checkpoints(tmp_path / "c", every=1, keep=100),
    )  # fmt: skip
    assert [w.step for w in history.watched] == [47]
    assert np.array_equal(history.watched[0].after.parameters, record.after.parameters)
    for step in kept_steps(tmp_path / "c"):
        if step < 47:  # the loop stops at a watched step, so there is one right before it
            (tmp_path / "c" / f"step-{step:012d}.checkpoint").unlink()
    code, _, err = run("step", "c", "--at", "47")
    assert code == 1 and "name both, c DATA" in err
    code, _, err = run("step", "c", "x.npy", "--at", "3")
    assert code == 1 and "at update 47" in err and len(err.splitlines()) == 1
    code, out, err = run("step", "c", "x.npy", "--at", "47", "--json")
    assert code == 0, err
    same(json.loads(out)["steps"][0], record)


def test_what_cannot_be_repeated_is_told_in_one_line(run, tmp_path):
    assert run(*TRAIN, "--save", "m", "--checkpoint", "runs")[0] == 0
    for argv, told in [
        (("step", "m", "--at", "99999"), "steps 0 to"),
        (("step", "runs", "wine", "--at", "3"), "wine isn't what the run in runs was trained on"),
        (("step", "m", "--at", "3", "--batch", "7"), "--batch: a saved run is repeated as it was"),
        (("explain", "runs", "--at", "3", "--hidden", "7"), "--hidden: a saved run"),
    ]:
        code, out, err = run(*argv)
        assert code == 1 and told in err and len(err.splitlines()) == 1, err


def test_hostile_records_of_a_run_are_refused(run, tmp_path):
    net, opt = bl.Network([4, 3, 3], output="softmax", loss="cross_entropy"), bl.SGD(0.1)
    state = bl.initial_state(net, opt)
    good = {"seed": 0, "batch_size": 4, "order": "shuffled", "engine": "native", "rows": "1", "data": "2",
            "dtype": "float32", "optimizer": {"kind": "no"}, "network": {"sizes": [4, 3, 3]}}  # fmt: skip
    for plan in (None, 3, {}, {**good, "seed": "x"}, {**good, "order": "/etc/passwd"}, {**good, "batch_size": 0}, good):
        bl.save("m", net, opt, state, run={"plan": plan, "note": None})
        code, _, err = run("step", "m", "--at", "0")
        assert code == 1 and len(err.splitlines()) == 1
        assert "record of the run" in err or "order of the rows" in err


def test_a_hostile_record_neither_hangs_nor_reaches_the_terminal(run, tmp_path):
    """Whoever opens a stranger's model: pipes aren't read, escapes don't arrive, what is missing is told."""
    assert run(*TRAIN, "--save", "m")[0] == 0
    net, opt, state = bl.load("m")
    good = load_run("m")
    os.mkfifo(tmp_path / "pipe.csv")  # reading it would wait for ever
    lacking = {name: value for name, value in good["plan"].items() if name != "optimizer"}
    for plan, note, told in [
        (lacking, {}, "record of the run"),
        ({}, {"data": str(tmp_path / "pipe.csv")}, "isn't here any more"),
        ({}, {"data": "a" * 9000}, "isn't here any more"),
        ({}, {"epochs": -(10**4000)}, "record of the run"),
        ({"rows": "\x1b[31mred\x07"}, {}, "\\x1b[31mred"),
        ({"engine": "\x1b]0;title\x07"}, {}, "\\x1b]0;title"),
    ]:
        whole = plan if plan is lacking else good["plan"] | plan
        bl.save("bad", net, opt, state, run={"plan": whole, "note": good["note"] | note})
        code, _, err = run("step", "bad", "--at", "3")
        assert told in err and "\x1b" not in err and "inside backlit" not in err and len(err) < 1000, err
        assert code == (0 if "title" in told else 1)


def test_rows_that_the_model_was_trained_on_are_told(run, tmp_path):
    """By what they hold, wherever the file is now; other rows, and a test part of the data's own, are new."""
    lines = ["size,town,kind", *(f"{k / 7},{'BC'[k % 2]},{('no', 'yes', 'perhaps')[k % 3]}" for k in range(100))]
    (tmp_path / "d.csv").write_text("\n".join(lines))
    (tmp_path / "price.csv").write_text("\n".join(f"{k},{k * 1.5}" for k in range(100)))
    data = bl.load_dataset("wine")
    (train, test), wine = data.split(0.5, 0), tmp_path / "parts"
    wine.mkdir()
    for name, array in {"x": train.x, "y": train.y, "x_test": test.x, "y_test": test.y}.items():
        np.save(wine / f"{name}.npy", array)
    for named, options, rows in (
        ("d.csv", [], "80 of these 100 rows"),
        ("d.csv", ["--validation", "0.25", "--seed", "3"], "60 of these 100 rows"),
        ("price.csv", [], "80 of these 100 rows"),
        ("iris", [], "120 of these 150 rows"),
        ("parts/x.npy", [], "71 of these 89 rows"),
        ("parts", [], None),
    ):
        code, _, err = run("train", named, "--epochs", "1", "--save", "m", "--quiet", *options)
        assert code == 0, err
        code, out, err = run("evaluate", "m", named, "--json")
        assert code == 0 and len(json.loads(out)) > 3
        assert ("was trained on" in err) == (rows is not None) and (rows or "") in err, (named, err)
    assert "89 of these 89 rows" in run("evaluate", "m", "parts/x.npy")[2]
    assert run("train", "d.csv", "--epochs", "1", "--save", "m", "--quiet")[0] == 0
    (tmp_path / "moved.csv").write_text((tmp_path / "d.csv").read_text())
    assert "80 of these 100 rows" in run("evaluate", "m", "moved.csv")[2]
    (tmp_path / "new.csv").write_text("\n".join([lines[0], *(f"9{line}" for line in lines[1:])]))
    assert run("evaluate", "m", "new.csv")[2] == ""


def test_rows_are_divided_only_where_their_number_can_be_that_of_the_run(run, monkeypatch):
    """Dividing copies and sorts all rows: that is much for each look at a model."""
    from backlit.cli.saved_run import rows_trained_on

    assert run(*TRAIN, "--save", "m")[0] == 0  # 108 rows: nine tenths of 80 % of 150
    whole = preparation_of_path("m").apply_to(bl.load_dataset("iris"))
    split, divided = bl.Dataset.split, []
    monkeypatch.setattr(bl.Dataset, "split", lambda self, *given: divided.append(len(self)) or split(self, *given))
    assert rows_trained_on(Path("m"), whole) == 108
    assert divided == [150, 120]
    divided.clear()
    assert rows_trained_on(Path("m"), whole.take(np.arange(100))) == 0
    assert divided == []
    assert rows_trained_on(Path("m"), whole.take(np.arange(120))) == 0  # their number fits, but they are others
    assert divided == [120]


def test_a_damaged_checkpoint_of_another_run_nearby_is_no_concern(run, tmp_path):
    other = ("--epochs", "1", "--seed", "9", "--checkpoint", "other", "--every", "1")
    assert run("train", "iris", "--quiet", *other)[0] == 0
    newest = max((tmp_path / "other").glob("*.checkpoint"))
    newest.write_bytes(newest.read_bytes()[:-5])
    assert run(*TRAIN, "--save", "m", "--checkpoint", "kept")[0] == 0
    for command in ("step", "explain"):
        code, _, err = run(command, "m", "--at", "3")
        assert code == 0 and "damaged" not in err
    newest = max((tmp_path / "kept").glob("*.checkpoint"))
    newest.write_bytes(newest.read_bytes()[:-5])
    assert "kept" in run("step", "kept")[2], "of the run that is named it is told"
