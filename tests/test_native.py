"""The native engine beyond the ladder (test_engines.py): its instruction sets, padding, threads, and bad treatment."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from ladder import NETWORKS, OPTIMIZERS, batch, far, states
from requires import requires

import backlit as bl
from backlit.engines import native, reference

requires("native", native.availability() == "ready", native.availability())

HERE = Path(__file__).parent
CLOSE = {"float64": 1e-11, "float32": 5e-4}


def python(code: str, **environment: str) -> str:
    """What a fresh Python prints."""
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ, **environment}, timeout=120
    )
    assert run.returncode == 0, run.stderr
    return run.stdout


PLAIN = bl.SGD(0.5)


def engine(net, opt=PLAIN, dtype="float64", rows=40, **options):
    """(engine in the middle of training, its State, x, y)"""
    x, y, _ = batch(net, rows)
    x, y = x.astype(dtype), y.astype(dtype)
    state = states(net, opt, dtype)
    return native.Engine(net, opt, state, bl.Dataset(x, y), **options), state, x, y


# --- the same step, whatever the shape -----------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", CLOSE)
@pytest.mark.parametrize("rows", [1, 2, 7, 10, 11, 16, 17, 33])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_at_many_batch_sizes(name, rows, dtype):
    """Widths 100, 20 and 10 make full, half and left-over registers; the batch makes tiles of every height."""
    net, opt = NETWORKS["wide"], OPTIMIZERS[name]
    opened, state, x, y = engine(net, opt, dtype)
    chosen = np.random.default_rng(rows).permutation(40)[:rows]
    loss = opened.advance(chosen[None])[0]
    trace = bl.step(net, opt, state, x[chosen], y[chosen])
    change = opened.state().parameters.astype(float) - state.parameters
    assert far(change, trace.after.parameters.astype(float) - state.parameters) < CLOSE[dtype]
    for slot, values in trace.after.slots.items():
        assert far(opened.state().slots[slot], values) < CLOSE[dtype]
    assert loss == pytest.approx(trace.loss, rel=1e-12 if dtype == "float64" else 3e-6)


@pytest.mark.parametrize("dtype", CLOSE)
@pytest.mark.parametrize("rows", [768, 769, 2500])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_large_batch_is_one_step_though_it_is_gone_through_in_pieces(name, rows, dtype):
    """Two steps of a batch from 40 rows with weights; the sizes of its gradients too."""
    net, opt = NETWORKS["wide"], OPTIMIZERS[name]
    x, y, weights = batch(net, 40)
    state, data = states(net, opt, dtype), bl.Dataset(x.astype(dtype), y.astype(dtype), weights)
    chosen = np.random.default_rng(rows).integers(0, 40, (2, rows))
    opened, plain = (module.Engine(net, opt, state, data) for module in (native, reference))
    (losses, squares), (their_losses, their_squares) = (each.advance_measured(chosen) for each in (opened, plain))
    ours, theirs = opened.state(), plain.state()
    change, their_change = (each.parameters.astype(float) - state.parameters for each in (ours, theirs))
    assert far(change, their_change) < CLOSE[dtype]
    assert all(far(ours.slots[slot], values) < CLOSE[dtype] for slot, values in theirs.slots.items())
    near = 1e-11 if dtype == "float64" else 1e-4
    assert losses == pytest.approx(their_losses, rel=near)
    assert squares == pytest.approx(their_squares, rel=near)


@pytest.mark.parametrize("dtype", CLOSE)
@pytest.mark.parametrize("units", range(1, 40))
def test_every_width(units, dtype):
    """What pads a layer out to whole registers never reaches a result, in ten steps or one."""
    net = bl.Network([37, units, units, 2], hidden=["sigmoid", "softplus"], output="softmax", loss="cross_entropy")
    opt = bl.SGD(0.1, momentum=0.9)
    opened, state, x, y = engine(net, opt, dtype)
    rows = np.random.default_rng(0).integers(0, 40, (10, 5))
    opened.advance(rows)
    expected = state
    for chosen in rows:
        expected = bl.step(net, opt, expected, x[chosen], y[chosen]).after
    assert far(opened.state().parameters, expected.parameters) < (1e-11 if dtype == "float64" else 1e-4)


@pytest.mark.parametrize("dtype", CLOSE)
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("hidden", ["sigmoid", "tanh", "relu", "leaky_relu", "gelu", "softplus", "linear"])
def test_one_row_at_a_time_through_narrow_layers(hidden, optimizer, dtype):
    """Where every layer fits one register, a step of one row takes a way of its own; a longer batch does not."""
    opt = OPTIMIZERS[optimizer]
    for sizes, output, loss in (((2, 3, 1), "sigmoid", "quadratic"), ((3, 4, 4, 2), "softmax", "cross_entropy")):
        net = bl.Network(sizes, hidden=hidden, output=output, loss=loss)
        opened, expected, x, y = engine(net, opt, dtype)
        for chosen in ([3], [1], [2, 5], [1], [7]):
            loss_before = opened.advance(np.array([chosen]))[0]
            trace = bl.step(net, opt, expected, x[chosen], y[chosen])
            expected = trace.after
            assert loss_before == pytest.approx(trace.loss, rel=1e-11 if dtype == "float64" else 1e-4)
        assert far(opened.state().parameters, expected.parameters) < (1e-11 if dtype == "float64" else 1e-4)


@pytest.mark.parametrize("dtype", CLOSE)
@pytest.mark.parametrize("name", NETWORKS)
def test_a_row_alone_gives_the_same_bits(name, dtype):
    """An output depends neither on the rows beside it nor on how many there are."""
    net = NETWORKS[name]
    state, x = states(net, bl.SGD(1.0), dtype), batch(net, 300)[0].astype(dtype)
    together = native.forward(net, state, x)
    for i in (0, 1, 9, 10, 15, 16, 150, 299):
        assert np.array_equal(native.forward(net, state, x[i : i + 1])[0], together[i])
    assert np.array_equal(native.forward(net, state, x[::-1])[::-1], together)
    assert far(together, bl.step(net, bl.SGD(1.0), state, x, np.zeros_like(together)).layers[-1].a) < CLOSE[dtype]


@pytest.mark.parametrize("dtype", CLOSE)
@pytest.mark.parametrize("output", ["sigmoid", "softmax"])
def test_logits_of_a_thousand(output, dtype):
    """Finite losses and right gradients where the outputs are rounded to 0 or 1."""
    loss = "cross_entropy" if output == "softmax" else "binary_cross_entropy"
    net = bl.Network([2, 3], output=output, loss=loss)
    W = np.array([[1000.0, -1000.0, 0.0], [-1000.0, 1000.0, 5.0]])
    state = bl.state_from(net, weights=[W.astype(dtype)], biases=[np.zeros(3, dtype)])
    x, y = np.eye(2, dtype=dtype), np.array([[0, 1, 0], [0, 0, 1]], dtype)
    opened = native.Engine(net, bl.SGD(1.0), state, bl.Dataset(x, y))
    trace = bl.step(net, bl.SGD(1.0), state, x, y)
    assert opened.advance(np.array([[0, 1]]))[0] == pytest.approx(trace.loss, rel=1e-6)
    assert np.isfinite(trace.loss)
    assert far(opened.state().parameters, trace.after.parameters) < 1e-6


@pytest.mark.parametrize("size", [10.0, 1000.0, 10000.0])
def test_losses_keep_their_digits_at_large_logits(size):
    """log(1 + e⁻ᵈ) for logits size and size − d; float32 rounds 1 + e⁻⁵ to 6e-8, which is 1e-5 of the loss."""
    net = bl.Network([1, 2], output="softmax", loss="cross_entropy")
    state = bl.state_from(net, [np.float32([[size, size - 5]])], [np.zeros(2, np.float32)])
    opened = native.Engine(net, bl.SGD(0.0001), state, bl.Dataset(np.float32([[1]]), np.float32([[1, 0]])))
    assert opened.advance(np.array([[0]]))[0] == pytest.approx(np.log1p(np.exp(-5.0)), rel=2e-5)


@pytest.mark.parametrize("form", ["uint8", "float64", "float16", "bool", "strided", "columns", "memmap", "read-only"])
def test_rows_of_any_form(form, tmp_path, monkeypatch):
    """x is converted when it is small, gathered piece by piece when it is not: the same bits."""
    net = NETWORKS["digits"]
    x = np.random.default_rng(0).integers(0, 2, (50, 784)).astype(np.float32)
    y = np.eye(10, dtype=np.float32)[np.arange(50) % 10]
    state, rows = states(net, bl.SGD(1.0), "float32"), np.random.default_rng(1).integers(0, 50, (30, 7))
    plain = native.Engine(net, bl.SGD(1.0), state, bl.Dataset(x, y))
    losses = plain.advance(rows)
    if form == "strided":
        given = np.repeat(x, 2, axis=0)[::2]
    elif form == "columns":
        given = np.asfortranarray(x)
    elif form == "memmap":
        np.save(tmp_path / "x.npy", x.astype(np.uint8))
        given = np.load(tmp_path / "x.npy", mmap_mode="r")
    elif form == "read-only":
        given = x.copy()
        given.flags.writeable = False
    else:
        given = x.astype(form)
    for whole in (native.CONVERT_WHOLE_BYTES, 0):
        monkeypatch.setattr(native, "CONVERT_WHOLE_BYTES", whole)
        monkeypatch.setattr(native, "CONVERT_PIECE_BYTES", 50_000)
        opened = native.Engine(net, bl.SGD(1.0), state, bl.Dataset(given, y))
        assert np.array_equal(opened.advance(rows), losses)
        assert np.array_equal(opened.state().parameters, plain.state().parameters)
        assert np.array_equal(native.forward(net, state, given), native.forward(net, state, x))


# --- numbers at the edge -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_not_hidden(bad):
    for name in ("digits", "wide", "hidden-relu", "hidden-gelu", "hidden-tanh"):
        opened, _, x, _ = engine(NETWORKS[name], dtype="float32")
        x[3, 0] = bad
        loss = opened.advance(np.array([[1, 3]]))[0]
        assert not (np.isfinite(loss) and np.isfinite(opened.state().parameters).all())


def test_the_smallest_numbers_survive_in_the_caller():
    code = """
