"""The loop: order, resuming, watching, interruption; and fit with its observers."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ladder import NETWORKS, OPTIMIZERS, batch

import backlit as bl
from backlit.batches import cut, epoch_rows, steps_per_epoch

NET = NETWORKS["no-hidden"]
DATA = batch(NET, 53)


def final(**options) -> bl.State:
    options = {"batch_size": 10, "epochs": 6, "seed": 4, **options}
    opt = options.pop("opt", bl.Adam(0.05))
    *_, last = bl.train(NET, opt, DATA, **options)
    return last.state()


@pytest.mark.parametrize("engine", ["native", "reference"])
@pytest.mark.parametrize("row", [3, 40, 63])
def test_a_row_of_a_file_that_holds_nan_is_named(tmp_path, engine, row):
    """Files are not looked through before; a smaller rate would not help."""
    if bl.available_engines()[engine] != "ready":
        pytest.skip(bl.available_engines()[engine])
    x = np.random.default_rng(0).standard_normal((64, 3))
    x[row, 1] = np.nan
    np.save(tmp_path / "x.npy", x)
    data = np.load(tmp_path / "x.npy", mmap_mode="r"), np.zeros((64, 1))
    with pytest.raises(bl.Diverged, match=f"Row {row} of x .from 0. holds NaN or infinity: fill it") as error:
        bl.fit(bl.Network([3, 1]), bl.SGD(0.1), data, epochs=1, batch_size=8, engine=engine, progress=False)
    assert "smaller" not in str(error.value)
    assert np.isfinite(error.value.state.parameters).all()


def test_nothing_left_to_train_is_told(capsys):
    net, data = bl.Network([2, 1]), (np.zeros((8, 2)), np.zeros((8, 1)))
    state, _ = bl.fit(net, bl.SGD(0.1), data, epochs=3, progress=False)
    again, history = bl.fit(net, bl.SGD(0.1), data, epochs=2, state=state)
    assert again.step == 3 and history.epoch == []
    told = capsys.readouterr().err
    assert told == (
        "nothing was left to train: the state has 3 updates behind it, and epochs=2, the total, makes no more.\n"
    )
    bl.fit(net, bl.SGD(0.1), data, epochs=2, state=state, progress=False)
    assert capsys.readouterr().err == ""


class TestOrder:
    @given(st.integers(1, 200), st.integers(1, 210), st.integers(0, 2**32), st.integers(0, 1000))
    def test_every_row_once_an_epoch_in_batches_of_one_length(self, n, size, seed, epoch):
        rows = epoch_rows(n, seed, epoch)
        assert sorted(rows) == list(range(n))
        assert np.array_equal(rows, epoch_rows(n, seed, epoch)), "a function of (seed, epoch)"
        blocks = cut(rows, size, 0)
        assert np.array_equal(np.concatenate([block.ravel() for block in blocks]), rows)
        assert sum(len(block) for block in blocks) == steps_per_epoch(n, size)
        assert all(block.shape[1] == size for block in blocks[:-1])

    @given(st.integers(1, 60), st.integers(1, 20), st.data())
    def test_the_rest_of_an_epoch(self, n, size, data):
        rows = np.arange(n)
        first = data.draw(st.integers(0, steps_per_epoch(n, size)))
        found = np.concatenate([np.empty(0, int), *(block.ravel() for block in cut(rows, size, first))])
        assert np.array_equal(found, rows[first * size :])

    def test_epochs_and_seeds_differ(self):
        assert not np.array_equal(epoch_rows(50, 0, 0), epoch_rows(50, 0, 1))
        assert not np.array_equal(epoch_rows(50, 0, 0), epoch_rows(50, 1, 0))

    def test_as_given_and_by_a_function(self):
        as_given = final(order="as_given")
        assert np.array_equal(final(order=lambda epoch: range(53)).parameters, as_given.parameters)
        assert not np.array_equal(final().parameters, as_given.parameters)

    @pytest.mark.parametrize(
        "order",
        ["random", 3, *(lambda e, rows=rows: rows for rows in ([53], [-1], [0.5], [], [[0]])), lambda e: [0] * (e + 1)],
    )
    def test_an_odd_order_is_refused(self, order):
        with pytest.raises(bl.BadInput, match="order"):
            final(order=order)


class TestResuming:
    """A run cut anywhere and continued gives the bits of the run that was never cut."""

    @pytest.mark.parametrize("name", OPTIMIZERS)
    def test_more_epochs(self, name):
        opt = OPTIMIZERS[name]
        at_once = final(opt=opt)
        continued = final(opt=opt, state=final(opt=opt, epochs=2))
        assert np.array_equal(at_once.parameters, continued.parameters)
        assert at_once.epoch_losses == continued.epoch_losses

    def test_in_the_middle_of_an_epoch(self):
        at_once = final()
        for stop in (1, 7, 11, 20):
            for p in bl.train(NET, bl.Adam(0.05), DATA, batch_size=10, epochs=6, seed=4, watch=[stop]):
                if p.step == stop:
                    part = p.state()
                    break
            continued = final(state=part)
            assert np.array_equal(at_once.parameters, continued.parameters)
            assert at_once.epoch_losses == continued.epoch_losses
            assert at_once.step == continued.step

    def test_a_schedule_that_depends_on_the_losses(self):
        opt = bl.SGD(lambda step, losses: 0.5 if len(losses) < 2 or losses[-1] < losses[-2] - 0.05 else 0.1)
        assert np.array_equal(final(opt=opt).parameters, final(opt=opt, state=final(opt=opt, epochs=3)).parameters)

    def test_nothing_left_to_do(self):
        state = final()
        assert list(bl.train(NET, bl.Adam(0.05), DATA, batch_size=10, epochs=6, state=state)) == []


class TestProgress:
    def test_it_speaks_in_full(self):
        run = list(bl.train(NET, bl.SGD(0.1), DATA, batch_size=10, epochs=2, watch=range(12)))
        assert str(run[7]) == "epoch 2 · batch 2/6 · update 8"
        assert [p.epoch_loss is not None for p in run] == ([False] * 5 + [True]) * 2

    def test_the_epoch_loss_is_the_mean_over_its_rows(self):
        """53 rows in batches of 10: the last batch has 3 rows, and counts as 3."""
        run = list(bl.train(NET, bl.SGD(0.1), DATA[:2], batch_size=10, epochs=1))
        losses = np.concatenate([p.losses for p in run])
        assert run[-1].epoch_loss == pytest.approx((10 * losses[:5].sum() + 3 * losses[5]) / 53, rel=1e-14)

    def test_a_watched_step_can_be_traced(self):
        opt = bl.Adam(bl.Cosine(0.1, 12))
        run = bl.train(NET, opt, DATA, batch_size=10, epochs=2, watch=[0, 7, 11])
        records = [w for p in run for w in p.watched]
        assert [w.step for w in records] == [0, 7, 11] == [w.before.step for w in records]
        for w in records:
            x, y, s = DATA
            trace = bl.step(NET, opt, w.before, x[w.rows], y[w.rows], sample_weight=s[w.rows])
            assert np.array_equal(w.trace().after.parameters, trace.after.parameters)
            assert w.difference == np.abs(trace.after.parameters - w.after.parameters).max() < 1e-6

    def test_the_state_is_a_copy_that_stays(self):
        run = bl.train(NET, bl.SGD(0.5), DATA, batch_size=10, epochs=2, watch=range(12))
        states = [(p.step, p.state()) for p in run]
        assert [s.step for _, s in states] == [step for step, _ in states] == list(range(1, 13))
        assert not np.array_equal(states[0][1].parameters, states[1][1].parameters)
        with pytest.raises(ValueError):
            states[0][1].parameters[0] = 1

    def test_nothing_given_is_changed(self):
        x, y, s = (array.copy() for array in DATA)
        state = bl.initial_state(NET)
        kept = state.parameters.copy()
        list(bl.train(NET, bl.SGD(0.5), (x, y, s), epochs=2, state=state))
        assert np.array_equal(state.parameters, kept)
        assert all(np.array_equal(a, b) for a, b in zip((x, y, s), DATA, strict=True))


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"batch_size": 0}, "batch_size"),
        ({"batch_size": 2.5}, "batch_size"),
        ({"epochs": -1}, "epochs"),
        ({"epochs": True}, "epochs"),
        ({"seed": -1}, "seed"),
        ({"watch": [36]}, "0 to 35"),
        ({"watch": [-1]}, "watch"),
        ({"watch": ["a"]}, "watch"),
        ({"watch": 5}, "watch"),
        ({"opt": "sgd"}, "optimizer"),
        ({"opt": bl.SGD(lambda step, losses: None)}, "rate"),
        ({"engine": "gpu"}, "engine"),
        ({"state": bl.initial_state(bl.Network([3, 2]))}, "sizes"),
        ({"state": "state"}, "bl.State"),
        ({"opt": bl.SGD(lambda step, losses: float("nan"))}, "rate"),
    ],
)
def test_mistakes_are_told_in_one_line(options, told):
    with pytest.raises(bl.BadInput, match=told) as error:
        final(**options)
    assert "\n" not in str(error.value)


class TestDiverged:
    def test_back_to_the_last_finite_state_even_long_ago(self, monkeypatch):
        """The parameters become infinite while the loss, behind a saturated sigmoid, stays finite for a while."""
        monkeypatch.setattr("backlit.training.KEEP_EVERY", 0.0)
        net = bl.Network([1, 1, 1], hidden="tanh", output="linear")
        x = np.array([[1e3]])
        with pytest.raises(bl.Diverged) as error:
            list(bl.train(net, bl.SGD(1.5), (x, x), epochs=5000))
        state = error.value.state
        assert np.isfinite(state.parameters).all()
        assert np.isfinite(bl.evaluate(net, state, (x, x))[0])

    def test_from_the_first_step(self):
        net = bl.Network([1, 1])
        state = bl.state_from(net, [[[1e200]]])
        with pytest.raises(bl.Diverged, match="already inf") as error:
            list(bl.train(net, bl.SGD(1.0), ([[1.0]], [[0.0]]), state=state))
        assert error.value.state.step == 0

    def test_it_can_be_pickled(self):
        import pickle

        error = pickle.loads(pickle.dumps(bl.Diverged("text", state=3)))
        assert (str(error), error.state) == ("text", 3)


    def test_parameters_that_leave_first_while_the_loss_stays_finite(self):
        """Behind a saturated sigmoid the loss stays finite while a weight runs to infinity: found by halves."""
        net = bl.Network([1, 1], output="sigmoid", loss="binary_cross_entropy")
        x, y = np.array([[1e4], [-1e4]]), np.array([[0.0], [0.0]])
        with pytest.raises(bl.Diverged) as error:
            list(bl.train(net, bl.SGD(1e36), (x, y), batch_size=1, epochs=3000, order="as_given"))
        state = error.value.state
        assert np.isfinite(state.parameters).all()
        with np.errstate(all="ignore"):
            trace = bl.step(net, bl.SGD(1e36), state, *(array[state.step % 2 :][:1] for array in (x, y)))
            after = bl.evaluate(net, trace.after, (x, y))[0]
        assert not (np.isfinite(trace.after.parameters).all() and np.isfinite(after))


class TestInterrupt:
    def test_at_any_line_of_the_loop(self):
        """Ctrl-C at every 7th line that runs in training.py: what is left resumes to the bits of the whole run."""
        expected = final(engine="reference", epochs=2)
        where = 0
        while True:
            where += 7
            lines = 0

            def interrupt(frame, event, _, where=where):
                nonlocal lines
                if frame.f_code.co_filename.endswith("backlit/training.py"):
                    lines += event == "line"
                    if event == "line" and lines == where:
                        raise KeyboardInterrupt
                    return interrupt
                return None

            run = bl.train(NET, bl.Adam(0.05), DATA, batch_size=10, epochs=2, seed=4, engine="reference")
            seen = []
            sys.settrace(interrupt)
            try:
                seen.extend(run)
                finished = True
            except KeyboardInterrupt:
                finished = False
            finally:
                sys.settrace(None)
            resumed = seen[-1].state() if seen else None
            if resumed is None or resumed.step < expected.step:
                resumed = final(engine="reference", epochs=2, state=resumed)
            assert np.array_equal(resumed.parameters, expected.parameters), where
            assert resumed.epoch_losses == expected.epoch_losses, where
            if finished:
                break
        assert where > 200

    def test_fit_keeps_the_state_of_the_last_finished_step(self, capsys):
        def stop_at_nine(progress):
            if progress.step >= 9:
                raise KeyboardInterrupt

        state, history = bl.fit(NET, bl.Adam(0.05), DATA, batch_size=10, epochs=6, seed=4, observers=[stop_at_nine])
        assert history.interrupted
        assert state.step >= 9
        assert f"update {state.step}" in capsys.readouterr().err
        assert np.array_equal(final(state=state).parameters, final().parameters)

    def test_inside_the_engine(self, monkeypatch):
        """Ctrl-C in the middle of a stretch: the engine came further than its losses did; the record is made good."""
        from backlit.engines import reference

        step, steps = reference.Engine._step, []

        def interrupted(self, batch, rate):
            steps.append(rate)
            if len(steps) == 16:
                raise KeyboardInterrupt
            return step(self, batch, rate)

        monkeypatch.setattr(reference.Engine, "_step", interrupted)
        options = {"batch_size": 10, "epochs": 6, "seed": 4, "engine": "reference"}
        state, history = bl.fit(NET, bl.Adam(0.05), DATA, progress=False, **options)
        assert history.interrupted
        assert state.step == 15
        assert len(state.epoch_losses) == 2
        continued = final(state=state, engine="reference")
        assert np.array_equal(continued.parameters, final(engine="reference").parameters)
        assert continued.epoch_losses == final(engine="reference").epoch_losses

    def test_where_several_hosts_train_no_second_engine_is_opened(self, monkeypatch):
        """Ctrl-C on one host between the engine's steps and their record: the other hosts replay nothing with it."""
        from backlit.engines import reference

        opened, advance, calls = [], reference.Engine.advance, []

        def interrupted(self, rows, rates, squared_weights):
            losses = advance(self, rows, rates, squared_weights)
            calls.append(losses)
            if len(calls) == 4:
                raise KeyboardInterrupt
            return losses

        class Steady(reference.Engine):
            steady = 4

            def __init__(self, *given):
                super().__init__(*given)
                opened.append(self)

        monkeypatch.setattr(reference, "Engine", Steady)
        monkeypatch.setattr(Steady, "advance", interrupted)
        options = {"batch_size": 10, "epochs": 6, "seed": 4, "engine": "reference"}
        state, history = bl.fit(NET, bl.Adam(0.05), DATA, progress=False, **options)
        assert history.interrupted and len(opened) == 1
        assert opened[0].state().step == 10 and state.step == 6, "4 + 1 + 1 updates are recorded, 4 aren't"
        assert len(state.epoch_losses) == 1
        monkeypatch.undo()
        whole = final(engine="reference")
        assert np.array_equal(final(state=state, engine="reference").parameters, whole.parameters)


