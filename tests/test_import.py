"""backlit import: the folder holds what the tables hold, prepared as their training rows say, in bounded memory."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest
from refusals import refusal
from requires import requires

import backlit as bl
from backlit.data import import_columns, import_tables, importing, load_inputs, stored_preparation
from backlit.data.import_columns import in_test_part
from backlit.data.wording import reading

RANDOM = np.random.default_rng(2)
ROWS = 3000


def write_csv(path, rows, header):
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])


def table():
    numbers = RANDOM.standard_normal((ROWS, 2)) * [3, 1000] + [1, -500]
    colours = RANDOM.choice(["red", "blue", ""], ROWS)
    answers = np.where(numbers[:, 0] > 1, "yes", "no")
    rows = [[repr(float(a)), "" if i % 50 == 0 else repr(float(b)), c, f"name {i}", y]
            for i, ((a, b), c, y) in enumerate(zip(numbers, colours, answers, strict=True))]  # fmt: skip
    return numbers, colours, answers, rows


def run(paths, folder, target=None, share=0.2):
    return import_tables(paths, folder, target, share, lambda *_: None)


def test_the_arrays_hold_the_prepared_rows(tmp_path):
    numbers, colours, answers, rows = table()
    header = ["a", "b", "colour", "name", "answer"]
    write_csv(tmp_path / "1.csv", rows[:1000], header)
    write_csv(tmp_path / "2.csv", rows[1000:], header)
    preparation, counts, left_out = run([tmp_path / "1.csv", tmp_path / "2.csv"], tmp_path / "to", "answer")
    test = in_test_part(0, ROWS, 0.2)
    assert left_out == ["name"] and preparation.classes == ("no", "yes")
    assert preparation.categories == (None, None, ("", "blue", "red"))
    assert counts == {"train": ROWS - test.sum(), "test": test.sum()} and 0.15 < test.mean() < 0.25
    given = np.arange(ROWS) % 50 != 0
    for k, some in ((0, ~test), (1, ~test & given)):
        assert preparation.mean[k] == pytest.approx(numbers[some, k].mean(), rel=1e-12)
        imputed = np.where(given | (k == 0), numbers[:, k], preparation.mean[k])[~test]
        assert preparation.scale[k] == pytest.approx(imputed.std(), rel=1e-12)
    scaled = (numbers - preparation.mean[:2]) / preparation.scale[:2]
    scaled[~given, 1] = 0  # the mean stands for what is missing
    expected = np.column_stack([scaled, colours == "", colours == "blue", colours == "red"])
    data = bl.load_dataset(tmp_path / "to")
    assert isinstance(data.x, np.memmap)
    assert np.abs(data.x - expected[~test]).max() < 1e-6 and np.abs(data.test.x - expected[test]).max() < 1e-6
    assert (data.y == (answers == "yes")[~test]).all() and (data.test.y == (answers == "yes")[test]).all()
    assert stored_preparation(tmp_path / "to") == preparation


def test_numbers_to_predict_and_parquet_give_the_same(tmp_path):
    try:
        import pyarrow as arrow
        import pyarrow.parquet
    except ImportError:
        requires("pyarrow", False, "pip install pyarrow")
    x = RANDOM.standard_normal((ROWS, 3))
    y = x @ [1.0, 2.0, 3.0] * 40 + 7
    write_csv(tmp_path / "t.csv", [[*map(repr, map(float, [*row, out]))] for row, out in zip(x, y, strict=True)],
              ["a", "b", "c", "y"])  # fmt: skip
    columns = {"a": x[:, 0], "b": x[:, 1], "c": x[:, 2], "y": y}
    arrow.parquet.write_table(arrow.table(columns), tmp_path / "t.parquet", row_group_size=500)
    folders = [tmp_path / kind for kind in ("csv", "parquet")]
    for folder in folders:
        run([tmp_path / f"t.{folder.name}"], folder)
    one, other = map(bl.load_dataset, folders)
    assert np.array_equal(one.x, other.x) and np.array_equal(one.y, other.y)
    restored = stored_preparation(folders[0]).restore(np.asarray(one.y)[:, None])
    assert np.abs(restored[:, 0] - y[~in_test_part(0, ROWS, 0.2)]).max() < 1e-3


def agree(folder, paths, target="t"):
    """The preparation that an import of these files learns, equal to that of one table with all their rows."""
    preparation, _, left_out = run(paths, folder / "to", target, share=0.0)
    whole = folder / f"whole{paths[0].suffix}"
    whole.write_text(paths[0].read_text() + "".join(path.read_text().split("\n", 1)[1] for path in paths[1:]))
    data = bl.load_dataset(whole, target)
    learned = bl.Preparation.learn(data)
    assert preparation.columns == learned.columns
    assert preparation.categories == (learned.categories if any(learned.categories or ()) else None)
    assert preparation.mean == pytest.approx(learned.mean) and preparation.scale == pytest.approx(learned.scale)
    assert np.abs(bl.load_dataset(folder / "to").x - learned.apply_to(data).x).max() < 1e-5
    return preparation


def test_a_column_with_gaps_is_scaled_as_train_does(tmp_path):
    rows = [[str(k * k) if k % 10 == 0 else "", str(k), "ab"[k % 2]] for k in range(100)]
    write_csv(tmp_path / "t.csv", rows, ["a", "b", "t"])
    agree(tmp_path, [tmp_path / "t.csv"])


def test_a_category_that_is_missing_in_a_whole_file(tmp_path):
    write_csv(tmp_path / "24.csv", [["", str(k), "ab"[k % 2]] for k in range(40)], ["promo", "n", "t"])
    write_csv(tmp_path / "25.csv", [["xy"[k % 2], str(k), "ab"[k % 2]] for k in range(40)], ["promo", "n", "t"])
    for paths in (["24.csv", "25.csv"], ["25.csv", "24.csv"]):
        folder = tmp_path / paths[0].removesuffix(".csv")
        folder.mkdir()
        assert agree(folder, [tmp_path / path for path in paths]).categories == (("", "x", "y"), None)


def test_a_number_among_texts_is_refused_in_whichever_part_it_stands(tmp_path, monkeypatch):
    monkeypatch.setattr("backlit.data.table_chunks.CELLS", 1)  # chunks of 64 rows
    rows = [["AB"[k % 2], str(k % 2)] for k in range(192)] + [["5", "1"]]
    write_csv(tmp_path / "t.csv", rows, ["a", "t"])
    shares = (0.0, 0.1, 0.9)
    assert [bool(in_test_part(192, 1, share)[0]) for share in shares] == [False, False, True]
    for share in shares:
        message = refusal(run, [tmp_path / "t.csv"], tmp_path / f"to{share}", "t", share)
        assert "numbers and texts" in message


def test_texts_in_parquet_that_spell_numbers_are_numbers(tmp_path):
    try:
        import pyarrow as arrow
        import pyarrow.parquet
    except ImportError:
        requires("pyarrow", False, "pip install pyarrow")
    x = RANDOM.standard_normal(500)
    columns = {"many": [repr(float(v)) for v in x], "few": [str(k % 3) for k in range(500)], "t": ["a", "b"] * 250}
    arrow.parquet.write_table(arrow.table(columns), tmp_path / "t.parquet")
    preparation, _, left_out = run([tmp_path / "t.parquet"], tmp_path / "to", "t", 0.0)
    assert preparation.categories is None and not left_out
    assert preparation.mean == pytest.approx((x.mean(), np.mean(np.arange(500) % 3)))
    columns["many"][6] = "oops"
    arrow.parquet.write_table(arrow.table(columns), tmp_path / "t.parquet")
    message = refusal(run, [tmp_path / "t.parquet"], tmp_path / "other", "t", 0.0)
    assert "row 7" in message and "'oops'" in message
    assert not (tmp_path / "other").exists()


def test_the_line_is_the_files_own(tmp_path):
    text = 'a,b,t\n1,"two\nlines",x\n\n\n2,c,y\n' + "3,c,x\n" * 20 + "oops,c,y\n"
    (tmp_path / "t.csv").write_text(text)
    assert "line 27" in refusal(run, [tmp_path / "t.csv"], tmp_path / "to", "t")
    assert text.split("\n")[26] == "oops,c,y"


def test_an_interrupted_import_goes_on(tmp_path, monkeypatch):
    *_, rows = table()
    write_csv(tmp_path / "t.csv", rows, ["a", "b", "colour", "name", "answer"])
    monkeypatch.setattr("backlit.data.table_chunks.CELLS", 1)  # chunks of 64 rows: 47 of them
    whole = run([tmp_path / "t.csv"], tmp_path / "whole")
    monkeypatch.setattr("backlit.data.importing.NOTE_EVERY", 5)

    def stop(what, rows, total):
        if what == "writing" and rows > 1500:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        import_tables([tmp_path / "t.csv"], tmp_path / "to", None, 0.2, stop)
    assert 0 < json.loads(json.loads((tmp_path / "to" / "import.json").read_text())[1])["written"] < 1600
    for unfinished in (tmp_path / "to", tmp_path / "to" / "x.npy"):
        with pytest.raises(bl.BadInput, match="isn't finished: run the same"):
            bl.load_dataset(unfinished)
    with pytest.raises(bl.BadInput, match="unfinished import of other"):
        run([tmp_path / "t.csv"], tmp_path / "to", share=0.3)
    seen = []
    again = import_tables([tmp_path / "t.csv"], tmp_path / "to", None, 0.2, lambda what, *_: seen.append(what))
    assert "looking" not in seen and again == whole
    for name in ("x", "y", "x_test", "y_test"):
        assert (tmp_path / "to" / f"{name}.npy").read_bytes() == (tmp_path / "whole" / f"{name}.npy").read_bytes()
    for name in ("x", "y", "x_test", "y_test"):
        (tmp_path / "to" / f"{name}.npy").unlink()
    (tmp_path / "to" / "preparation.json").unlink()
    with pytest.raises(KeyboardInterrupt):  # while it looks: it goes on from there as well
        import_tables([tmp_path / "t.csv"], tmp_path / "to", None, 0.2,
                      lambda what, rows, _: stop("writing", rows, None))  # fmt: skip
    looked = []
    add = import_columns.SeenColumn.add
    monkeypatch.setattr(import_columns.SeenColumn, "add", lambda self, *cells: (looked.append(1), add(self, *cells)))
    assert run([tmp_path / "t.csv"], tmp_path / "to") == whole
    assert len(looked) == 4 * (47 - 20), "four columns of 47 chunks, of which 20 had been noted as looked at"
    assert (tmp_path / "to" / "x.npy").read_bytes() == (tmp_path / "whole" / "x.npy").read_bytes()
    with pytest.raises(bl.BadInput, match="isn't empty"):
        run([tmp_path / "t.csv"], tmp_path / "to")


@pytest.mark.parametrize(
    ("text", "match"),
    [("a,y\n1,2\n", "too few|one value"), ("a\n1\n", "one column"), ("a,y\n1,\n2,3\n3,4\n", "without a finite value"),
     ("a,y\n1,x\nq,y\n3,x\n4,y\n", "one kind"), ("", "empty"), ("a,y\n1,x\n2,x\n3,x\n", "one value"),
     ("a,y\n1e300,1.5\n-1e300,2\n3,2.5\n", "'a' reaches from -1e.300 to 1e.300: too large")],
)  # fmt: skip
def test_what_cannot_be_imported(text, match, tmp_path):
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(bl.BadInput, match=match):
        run([tmp_path / "t.csv"], tmp_path / "to", share=0.0)


def test_after_a_refusal_the_mended_file_goes_into_the_same_folder(tmp_path):
    write_csv(tmp_path / "1.csv", [["1", "2"], ["3", "4"], ["5", ""]], ["a", "b"])
    with pytest.raises(bl.BadInput, match="without a finite value"):
        run([tmp_path / "1.csv"], tmp_path / "to", "b")
    write_csv(tmp_path / "1.csv", [["1", "2"], ["3", "4.5"], ["5", "6"]], ["a", "b"])
    assert run([tmp_path / "1.csv"], tmp_path / "to", "b", share=0)[1] == {"train": 3, "test": 0}


def test_after_a_passing_error_of_the_disk_the_import_goes_on(tmp_path, monkeypatch):
    def failing(*asked):
        with reading(tmp_path / "1.csv", "a table"):
            raise OSError(5, "Input/output error")

    write_csv(tmp_path / "1.csv", [["1", "2.5"], ["3", "4"], ["5", "7"]], ["a", "b"])
    with monkeypatch.context() as patch:
        patch.setattr(importing, "chunks_of", failing)
        with pytest.raises(bl.BadInput, match="Input/output error"):
            run([tmp_path / "1.csv"], tmp_path / "to", "b")
    assert (tmp_path / "to" / "import.json").is_file()
    assert run([tmp_path / "1.csv"], tmp_path / "to", "b", share=0.2)[1]["train"] >= 1


def test_the_command_and_training_on_its_folder(tmp_path):
    *_, rows = table()
    write_csv(tmp_path / "t.csv", rows, ["a", "b", "colour", "name", "answer"])
    call = [sys.executable, "-m", "backlit"]
    folder, model = str(tmp_path / "to"), str(tmp_path / "model")
    for command in (
        ["import", str(tmp_path / "t.csv"), "--to", folder],
        ["train", folder, "--epochs", "3", "--order", "shuffled-in-blocks", "--save", model, "--quiet"],
    ):
        subprocess.run([*call, *command], check=True, capture_output=True)
    predict = [*call, "predict", model, str(tmp_path / "t.csv")]
    done = subprocess.run(predict, check=True, capture_output=True, text=True)
    raw = np.array(done.stdout.splitlines()[1:])
    assert raw[0].split(",")[0] in ("yes", "no")
    test = in_test_part(0, ROWS, 0.2)
    for name, some in (("to", ~test), ("to/x_test.npy", test)):  # the rows of the folder, prepared already
        done = subprocess.run([*predict[:-1], str(tmp_path / name)], check=True, capture_output=True, text=True)
        assert (np.array(done.stdout.splitlines()[1:]) == raw[some]).all()


def test_evaluating_on_the_folder(tmp_path):
    numbers, *_, rows = table()
    header = ["a", "b", "colour", "name", "answer"]
    write_csv(tmp_path / "t.csv", rows, header)
    run([tmp_path / "t.csv"], tmp_path / "to", "answer")
    test = in_test_part(0, ROWS, 0.2)
    write_csv(tmp_path / "tested.csv", [row for row, out in zip(rows, test, strict=True) if out], header)
    model = tmp_path / "model"
    told = json.loads(
        backlit("train", tmp_path / "to", "--epochs", "3", "--validation", "0.2", "--save", model, "--json")
    )
    assert told["confusion"]["classes"] == ["no", "yes"]
    folder, raw = (json.loads(backlit("evaluate", model, tmp_path / name, "--json")) for name in ("to", "tested.csv"))
    assert folder["rows"] == test.sum() and folder["loss"] == pytest.approx(raw.pop("loss"), rel=1e-6)
    assert folder.items() >= raw.items() and folder["confusion"] == told["confusion"]
    assert folder["value"] == told["test_score"]
    table_shown = backlit("evaluate", model, tmp_path / "to")
    assert "yes" in table_shown and "no" in table_shown
    assert "step" in backlit("step", model, tmp_path / "to"), "the step is one on the prepared rows"
    write_csv(tmp_path / "half.csv", rows[:1500], header)
    run([tmp_path / "half.csv"], tmp_path / "other", "answer")
    for command in ("evaluate", "predict"):
        said = backlit(command, model, tmp_path / "other", fails=True)
        assert said.count("\n") == 1 and "another preparation" in said and "its mean" in said


def test_a_class_that_only_the_test_part_has(tmp_path):
    rows = [[repr(float(i % 7)), "rare" if place else "often" if i % 2 else "sometimes"]
            for i, place in enumerate(in_test_part(0, 400, 0.1))]  # fmt: skip
    write_csv(tmp_path / "t.csv", rows, ["a", "y"])
    run([tmp_path / "t.csv"], tmp_path / "to", share=0.1)
    told = json.loads(backlit("train", tmp_path / "to", "--epochs", "1", "--json"))
    assert told["confusion"]["classes"] == ["often", "rare", "sometimes"]


def backlit(*command, fails=False):
    """What the command says: its output, or its complaint."""
    done = subprocess.run([sys.executable, "-m", "backlit", *map(str, command)], capture_output=True, text=True)
    assert done.returncode == int(fails), done.stderr
    return done.stderr if fails else done.stdout


@pytest.mark.slow
def test_memory_is_bounded(tmp_path):
    """A table of 300 MB within 250 MB; benchmarks/import_memory.py does it with 2 GB."""
    line = ",".join(f"{v:.6f}" for v in RANDOM.standard_normal(100)) + ",{}\n"
    with (tmp_path / "t.csv").open("w") as file:
        file.write(",".join(f"c{k}" for k in range(100)) + ",y\n")
        for i in range(320_000):
            file.write(line.format(i % 3))
    code = "import sys; from backlit.data import import_tables; from pathlib import Path\n"
    code += "import_tables([Path(sys.argv[1])], Path(sys.argv[2]), None, 0.2, lambda *_: None)\n"
    # not ru_maxrss, which a process takes over from the one that started it
    code += "print(int(open('/proc/self/status').read().split('VmHWM:')[1].split()[0]) // 1024)"
    start = time.monotonic()
    command = [sys.executable, "-c", code, str(tmp_path / "t.csv"), str(tmp_path / "to")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert int(done.stdout) < 250, f"{done.stdout} MB, {time.monotonic() - start:.0f} s"


def test_white_space_around_a_class_makes_no_other_class(tmp_path):
    write_csv(tmp_path / "t.csv", [[str(k), ("yes", " yes", "no", "no ")[k % 4]] for k in range(40)], ["a", "b"])
    preparation, _, _ = run([tmp_path / "t.csv"], tmp_path / "to", share=0)
    assert preparation.classes == ("no", "yes")
    assert bl.load_dataset(tmp_path / "to").y.tolist() == [1, 1, 0, 0] * 10


def test_a_target_that_names_its_rows_is_refused(tmp_path):
    write_csv(tmp_path / "t.csv", [[str(k), f"name {k}"] for k in range(40)], ["a", "id"])
    assert "target 'id' has 40 classes in 40 rows" in refusal(run, [tmp_path / "t.csv"], tmp_path / "to")


def test_what_stands_in_the_folder_is_on_the_disk(tmp_path, monkeypatch):
    """After a power cut, too: a file is synced before it gets its name, the name after it, the arrays before all."""
    if not os.path.isdir("/proc/self/fd"):
        pytest.skip("This system doesn't tell which file is open.")
    did = []
    sync, rename = os.fsync, os.replace

    def fsync(handle):
        did.append(("sync", os.readlink(f"/proc/self/fd/{handle}")))
        sync(handle)

    def replace(old, new):
        did.append(("rename", str(old), str(new)))
        rename(old, new)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "replace", replace)
    write_csv(tmp_path / "t.csv", [[str(k), str(k % 2)] for k in range(40)], ["a", "b"])
    folder = tmp_path / "to"
    run([tmp_path / "t.csv"], folder)
    renamed = [k for k, event in enumerate(did) if event[0] == "rename"]
    assert [did[k][2] for k in renamed] == [str(folder / name) for name in ("import.json",) * 2 + ("preparation.json",)]
    for k in renamed:
        assert did[k - 1] == ("sync", did[k][1]) and did[k + 1] == ("sync", str(folder))
    for name in ("x.npy", "y.npy", "x_test.npy", "y_test.npy"):
        assert ("sync", str(folder / name)) in did[: renamed[-1]]


def test_what_a_kill_left_beside_the_notes_goes(tmp_path):
    write_csv(tmp_path / "t.csv", [[str(k), str(k % 2)] for k in range(40)], ["a", "b"])
    folder = tmp_path / "to"
    folder.mkdir()
    (folder / ".import.json.0123456789ab.part").write_text("{")
    run([tmp_path / "t.csv"], folder)
    assert {file.name for file in folder.iterdir()} == {"preparation.json", *(f"{n}.npy" for n in
                                                       ("x", "y", "x_test", "y_test"))}  # fmt: skip


def test_a_boolean_is_one_class_however_it_is_spelled(tmp_path):
    write_csv(tmp_path / "t.csv", [[str(k), ("TRUE", "False", "true", "false")[k % 4]] for k in range(40)], ["a", "b"])
    preparation, _, _ = run([tmp_path / "t.csv"], tmp_path / "to", share=0)
    assert preparation.classes == ("False", "True")
    assert bl.load_dataset(tmp_path / "to").y.tolist() == [1, 0, 1, 0] * 10


def test_a_target_of_numbers_must_have_all_of_them(tmp_path):
    for odd in ("NA", "inf", "", "nan", "-inf"):
        write_csv(tmp_path / "t.csv", [[str(k), odd if k == 7 else f"{k}.5"] for k in range(40)], ["a", "b"])
        message = refusal(run, [tmp_path / "t.csv"], tmp_path / f"to {odd}")
        assert "target 'b': has rows without a finite value" in message


def test_a_table_is_imported_as_it_is_trained_on(tmp_path):
    """Parquet: 1.0 is a number and no class, infinity is refused, row labels of pandas are no input; what is empty."""
    try:
        import pandas
        import pyarrow  # noqa: F401
    except ImportError:
        requires("pyarrow", False, "pip install pyarrow pandas")
    frame = pandas.DataFrame({"a": np.arange(60) / 7, "nothing": [None] * 60, "y": [0.0, 1.0] * 30})
    frame[frame.index != 3].to_parquet(tmp_path / "t.parquet")
    data = bl.load_dataset(tmp_path / "t.parquet")
    preparation, _, left_out = run([tmp_path / "t.parquet"], tmp_path / "to")
    assert data.columns == preparation.columns == ("a",)
    assert data.classes is preparation.classes is None
    assert left_out == ["nothing"]
    assert "row labels of pandas, which have no name, are left out" in data.note
    frame.loc[5, "a"] = np.inf
    frame.to_parquet(tmp_path / "inf.parquet")
    words = "row 6, column 'a': wanted a number, came inf"
    assert words in refusal(bl.load_dataset, tmp_path / "inf.parquet")
    assert words in refusal(run, [tmp_path / "inf.parquet"], tmp_path / "inf")


ALIKE = [("true", "True"), ("1", "1.0"), ("1", "01"), ("2.5", "2.50"), (f"{10**20}", f"{10**20 + 1}")]


@pytest.mark.parametrize("cells", ALIKE)
def test_a_target_of_one_value_is_refused_however_it_is_spelled(tmp_path, cells):
    write_csv(tmp_path / "t.csv", [[str(k), cells[k % 2]] for k in range(40)], ["a", "b"])
    assert "target 'b' has one value only" in refusal(run, [tmp_path / "t.csv"], tmp_path / "to")
    assert "in every row" in refusal(bl.load_dataset, tmp_path / "t.csv")


def test_long_whole_numbers_are_told_apart(tmp_path):
    write_csv(tmp_path / "t.csv", [[str(k), str(10**17 + k % 2)] for k in range(40)], ["a", "b"])
    preparation, _, _ = run([tmp_path / "t.csv"], tmp_path / "to", share=0)
    assert preparation.classes == bl.load_dataset(tmp_path / "t.csv").classes == (10**17, 10**17 + 1)


def test_a_boolean_is_one_category_however_it_is_spelled(tmp_path):
    """For training, importing and predicting; and a model that tells spellings apart finds them as before."""
    cells = ["True", "false", "FALSE", "yes", "", "true"]
    write_csv(tmp_path / "t.csv", [[cells[k % 6], "ab"[k % 2]] for k in range(60)], ["a", "b"])
    imported, _, _ = run([tmp_path / "t.csv"], tmp_path / "to", share=0)
    raw = bl.load_dataset(tmp_path / "t.csv")
    trained = bl.Preparation.learn(raw)
    known = ("", "False", "True", "yes")
    assert trained.categories == imported.categories == (known,)
    hot = np.eye(4)[[2, 1, 1, 3, 0, 2]]
    for x in (trained.apply_to(raw).x, trained.apply(load_inputs(tmp_path / "t.csv", trained)),
              bl.load_dataset(tmp_path / "to").x):  # fmt: skip
        assert (np.asarray(x) == np.tile(hot, (10, 1))).all()
    older = replace(trained, categories=(tuple(sorted(cells)),))
    apart = np.eye(6)[[sorted(cells).index(cell) for cell in cells] * 10]
    assert (older.apply_to(raw).x == apart).all()
    assert (older.apply(load_inputs(tmp_path / "t.csv", older)) == apart).all()