import numpy as np, backlit as bl
from backlit.engines import native
net = bl.Network([4, 3, 2])
data = bl.Dataset(np.ones((9, 4)), np.ones((9, 2)))
opened = native.Engine(net, bl.Adam(1e-3), bl.initial_state(net, bl.Adam(1e-3)), data)
opened.advance(np.zeros((5, 3), np.int64))
tiny = np.array([5e-324]) * 1.0
print(tiny[0] > 0, 5e-324 / 1 > 0)
"""
    assert python(code).split() == ["True", "True"]


def test_fading_slots_cost_nothing():
    """Moments that fade towards zero become zero instead of the smallest, slow numbers."""
    net = bl.Network([64, 64, 8])
    opened = native.Engine(net, bl.Adam(0.0), _faint(net), bl.Dataset(np.zeros((9, 64)), np.zeros((9, 8))), threads=1)
    opened.advance(np.zeros((400, 3), np.int64))
    slots = np.concatenate([*opened.state().slots.values()])
    assert not ((slots != 0) & (np.abs(slots) < np.finfo(np.float32).tiny)).any()


def _faint(net):
    slots = {name: np.full(net.n_parameters, 1e-37, np.float32) for name in ("first_moment", "second_moment")}
    return bl.State(net.sizes, np.zeros(net.n_parameters, np.float32), slots)


# --- bad treatment -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("threads", [0, -1, 5000, "many", 1.5])
def test_threads_must_be_a_sensible_number(threads, monkeypatch):
    with pytest.raises(bl.BadInput, match=r"threads must be a whole number.*got"):
        engine(NETWORKS["digits"], threads=threads)
    monkeypatch.setenv("BACKLIT_NUM_THREADS", str(threads))
    if threads != 0:
        with pytest.raises(bl.BadInput, match="BACKLIT_NUM_THREADS must be"):
            engine(NETWORKS["digits"])


def test_the_core_itself_refuses_what_would_crash_it():
    """Past engines/native.py, which checks first."""
    opened, _, x, _ = engine(NETWORKS["digits"], dtype="float32")
    core, rows, rates = opened._core, np.zeros((2, 3), np.int64), np.ones(2)
    for bad in ([[40]], [[-1]], [[2**62]]):
        with pytest.raises(bl.BadInput, match="rows must be from 0 to 39"):
            core.advance(x, np.zeros((1, 1), np.int64), np.array(bad), np.ones(1))
        with pytest.raises(bl.BadInput, match="rows must be from 0 to 39"):
            core.advance(x, np.array(bad), np.zeros((1, 1), np.int64), np.ones(1))
    for arguments in ((x[:, :5].copy(), rows, rows, rates), (x, rows[:1], rows, rates), (x, rows, rows, rates[:1])):
        with pytest.raises(bl.BadInput):
            core.advance(*arguments)
    odd = np.frombuffer(b"\0" * (x.nbytes + 1), np.uint8)[1:].view(np.float32).reshape(x.shape)
    with pytest.raises(bl.BadInput, match="aligned"):
        core.advance(odd, rows, rows, rates)
    for arguments in ((x.astype(float), rows, rows, rates), (x[:, ::2], rows, rows, rates), (x, rows.T, rows, rates)):
        with pytest.raises(TypeError):
            core.advance(*arguments)


@pytest.mark.skipif(sys.platform != "linux", reason="a limit of the memory as Linux has it")
def test_a_short_memory_is_an_error_not_a_crash():
    code = """
