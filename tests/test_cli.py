"""The command line as people type it: what it prints, its exit codes, and one clear line for every mistake."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys

import numpy as np
import pytest
from refusals import one_line

import backlit as bl
from backlit.cli import COMMANDS


@pytest.fixture
def table(tmp_path):
    """A CSV with two classes told apart by two columns, one of them large, and one constant column."""
    random = np.random.default_rng(0)
    x = random.standard_normal((120, 2))
    path = tmp_path / "points.csv"
    with open(path, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["width", "<b>height</b>", "one", "kind"])
        for a, b in x:
            writer.writerow([f"{a:.4f}", f"{1000 * b:.4f}", 1, "above" if b > a else "below"])
    return path


class TestTheMainJob:
    def test_train_digits_needs_nothing(self, run):
        code, out, err = run("train", "digits")
        assert code == 0
        last = out.splitlines()[-1]
        assert last.startswith("test accuracy ") and last.endswith(" %")
        assert float(last.split()[2]) > 96
        assert " · batch 45/45 · update 45 · loss" in err and "epoch 1/" in err

    def test_train_save_info_evaluate_predict(self, run, table):
        code, out, _ = run("train", table, "--target", "kind", "--save", "m.safetensors", "--hidden", "8")
        assert code == 0
        assert "saved to m.safetensors" in out
        code, out, _ = run("info", "m.safetensors")
        assert "3-8-2 relu softmax, cross_entropy" in out
        assert "above, below" in out and "width, <b>height</b>, one" in out
        code, out, _ = run("evaluate", "m.safetensors", table, "--json")
        found = json.loads(out)
        assert found["rows"] == 120 and found["value"] > 0.9
        code, out, _ = run("predict", "m.safetensors", table)
        rows = list(csv.DictReader(out.splitlines()))
        truth = [row["kind"] for row in csv.DictReader(table.read_text().splitlines())]
        assert np.mean([row["kind"] == t for row, t in zip(rows, truth, strict=True)]) == found["value"]
        assert float(rows[0]["probability above"]) + float(rows[0]["probability below"]) == pytest.approx(1, abs=1e-5)

    def test_the_saved_scaling_is_that_of_the_training_part(self, run, table):
        run("train", table, "--target", "kind", "--save", "m.safetensors", "--quiet")
        preparation = bl.load_preparation("m.safetensors")
        train, _ = bl.load_dataset(table, "kind").split(0.8, 0)
        np.testing.assert_allclose(preparation["mean"], train.x.mean(axis=0), rtol=1e-12, atol=1e-12)

    def test_predict_without_the_target_in_another_order(self, run, table):
        run("train", table, "--target", "kind", "--save", "m.safetensors", "--quiet")
        rows = list(csv.DictReader(table.read_text().splitlines()))
        names = ["one", "<b>height</b>", "width"]
        with open("new.csv", "w", newline="") as file:
            writer = csv.DictWriter(file, names, extrasaction="ignore")
            writer.writeheader()
            writer.writerows(rows)
        assert run("predict", "m.safetensors", "new.csv")[1] == run("predict", "m.safetensors", table)[1]

    def test_numbers_come_back_in_their_own_unit(self, run):
        code, out, _ = run("train", "diabetes", "--save", "m.safetensors", "--quiet")
        assert code == 0
        assert out.splitlines()[-1].startswith("test R² 0.")
        code, out, err = run("predict", "m.safetensors", "diabetes", "--output", "p.csv")
        assert "442 rows written" in err
        values = np.loadtxt("p.csv", skiprows=1)
        truth = bl.load_dataset("diabetes").y
        assert values.mean() == pytest.approx(truth.mean(), rel=0.1)
        assert np.corrcoef(values, truth)[0, 1] > 0.6

    def test_json(self, run, table):
        code, out, err = run("train", table, "--target", "kind", "--json", "--epochs", "4", "--validation", "0.2")
        found = json.loads(out)
        assert found["score"] == "accuracy"
        assert found["history"]["epoch"] == [1, 2, 3, 4]
        assert len(found["history"]["validation_loss"]) == 4
        assert json.loads(run("data", "--json")[1])["datasets"][0]["name"] == "digits"
        assert json.loads(run("info", "--json")[1])["engine reference"] == "ready"

    def test_info_tells_of_the_processor(self, run, monkeypatch):
        from backlit.engines import native

        if native.availability() != "ready":
            code, _, err = run("info", "--cpu")
            assert code == 1 and "compiled core" in err
            return
        monkeypatch.setenv("BACKLIT_NUM_THREADS", "2")
        code, out, _ = run("info", "--cpu", "--json")
        found = json.loads(out)
        assert (found["instruction_set"], tuple(found["instruction_sets"])) == native.instruction_sets()
        assert found["threads"] == 2 and found["cores"] >= 1
        assert found["peak_gflops"]["float32"] > found["peak_gflops"]["float64"] > 0
        code, out, _ = run("info", "--cpu")
        assert code == 0 and "GFLOP/s in float32" in out and found["processor"] in out
        assert run("info", "--cpu", "m.safetensors")[0] == 2

    def test_info_gives_lists_as_lists_to_machines(self, run, table):
        run("train", table, "--target", "kind", "--save", "m.safetensors", "--quiet")
        found = json.loads(run("info", "m.safetensors", "--json")[1])
        assert found["classes"] == ["above", "below"] and found["columns"] == ["width", "<b>height</b>", "one"]

    def test_the_seed_decides(self, run, table):
        a, b, c = (run("train", table, "--seed", seed, "--json")[1] for seed in (1, 1, 2))
        assert a == b != c

    def test_early_stopping_and_engines(self, run, table):
        code, out, _ = run("train", table, "--early-stopping", "2", "--epochs", "200", "--json", "--rate", "0.3")
        assert code == 0
        assert len(json.loads(out)["history"]["epoch"]) < 200
        code, out, _ = run("train", table, "--engine", "finite_differences", "--hidden", "2", "--epochs", "2")
        assert code == 0
        plain = ["--optimizer", "sgd", "--momentum", "0.9", "--schedule", "constant"]
        code, out, _ = run("train", table, "--hidden", "0", *plain)
        assert code == 0

    def test_step(self, run):
        code, out, _ = run("step", "iris", "--batch", "2")
        assert code == 0
        assert "delta" in out

    def test_a_module_and_a_script(self):
        for command in ([sys.executable, "-m", "backlit"], [os.path.join(os.path.dirname(sys.executable), "backlit")]):
            found = subprocess.run([*command, "--version"], capture_output=True, text=True, check=True)
            assert found.stdout == f"backlit {bl.__version__}\n"

    @pytest.mark.parametrize("redirect", [">&-", "2>&-", ">&- 2>&-"])
    def test_closed_streams(self, redirect):
        command = f"{sys.executable} -m backlit train iris --epochs 2 {redirect}"
        found = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
        assert "Traceback" not in found.stderr and "backlit:" not in found.stderr

    @pytest.mark.parametrize("argv", [["data"], ["step", "iris"], ["train", "diabetes", "--epochs", "1"]])
    def test_terminals_that_know_no_mathematics(self, argv):
        environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
        command = [sys.executable, "-m", "backlit", *argv]
        found = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        assert "backlit:" not in found.stderr

    def test_a_test_part_of_its_own_is_scaled_like_the_rest(self, run, tmp_path):
        data = bl.load_dataset("breast_cancer")
        train, test = data.split(0.8, 0)
        parts = {"x_train": train.x, "y_train": train.y, "x_test": test.x, "y_test": test.y}
        np.savez(tmp_path / "parts.npz", **parts)
        code, out, _ = run("train", "parts.npz", "--json", "--quiet")
        assert json.loads(out)["test_score"] > 0.95

    @pytest.mark.parametrize("command", ["", *COMMANDS])
    def test_help(self, run, command):
        code, out, _ = run(*command.split(), "--help")
        assert code == 0
        assert out.startswith("Usage: backlit")


class TestMistakes:
    @pytest.mark.parametrize(
        ("argv", "told"),
        [
            (["train", "digit"], "digits"),
            (["train", "nothing.csv"], "nothing.csv"),
            (["train", "iris", "--engine", "warp"], "--engine: the engine must be auto or one of native, reference"),
            (["train", "iris", "--rate", "-1"], "--rate"),
            (["train", "iris", "--rate", "nan"], "--rate"),
            (["train", "iris", "--validation", "0"], "--validation"),
            (["train", "iris", "--weight-decay", "0.1", "--optimizer", "sgd"], "--weight-decay"),
            (["train", "iris", "--save", "/proc/m"], "--save"),
            (["train", "iris", "--hidden", "10000000000000000000"], "parameters"),
            (["train", "iris", "--validation", "1.5"], "--validation"),
            (["train", "iris", "--momentum", "0.5"], "--momentum"),
            (["train", "iris", "--save", "no/such/folder/m"], "--save"),
            (["train", "iris", "--save", "."], "--save"),
            (["train", "iris", "--target", "x"], "target"),
            (["train", "iris", "--weight-decay", "-1"], "weight_decay"),
            (["train", "diabetes", "--optimizer", "sgd", "--rate", "1e9", "--schedule", "constant"], "left the finite"),
            (["predict", "missing", "iris"], "missing"),
            (["evaluate", "missing", "iris"], "missing"),
            (["info", "missing"], "missing"),
            (["step", "missing.npz"], "missing.npz"),
        ],
    )
    def test_our_errors_are_one_line_and_exit_code_1(self, run, argv, told):
        code, out, err = run(*argv)
        assert code == 1
        last = err.strip().splitlines()[-1]
        assert last.startswith("backlit: ") and told in last
        assert "Traceback" not in err

    @pytest.mark.parametrize(
        ("content", "told"),
        [
            (b"", "empty"),
            (b"a,b\n", "no rows"),
            (b"a,b\n1,x\n2,\xff\n", "UTF-8"),
            (b"a,b\n1,2\n1\n", "line 3"),
            (b"a,b\n2,nan\n2,0\n", "line 2"),
            (b"a,b\n1,0\nx,1\n", "line 3"),
            (b"a,b\n1,yes\n2,yes\n", "two classes"),
        ],
    )
    def test_bad_tables(self, run, tmp_path, content, told):
        (tmp_path / "bad.csv").write_bytes(content)
        code, out, err = run("train", "bad.csv")
        assert code == 1 and one_line(err)
        assert told in err and "bad.csv" in err

    @pytest.mark.parametrize(
        "argv", [["fly"], ["train"], ["train", "iris", "--hidden", "x"], ["train", "iris", "--epochs", "0"], ["--fly"],
         ["train", "iris", "--keep", "2"]]
    )
    def test_misuse_is_exit_code_2(self, run, argv):
        code, out, err = run(*argv)
        assert code == 2
        assert "Usage" in err

    def test_an_error_of_ours_inside_is_one_line_too(self, run, monkeypatch):
        monkeypatch.setattr("backlit.cli.info.available_engines", lambda: 1 / 0)
        code, _, err = run("info")
        assert code == 1 and one_line(err)
        assert "BACKLIT_TRACEBACK=1" in err

    def test_a_model_without_a_preparation(self, run):
        net = bl.Network([4, 3])
        bl.save("m", net, bl.SGD(1.0), bl.initial_state(net))
        code, _, err = run("predict", "m", "iris")
        assert code == 1 and one_line(err)
        assert "preparation" in err

    @pytest.mark.parametrize("first", ["train", "save"])
    def test_ctrl_c_while_it_saves_loses_nothing(self, run, table, monkeypatch, first):
        """Whoever is impatient presses again; whoever presses late has trained for hours."""
        from backlit.cli import train
        from backlit.observers import display

        def interrupt(self, progress):
            if first == "train":
                signal.raise_signal(signal.SIGINT)

        def save(*given, **more):
            signal.raise_signal(signal.SIGINT)
            bl.save(*given, **more)

        monkeypatch.setattr(display.Display, "__call__", interrupt)
        monkeypatch.setattr(train, "save", save)
        code, _, err = run("train", table, "--save", "m", "--checkpoint", "c")
        assert code == 130 and "interrupted" in err
        assert bl.load("m")[2].step > 0 and len(os.listdir("c")) == 2  # one and its .lock

    def test_a_last_checkpoint_that_is_not_written_is_a_failure(self, run, table, monkeypatch):
        def full(path, content):
            if path.name != ".probe":
                raise OSError(28, "No space left on device")
            path.write_bytes(content)

        monkeypatch.setattr("backlit.observers.checkpoints.write_whole", full)
        code, out, err = run("train", table, "--checkpoint", "c", "--quiet")
        assert code == 1 and out.startswith("test accuracy")
        assert "No space left on device. It was the last one: --resume (resume=True) begins anew." in err
        assert "Training goes on" not in err

    def test_ctrl_c_inside_another_error(self, run, monkeypatch):
        """Python 3.11 wraps what __set_name__ raises: "Error calling __set_name__ on 'Field' instance ..."."""

        def interrupted():
            try:
                raise KeyboardInterrupt
            except KeyboardInterrupt as error:
                raise RuntimeError("Error calling __set_name__") from error

        monkeypatch.setattr("backlit.cli.info.available_engines", interrupted)
        code, out, err = run("info")
        assert (code, out, err) == (130, "", "interrupted\n")

    def test_ctrl_c_while_the_command_is_being_loaded(self, tmp_path):
        """click, the first that is loaded, presses it."""
        (tmp_path / "click.py").write_text("import signal\nsignal.raise_signal(signal.SIGINT)\n")
        done = subprocess.run([sys.executable, "-m", "backlit", "info"], capture_output=True, text=True,
                              env=os.environ | {"PYTHONPATH": str(tmp_path)})  # fmt: skip
        assert (done.returncode, done.stderr) == (130, "interrupted\n")

    def test_an_interrupted_run_is_saved_and_says_so(self, run, table, monkeypatch):
        from backlit.observers import display

        def interrupt(self, progress):
            if progress.epoch == 3:
                raise KeyboardInterrupt

        monkeypatch.setattr(display.Display, "__call__", interrupt)
        code, out, err = run("train", table, "--save", "m")
        assert code == 130
        assert "interrupted" in err and "test accuracy" in out
        assert bl.load("m")[2].step > 0

    def test_a_reader_that_goes_away(self, tmp_path):
        command = f"set -o pipefail; {sys.executable} -m backlit predict m big.npy | head -1"
        np.save(tmp_path / "big.npy", np.zeros((50_000, 4)))
        net = bl.Network([4, 3], output="softmax", loss="cross_entropy")
        data = bl.load_dataset("iris")
        preparation = bl.Preparation.learn(data)
        bl.save(tmp_path / "m", net, bl.SGD(1.0), bl.initial_state(net), preparation=preparation.to_record())
        found = subprocess.run(["bash", "-c", command], capture_output=True, text=True, cwd=tmp_path, check=True)
        assert found.stderr == ""
        assert found.stdout.count("\n") == 1
