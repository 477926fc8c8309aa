"""The command line writes nothing over what it reads, by whatever name that is called."""

from __future__ import annotations

import errno
import importlib.util
import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from refusals import one_line, refusal
from requires import requires

from backlit import whole_file
from backlit.cli.writing import check_apart

ROWS = "a,b,y\n" + "".join(f"{k},{k % 7},{'no' if k % 2 else 'yes'}\n" for k in range(60))


@pytest.fixture
def model(run, tmp_path):
    """d.csv and m, trained on it; a link and a hard link to each, and a folder between."""
    (tmp_path / "d.csv").write_text(ROWS)
    code, _, err = run("train", "d.csv", "--epochs", "2", "--save", "m", "--quiet")
    assert code == 0, err
    (tmp_path / "sub").mkdir()
    for name in ("d.csv", "m"):
        os.symlink(tmp_path / name, tmp_path / "sub" / f"link-{name}")
        os.link(tmp_path / name, tmp_path / "sub" / f"hard-{name}")
    return tmp_path


def refused(found, told):
    code, out, err = found
    assert (code, out) == (1, "")
    assert one_line(err) and told in err


@pytest.mark.parametrize("name", ["{}", "sub/../{}", "sub/link-{}", "sub/hard-{}"])
def test_results_are_written_over_nothing_that_is_read(run, model, name):
    before = {path: path.read_bytes() for path in model.iterdir() if path.is_file()}
    data, saved = name.format("d.csv"), name.format("m")
    for words in (
        ["predict", "m", "d.csv", "--output", data],
        ["predict", "m", "d.csv", "--output", saved],
        ["train", "d.csv", "--save", data],
        ["train", "d.csv", "--report", data],
        ["train", "d.csv", "--log", data],
        ["explain", "m", "--html", saved],
        ["explain", "m", "d.csv", "--html", data],
        ["explain", "d.csv", "--html", data],
        ["explain", "m", "--html", data],
        ["examples", "m", "d.csv", "--html", saved],
        ["export", "m", saved],
    ):
        refused(run(*words), f"{words[-1]}: this is {'m' if words[-1] == saved else 'd.csv'} itself")
    refused(run("import", "d.csv", "--to", data), f"{data} can't be made: File exists: name a new folder")
    assert {path: path.read_bytes() for path in model.iterdir() if path.is_file()} == before


def test_nor_over_a_part_of_it(run, model):
    folder = model / "arrays"
    folder.mkdir()
    np.save(folder / "x.npy", np.random.default_rng(0).random((60, 2)))
    np.save(folder / "y.npy", np.arange(60) % 2)
    for data in ("arrays", "arrays/x.npy"):
        refused(run("train", data, "--save", "arrays/y.npy"), f"this is a part of {data}, ")
    assert run("train", "arrays", "--epochs", "1", "--save", "arrays/model", "--quiet")[0] == 0
    assert run("train", "arrays", "--epochs", "1", "--save", "arrays/model", "--quiet")[0] == 0
    assert run("predict", "m", "d.csv", "--output", "other.csv")[0] == 0
    assert run("predict", "m", "d.csv", "--output", "other.csv")[0] == 0


def test_what_only_looks_like_a_part_is_written_as_often_as_asked(run, model):
    """A model, a table and an archive have no parts, whatever stands beside them; an array has its own."""
    for _ in range(2):
        for words in (
            ["predict", "m", "d.csv", "--output", "predictions-idx.csv"],
            ["explain", "m", "--html", "idx.html"],
            ["explain", "m", "d.csv", "--html", "ubyte.html"],
            ["train", "d.csv", "--epochs", "1", "--quiet", "--save", "net_idx"],
            ["predict", "net_idx", "d.csv", "--output", "labels-idx.csv"],
        ):
            code, _, err = run(*words)
            assert code == 0, err
    for path in (model / "x.npy", model / "notes.npy"):
        np.save(path, np.zeros((3, 2)))
    check_apart("FILE", model / "notes.npy", model / "m", model / "d.csv", model / "x.npy")
    check_apart("FILE", model / "x.npy", model / "m", model / "d.csv")


@pytest.mark.parametrize(
    ("source", "part"),
    [(".", "y.npy"), ("x.npy", "y.npy"), ("x.npy", "x_test.npy"), ("x.npy", "preparation.json"),
     ("x_old.npy", "y_old.npy"), ("x.npy", "link"), ("images-idx3-ubyte", "labels-idx1-ubyte.gz"),
     ("mnist", "mnist/t10k-labels.idx1-ubyte"), ("mnist/train-images.idx3-ubyte", "mnist/t10k-labels.idx1-ubyte")],
)  # fmt: skip
def test_the_files_that_readers_take_together_are_parts(tmp_path, source, part):
    (tmp_path / "mnist").mkdir()
    for name in ("x.npy", "y.npy", "x_test.npy", "preparation.json", "x_old.npy", "y_old.npy", "images-idx3-ubyte",
                 "labels-idx1-ubyte.gz", *(f"mnist/{half}-{what}-ubyte" for half in ("train", "t10k")
                                           for what in ("images.idx3", "labels.idx1"))):  # fmt: skip
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "link").symlink_to("y.npy")
    assert f"a part of {tmp_path / source}, " in refusal(check_apart, "FILE", tmp_path / part, tmp_path / source)