import resource
import numpy as np, backlit as bl
from backlit.engines import native
net = bl.Network([2, 2**18, 2])
state = bl.State(net.sizes, np.zeros(net.n_parameters, np.float32))
opened = native.Engine(net, bl.SGD(1.0), state, bl.Dataset(np.zeros((4, 2)), np.zeros((4, 2))), threads=1)
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 2**29, used + 2**29))
try:
    opened.advance(np.zeros((1, 700), np.int64))  # its outputs alone: 700 MiB
except MemoryError:
    print("refused", np.isfinite(opened.advance(np.zeros((1, 2), np.int64))).all())
"""
    assert python(code) == "refused True\n"


# --- threads, processes, signals -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["wide", "digits", "mixed", "no-hidden", "one-unit"])
@pytest.mark.parametrize("rows", [3, 40, 400, 2000])
def test_the_same_bits_with_any_number_of_threads(name, rows):
    results = []
    for threads in (1, 2, 3, 8, None):  # None: as many as pay, found out by trying
        opened, *_ = engine(NETWORKS[name], bl.Adam(0.1), "float32", threads=threads)
        steps = 20 if rows < 2000 else 3
        sizes = np.empty(steps)
        losses = opened.advance(np.random.default_rng(0).integers(0, 40, (steps, rows)), None, sizes)
        state = opened.state()
        results.append([losses, sizes, state.parameters, *state.slots.values()])
    for other in results[1:]:
        assert all(np.array_equal(a, b) for a, b in zip(results[0], other, strict=True))


@pytest.mark.parametrize("rows", [1, 239, 1000])
def test_predicting_gives_the_same_bits_with_any_number_of_threads(rows, monkeypatch):
    net = NETWORKS["wide"]
    state, x = states(net, bl.SGD(1.0), "float32"), batch(net, rows)[0].astype("float32")
    results = []
    for threads in "1238":
        monkeypatch.setenv("BACKLIT_NUM_THREADS", threads)
        results.append(bl.predict(net, state, x))
    assert all(np.array_equal(results[0], other) for other in results[1:])


@pytest.mark.parametrize(("allowed", "cores"), [("1", 1), ("many", None), ("0", None), ("4096", None)])
def test_the_cores_that_others_allow(allowed, cores):
    """joblib tells its workers by OMP_NUM_THREADS how many cores each may take; a process reads it once."""
    code = "from backlit.engines.native import usable_cores; print(usable_cores())"
    assert int(python(code, OMP_NUM_THREADS=allowed)) == (cores or len(os.sched_getaffinity(0)))


@pytest.mark.parametrize("kind", ["zero", "dense"])
def test_measured_squares_do_not_depend_on_where_a_call_begins(kind):
    """Where zeros are left out the squares are summed in another order: measured steps never leave them out."""
    net = bl.Network([101, 100, 3], output="softmax", loss="cross_entropy")
    random = np.random.default_rng(0)
    x, y = random.standard_normal((64, 101)).astype("float32"), np.eye(3, dtype="float32")[random.integers(0, 3, 64)]
    x[32:] *= random.random((32, 101)) < 0.125
    rows = np.stack([np.arange(32), np.arange(32, 64)] if kind == "zero" else [np.arange(32, 64), np.arange(32)])
    found = []
    for calls in ([rows], [rows[:1], rows[1:]]):
        opened = native.Engine(net, bl.SGD(0.1), states(net, bl.SGD(0.1), "float32"), bl.Dataset(x, y), threads=1)
        found.append(np.concatenate([opened.advance_measured(call)[1] for call in calls]))
    assert np.array_equal(*found)


def test_a_tiny_epsilon_of_adam_divides_nothing_by_zero():
    net = bl.Network([2, 1])
    x, y = np.array([[1.0, 0.0], [2.0, 0.0]], np.float32), np.array([[1.0], [3.0]], np.float32)
    opened = native.Engine(net, bl.Adam(0.01, epsilon=1e-40), bl.initial_state(net, bl.Adam(0.01)), bl.Dataset(x, y))
    opened.advance(np.array([[0, 1]] * 5))
    assert np.isfinite(opened.state().parameters).all()


def test_engines_in_several_threads_at_once():
    rows = np.random.default_rng(0).integers(0, 40, (300, 20))

    def run(_):
        opened, *_ = engine(NETWORKS["digits"], dtype="float32", threads=2)
        return opened.advance(rows)

    with ThreadPoolExecutor(4) as pool:
        runs = list(pool.map(run, range(8)))
    assert all(np.array_equal(runs[0], other) for other in runs[1:])


def test_one_engine_in_two_threads_is_refused():
    opened, *_ = engine(NETWORKS["digits"], dtype="float32")
    rows = np.zeros((40_000, 20), np.int64)
    worker = threading.Thread(target=opened.advance, args=(rows,))
    worker.start()
    refused = False
    while worker.is_alive() and not refused:
        try:
            opened.state()
        except bl.BadInput as error:
            refused = "one engine per thread" in str(error)
    worker.join()
    assert refused
    opened.state()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_process_goes_on():
    code = """