def test_reports_come_at_the_multiples_and_at_each_epochs_end(monkeypatch):
    """Whatever the clock does: one that stands lets the loop's calls grow, one that runs cuts them short."""
    from backlit import training

    for clock in (lambda: 0.0, iter(range(10**6)).__next__):
        monkeypatch.setattr(training, "perf_counter", clock)
        for every in (1, 4, 7):
            steps = [p.step for p in bl.train(NET, bl.SGD(0.1), DATA, batch_size=1, epochs=3, reports_every=every)]
            assert {*range(every, 160, every), 53, 106, 159} <= set(steps)
            assert steps == sorted(set(steps)) and np.diff([0, *steps]).max() <= every


def test_weighted_batches_count_by_their_rows_in_the_loss_of_an_epoch():
    """As scikit-learn reports it; evaluate divides by the weights of all rows instead."""
    x, y, _ = DATA
    s = np.linspace(0.1, 5.0, 53)
    options = {"batch_size": 20, "epochs": 1, "order": "as_given", "progress": False}
    state = bl.initial_state(NET, seed=1, dtype="float64")
    parts = [np.arange(0, 20), np.arange(20, 40), np.arange(40, 53)]
    losses = [bl.step(NET, bl.SGD(0.0), state, x[rows], y[rows]).example_losses for rows in parts]
    expected = sum(len(rows) * np.average(loss, weights=s[rows]) for loss, rows in zip(losses, parts, strict=True)) / 53
    _, history = bl.fit(NET, bl.SGD(0.0), bl.Dataset(x, y, s), state=state, **options)
    assert history.loss == pytest.approx([expected])
    overall = np.average(np.concatenate(losses), weights=s)
    assert bl.evaluate(NET, state, bl.Dataset(x, y, s))[0] == pytest.approx(overall)
    assert abs(overall - expected) > 1e-3 * expected, "they differ"