RESULTS = (
    ["predict", "m", "d.csv", "--output", "r.csv"],
    ["predict", "m", "d.csv", "--output", "r.parquet"],
    ["explain", "m", "--html", "r.html"],
    ["train", "d.csv", "--epochs", "1", "--report", "r.html"],
    ["train", "d.csv", "--epochs", "1", "--plot", "r.svg"],
    ["examples", "m", "d.csv", "--html", "r.html"],
)


@pytest.mark.parametrize("words", RESULTS, ids=lambda words: f"{words[0]} {words[-2]} {words[-1]}")
def test_a_result_is_written_whole_or_not_at_all(run, model, monkeypatch, words):
    """Where the disk is full, the file of the last time stays; there is nothing half, and no error but one line."""
    part = {".parquet": "pyarrow", ".svg": "matplotlib"}.get((file := model / words[-1]).suffix)
    requires(part, part is None or importlib.util.find_spec(part) is not None)
    (model / "store").mkdir()
    os.symlink(model / "store" / "real", file)
    code, _, err = run(*words)
    assert code == 0, err
    whole = file.read_bytes()
    assert len(whole) > 100 and file.is_symlink() and not list(model.glob(".*part"))

    def full(path, content):
        path.write_bytes(content[:50])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(whole_file, "_write_synced", full)
    code, out, err = run(*words)
    assert ("test accuracy" in out) == (words[0] == "train"), "the score of a long run is told all the same"
    assert code == 1 and f"{words[-2]} {words[-1]}: can't be written: No space left on device." in err.splitlines()[-1]
    assert file.read_bytes() == whole and [path.name for path in (model / "store").iterdir()] == ["real"]


def test_a_result_goes_through_what_is_no_file(run, model):
    os.mkfifo(model / "pipe")
    with ThreadPoolExecutor(1) as pool:
        read = pool.submit((model / "pipe").read_text)
        code, _, err = run("predict", "m", "d.csv", "--output", "pipe")
        assert code == 0, err
        assert read.result(timeout=10).startswith("y,probability no,")


def test_what_cannot_be_written_is_refused_before_the_work(run, model):
    (model / "ring").symlink_to(model / "ring")
    (model / "astray").symlink_to(model / "nowhere" / "file")
    for name in ("ring", "astray", "n" * 256, "nowhere/file", "sub"):
        refused(run("explain", "m", "--html", name), f"--html {name}: a file in an existing folder that can be written")
    assert run("explain", "m", "--html", "n" * 250)[0] == 0
    assert (model / ("n" * 250)).stat().st_size > 1000


def test_a_page_is_not_written_over_a_checkpoint(run, model):
    assert run("train", "d.csv", "--epochs", "2", "--checkpoint", "kept", "--every", "1", "--quiet")[0] == 0
    file = max((model / "kept").glob("*.checkpoint"))
    before = file.read_bytes()
    refused(run("explain", "kept", "--html", f"kept/{file.name}"), f"this is kept/{file.name} itself, which would be")
    assert file.read_bytes() == before


@pytest.mark.parametrize(
    "words",
    [
        ["train", "d.csv", "--save", "r", "--report", "r"],
        ["train", "d.csv", "--save", "r.svg", "--plot", "sub/../r.svg"],
        ["train", "d.csv", "--save", "r.svg", "--plot", "link.svg"],
        ["train", "d.csv", "--save", "r.csv", "--log", "r.csv"],
        ["train", "d.csv", "--save", "r", "--log", "r/board"],
        ["train", "d.csv", "--save", "r", "--checkpoint", "r"],
        ["train", "d.csv", "--save", "r", "--checkpoint", "r/kept"],
        ["train", "d.csv", "--report", "r.csv", "--log", "r.csv"],
        ["examples", "m", "d.csv", "--html", "r.svg", "--plot", "r.svg"],
    ],
)
def test_two_results_are_not_written_to_one_place(run, model, words):
    (model / "link.svg").symlink_to("r.svg")
    before = sorted(model.rglob("*"))
    refused(run(*words), "is written there, too, and one would be lost")
    assert sorted(model.rglob("*")) == before


def test_a_folder_takes_several_results(run, model):
    (model / "kept").mkdir()
    words = ["train", "d.csv", "--epochs", "1", "--checkpoint", "kept", "--log", "kept/l.csv", "--quiet"]
    code, _, err = run(*words)
    assert code == 0, err
    code, _, err = run(*words, "--resume", "--save", "kept/model")
    assert code == 0, err


def test_a_file_is_no_folder_for_checkpoints(run, model):
    code, _, err = run("train", "d.csv", "--checkpoint", "d.csv", "--quiet")
    assert code == 1 and "checkpoint: d.csv is a file; a folder is wanted" in err.splitlines()[-1]