import os, numpy as np, backlit as bl
from backlit.engines import native
net = bl.Network([300, 200, 10])
data = bl.Dataset(np.random.default_rng(0).random((50, 300)), np.zeros((50, 10)))
opened = native.Engine(net, bl.SGD(0.01), bl.initial_state(net), data, threads=2)
rows = np.random.default_rng(1).integers(0, 50, (20, 30))
opened.advance(rows)
child = os.fork()
losses = opened.advance(rows)
if child:
    print(os.waitpid(child, 0)[1])  # the child has printed by now
print(losses[-1].hex(), flush=True)
if not child:
    os._exit(0)
"""
    of_child, status, of_parent = python(code).split()
    assert status == "0"
    assert of_child == of_parent


@pytest.mark.skipif(os.name != "posix", reason="signals as POSIX has them")
@pytest.mark.parametrize("threads", [1, 2])
def test_ctrl_c_stops_a_long_call_between_two_steps(threads):
    opened, state, *_ = engine(NETWORKS["digits"], dtype="float32", threads=threads)
    sent = []

    def interrupt():
        time.sleep(0.2)
        sent.append(time.perf_counter())
        os.kill(os.getpid(), signal.SIGINT)

    sender = threading.Thread(target=interrupt)
    rows = np.zeros((2_000_000, 10), np.int64)
    rates = np.full(len(rows), 1e-3)
    sender.start()
    with pytest.raises(KeyboardInterrupt):
        opened.advance(rows, rates)
    assert time.perf_counter() - sent[0] < 0.2
    sender.join()
    done = opened.state().step - state.step
    assert 0 < done < len(rows)
    again, *_ = engine(NETWORKS["digits"], dtype="float32", threads=threads)
    again.advance(rows[:done], rates[:done])
    assert np.array_equal(again.state().parameters, opened.state().parameters)


@pytest.mark.skipif(os.name != "posix", reason="signals as POSIX has them")
@pytest.mark.parametrize("threads", [1, 2])
def test_ctrl_c_stops_a_huge_step_as_if_it_had_not_begun(threads):
    net = bl.Network([784, 512, 10], hidden="relu", output="softmax", loss="cross_entropy")
    opened, state, *_ = engine(net, bl.Adam(0.01), "float32", threads=threads)
    huge = np.random.default_rng(0).integers(0, 40, (1, 400_000))  # a step of some seconds
    sender = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
    sender.start()
    start = time.perf_counter()
    with pytest.raises(KeyboardInterrupt):
        opened.advance(huge)
    assert time.perf_counter() - start < 0.3 + 0.2
    assert opened.state().step == state.step
    again, *_ = engine(net, bl.Adam(0.01), "float32", threads=threads)
    for each in (opened, again):
        each.advance(huge[:, :1000])
    assert np.array_equal(opened.state().parameters, again.state().parameters)


# --- instruction sets ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", native.instruction_sets()[1])
def test_the_ladder_with_every_instruction_set(name):
    tests = [str(HERE / name) for name in ("test_engines.py", "test_native.py", "test_native_zeros.py")]
    wanted = "native and (one_step or every_optimizer or large_batch or every_width or alone or same_bits_as)"
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *tests, "-k", f"{wanted} and not instruction_set"],
        env={**os.environ, "BACKLIT_ISA": name},
        capture_output=True,
        text=True,
        cwd=HERE.parent,
    )
    assert run.returncode == 0, run.stdout[-3000:]
    assert "passed" in run.stdout or "100%" in run.stdout


def test_the_instruction_set_is_chosen_by_name():
    code = "from backlit.engines import native; print(native.instruction_sets()[0])"
    for name in native.instruction_sets()[1]:
        assert python(code, BACKLIT_ISA=name).strip() == name
    code = code.replace("print(", "\ntry: print(").replace("[0])", "[0])\nexcept ValueError as e: print(e)")
    assert "one of base" in python(code, BACKLIT_ISA="v9")


def test_the_measured_peak_is_a_number():
    assert native.measured_peak() > 0.5
    assert native.measured_peak("float64") > 0.2