class TestFit:
    def test_history_is_plain_lists(self):
        state, history = bl.fit(NET, bl.SGD(bl.StepDecay(0.5, every=6)), DATA, batch_size=10, epochs=3, progress=False)
        assert history.epoch == [1, 2, 3]
        assert history.loss == list(state.epoch_losses)
        assert history.rate == pytest.approx([0.5, 0.05, 0.005])
        assert history.validation_loss == history.validation_score == []

    def test_early_stopping_puts_the_best_state_back(self):
        random = np.random.default_rng(0)
        x, y = random.standard_normal((30, 7)), random.integers(0, 3, 30)  # nothing to learn: it overfits
        held = random.standard_normal((30, 7)), random.integers(0, 3, 30)
        options = {"validation": held, "batch_size": 5, "epochs": 500, "progress": False}
        state, history = bl.fit(NET, bl.Adam(0.1), (x, y), early_stopping=bl.EarlyStopping(patience=4), **options)
        best = int(np.argmin(history.validation_loss))
        assert len(history.epoch) == best + 1 + 4 < 500
        assert state.step == (best + 1) * 6
        assert bl.evaluate(NET, state, held)[0] == history.validation_loss[best]
        by_number, _ = bl.fit(NET, bl.Adam(0.1), (x, y), early_stopping=4, **options)
        assert np.array_equal(by_number.parameters, state.parameters)

    @pytest.mark.parametrize("wrong", [0, 2.5, "five", bl.EarlyStopping])
    def test_odd_early_stopping(self, wrong):
        with pytest.raises(bl.BadInput, match="patience"):
            bl.fit(NET, bl.SGD(0.1), DATA, validation=DATA, early_stopping=wrong)

    def test_early_stopping_needs_validation(self):
        with pytest.raises(bl.BadInput, match=r"validation=\(x, y\)"):
            bl.fit(NET, bl.SGD(0.1), DATA, early_stopping=3)

    def test_a_state_from_other_data_or_batches_is_not_taken_silently(self):
        state = final(epochs=2)
        for options in ({"batch_size": 20}, {"batch_size": 5}):
            with pytest.raises(bl.BadInput, match=r"2 epochs and 12 updates.*state\.anew\(\)"):
                final(state=state, **options)
        anew = final(state=state.anew(), batch_size=20)
        assert anew.step == 6 * 3
        assert len(anew.epoch_losses) == 6

    def test_what_does_not_fit_is_told_before_an_epoch(self):
        x, y, s = DATA
        for validation in ((x[:, :2], y), (x, y[:, :2])):
            with pytest.raises(bl.BadInput, match="shape"):
                bl.fit(NET, bl.SGD(0.1), DATA, validation=validation, observers=[lambda p: pytest.fail("too late")])

    def test_an_observer_may_compare_numpy_numbers(self):
        state, _ = bl.fit(NET, bl.SGD(0.1), DATA, observers=[lambda p: p.losses[-1] < 1e9], progress=False)
        assert state.step == 1

    @pytest.mark.parametrize("engine", ["reference", "auto"])
    def test_a_batch_in_which_nothing_weighs_changes_nothing(self, engine):
        x, y, _ = DATA
        s = np.r_[np.ones(10), np.zeros(43)]
        opt = bl.SGD(0.5, l2=0.1, l2_over="batch")
        options = {"batch_size": 10, "order": "as_given", "epochs": 1, "engine": engine}
        *_, last = bl.train(NET, opt, (x, y, s), **options)
        first = bl.step(NET, opt, bl.initial_state(NET, opt), x[:10], y[:10]).after
        assert last.step == 6
        np.testing.assert_allclose(last.state().parameters, first.parameters, atol=1e-6)
        assert last.epoch_loss == pytest.approx(10 * bl.evaluate(NET, bl.initial_state(NET), (x[:10], y[:10]))[0] / 53)

    def test_observers_see_everything_and_may_end_it(self):
        seen = []
        state, _ = bl.fit(
            NET,
            bl.SGD(0.1),
            DATA,
            epochs=9,
            progress=False,
            observers=[seen.append, lambda p: p.epoch == 2 and p.epoch_loss is not None],
        )
        assert seen[-1].epoch == 2
        assert state.step == 4

    def test_lines_where_there_is_no_terminal(self, capsys):
        bl.fit(NET, bl.SGD(0.1), DATA, validation=DATA, epochs=2)
        out, err = capsys.readouterr()
        assert out == ""
        lines = err.splitlines()
        assert len(lines) == 2
        assert lines[1].startswith("epoch 2/2 · batch 2/2 · update 4 · loss ")
        assert "validation loss" in lines[1]

    def test_a_bar_on_a_terminal(self, monkeypatch, capsys):
        monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
        monkeypatch.setenv("TERM", "xterm")
        bl.fit(NET, bl.SGD(0.1), DATA, epochs=2)
        assert "epoch 2/2 · batch 2/2" in capsys.readouterr().err


def test_losses_just_below_infinity_are_no_warning():
    """A loss of 1e307 times 100 rows is beyond float64: what comes of it is told by Diverged, or not at all."""
    x, y = np.zeros((200, 1)), np.full((200, 1), 10**153.5)
    run = bl.train(bl.Network([1, 1], loss="squared_error"), bl.SGD(0.0), (x, y), batch_size=100, epochs=1,
                   state=bl.initial_state(bl.Network([1, 1]), dtype="float64"))  # fmt: skip
    assert np.concatenate([progress.losses for progress in run]) == pytest.approx([1e307, 1e307])


@pytest.mark.parametrize("noise", [False, True])
def test_the_size_of_the_weights_before_each_step(noise):
    options = {"batch_size": 16, "epochs": 2, "seed": 3}
    told = bl.train(NET, bl.Adam(0.05), DATA, **options, noise=noise, squared_weights=True)
    sizes = [progress.squared_weights for progress in told]
    state, states = bl.initial_state(NET, bl.Adam(0.05), seed=3), []
    states.append(state)
    for progress in bl.train(NET, bl.Adam(0.05), DATA, **options, reports_every=1, state=state):
        states.append(progress.state())
        assert progress.squared_weights is None
    wanted = [sum((layer.W.astype(float) ** 2).sum() for layer in state.layers) for state in states[:-1]]
    np.testing.assert_allclose(np.concatenate(sizes), wanted, rtol=2e-6)
