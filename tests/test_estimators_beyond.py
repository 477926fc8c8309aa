"""What the estimators have beyond scikit-learn's."""

from __future__ import annotations

from time import perf_counter

import numpy as np
import pytest
from perceptron_data import IRIS, LABELS, NUMBERS, THREE, X_LABELS, X_NUMBERS
from scipy.sparse import csc_matrix, csr_array, csr_matrix
from sklearn import neural_network
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.validation import has_fit_parameter

import backlit as bl

pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore:scipy.optimize. The `disp`:DeprecationWarning"),  # scikit-learn 1.6's own
]


def falling(step):
    return 1 / (step + 1)


class TestBeyond:
    def test_class_weight_is_a_sample_weight(self):
        x, y = IRIS[0][:70], IRIS[1][:70]
        for weight in ("balanced", {0: 1, 1: 5}):
            a = bl.MLPClassifier(max_iter=5, random_state=0, class_weight=weight).fit(x, y)
            b = bl.MLPClassifier(max_iter=5, random_state=0).fit(x, y, compute_sample_weight(weight, y))
            assert (a.coefs_[0] == b.coefs_[0]).all()
        both = bl.MLPClassifier(max_iter=5, random_state=0, class_weight={0: 2.0}).fit(x, y, np.full(70, 0.5))
        assert np.isfinite(both.loss_)
        with pytest.raises(bl.BadInput, match="partial_fit"):
            bl.MLPClassifier(class_weight="balanced").partial_fit(x, y, classes=[0, 1])

    @pytest.mark.filterwarnings("error::RuntimeWarning")
    def test_a_batch_whose_rows_all_weigh_nothing(self):
        """Nothing of it is in the loss, the L2 term neither; and the run ends when the loss no longer falls."""
        x, y, s = IRIS[0][:90], IRIS[1][:90], (IRIS[1][:90] > 0).astype(float)
        options = {"hidden_layer_sizes": (), "batch_size": 20, "random_state": 0, "alpha": 0.5}
        still = {"solver": "sgd", "learning_rate_init": 1e-12, "max_iter": 1, "shuffle": False}
        fitted = bl.MLPClassifier(class_weight={0: 0, 1: 1}, **options, **still).fit(x, y)
        losses = -np.log(fitted.predict_proba(x)[np.arange(90), y])
        squares, total = 0.25 * (fitted.coefs_[0] ** 2).sum(), 0.0
        for start, rows in ((0, 20), (20, 20), (40, 20), (60, 20), (80, 10)):
            part = slice(start, start + rows)
            if s[part].any():
                total += rows * ((s[part] @ losses[part]) + squares) / s[part].sum()
        assert fitted.loss_ == pytest.approx(total / 90)
        ended = bl.MLPClassifier(class_weight={0: 0, 1: 1}, **options, tol=1.0, max_iter=50).fit(x, y)
        assert (ended.n_iter_, np.isfinite(ended.loss_curve_).all()) == (12, True)

    @pytest.mark.parametrize("sparse", [csr_matrix, csr_array, csc_matrix])
    def test_sparse_targets_are_as_good_as_dense_ones(self, sparse):
        options = {"max_iter": 3, "random_state": 0, "hidden_layer_sizes": (5,)}
        for kind, x, y in (
            (bl.MLPClassifier(class_weight="balanced", **options), X_LABELS, LABELS),
            (bl.MLPRegressor(**options), X_NUMBERS, THREE),
        ):
            a, b = clone(kind), clone(kind)
            a.fit(x, y, validation_data=(x, y))
            b.fit(x, sparse(y), validation_data=(x, sparse(y)))
            assert a.loss_curve_ == b.loss_curve_
            assert a.validation_scores_ == pytest.approx(b.validation_scores_)

    def test_a_schedule_that_fails_is_told_by_its_name(self):
        with pytest.raises(bl.BadInput, match=r"<function falling at .*takes 1 positional argument"):
            bl.MLPClassifier(learning_rate=falling).fit(*IRIS)
        assert bl.MLPClassifier(learning_rate=bl.OneCycle(0.01, steps=9), max_iter=2).fit(*IRIS).n_iter_ == 2

    def test_a_class_that_is_not_known_is_told_as_people_write_it(self):
        for names, told in ((np.arange(4), "has 3, which"), (np.array(list("abcd")), "has 'd', which")):
            with pytest.raises(bl.BadInput, match=told):
                bl.MLPClassifier().fit(IRIS[0], names[IRIS[1]], validation_data=(IRIS[0], names[IRIS[1] + 1]))

    @pytest.mark.parametrize("width", [3, 6])
    def test_partial_fit_with_another_number_of_columns(self, width):
        several = bl.MLPClassifier((4,)).partial_fit(X_LABELS, LABELS)
        with pytest.raises(bl.BadInput, match=f"y has {width} columns, 5 were fitted"):
            several.partial_fit(X_LABELS, np.tile(LABELS, 2)[:, :width])
        fitted = bl.MLPRegressor(hidden_layer_sizes=(4,)).partial_fit(X_NUMBERS, THREE[:, :2])
        with pytest.raises(bl.BadInput, match=f"y has {width} columns, 2 were fitted"):
            fitted.partial_fit(X_NUMBERS, np.tile(THREE, 2)[:, :width])

    @pytest.mark.parametrize("solver", ["adam", "sgd"])
    def test_early_stopping_can_be_left_out_later(self, solver):
        fitted = bl.MLPClassifier((4,), solver=solver, early_stopping=True, max_iter=5, random_state=0).fit(*IRIS)
        fitted.set_params(early_stopping=False).partial_fit(*IRIS)
        assert len(fitted.loss_curve_) == 6
        assert fitted.best_loss_ == min(fitted.loss_curve_)

    def test_targets_so_large_that_their_loss_is_infinite_are_told_of(self):
        with pytest.raises(bl.BadInput, match="y holds numbers so large"):
            bl.MLPRegressor(random_state=0).fit(X_NUMBERS, NUMBERS * 1e200)
        with pytest.raises(bl.BadInput, match="non-finite parameter weights"):
            bl.MLPRegressor(random_state=0, solver="sgd", learning_rate_init=1e10).fit(X_NUMBERS, NUMBERS)

    @pytest.mark.parametrize("solver", ["adam", "lbfgs"])
    def test_max_time_may_be_endless(self, solver):
        fitted = bl.MLPClassifier(max_time=float("inf"), solver=solver, max_iter=2).fit(*IRIS)
        assert fitted.n_iter_ == 2

    def test_class_weight_moves_the_border(self):
        rng = np.random.default_rng(0)
        x = np.concatenate([rng.normal(-0.5, 1, (300, 1)), rng.normal(0.5, 1, (30, 1))])
        y = np.repeat([0, 1], [300, 30])
        found = [bl.MLPClassifier(max_iter=60, random_state=0, class_weight=w).fit(x, y) for w in (None, "balanced")]
        recall = [(f.predict(x[300:]) == 1).mean() for f in found]
        assert recall[1] > recall[0] + 0.3

    def test_own_validation_data(self):
        train, rest = (IRIS[0][::2], IRIS[1][::2]), (IRIS[0][1::2], IRIS[1][1::2])
        fitted = bl.MLPClassifier(max_iter=20, random_state=0).fit(*train, validation_data=rest)
        assert len(fitted.validation_scores_) == len(fitted.validation_loss_curve_) == 20
        assert fitted.validation_scores_[-1] == pytest.approx(fitted.score(*rest))
        probability = fitted.predict_proba(rest[0])[np.arange(len(rest[1])), rest[1]]
        assert fitted.validation_loss_curve_[-1] == pytest.approx(-np.log(probability).mean())
        assert fitted.best_loss_ == min(fitted.loss_curve_)
        plain = bl.MLPClassifier(max_iter=20, random_state=0).fit(*train)
        assert (plain.coefs_[0] == fitted.coefs_[0]).all(), "looking doesn't change the run"
        stopped = bl.MLPClassifier(random_state=0, early_stopping=True, learning_rate_init=0.05)
        stopped.fit(*train, validation_data=rest)
        assert stopped.n_iter_ < 200
        assert stopped.score(*rest) == stopped.best_validation_score_ == max(stopped.validation_scores_)
        with pytest.raises(bl.BadInput, match="none of the classes"):
            bl.MLPClassifier().fit(*train, validation_data=(rest[0], rest[1] + 1))
        with pytest.raises(bl.BadInput, match="as many"):
            bl.MLPClassifier().fit(*train, validation_data=(rest[0], rest[1][1:]))

    def test_validation_loss_of_several_numbers(self):
        data = (X_NUMBERS, THREE)
        fitted = bl.MLPRegressor(max_iter=3, random_state=0).fit(*data, validation_data=data)
        half_mean = 0.5 * ((fitted.predict(X_NUMBERS) - THREE) ** 2).mean()
        assert fitted.validation_loss_curve_[-1] == pytest.approx(half_mean)

    def test_activation_per_layer(self):
        fitted = bl.MLPClassifier(
            (6, 5), ["gelu", "softplus"], max_iter=40, random_state=0, learning_rate_init=0.02
        ).fit(*IRIS)
        assert fitted.network_.hidden == ("gelu", "softplus")
        assert fitted.score(*IRIS) > 0.6
        same = [bl.MLPClassifier((6, 5), a, max_iter=3, random_state=0).fit(*IRIS) for a in ("tanh", ["tanh"] * 2)]
        assert (same[0].coefs_[1] == same[1].coefs_[1]).all()

    def test_absolute_error_finds_the_median_and_huber_lies_between(self):
        x, y = np.zeros((99, 1)), np.r_[np.zeros(60), np.full(39, 10.0)]
        found = {
            loss: bl.MLPRegressor(
                loss, (), solver="sgd", momentum=0, alpha=0, learning_rate_init=0.05, max_iter=600, tol=0
            ).fit(x, y).predict(x[:1])[0]
            for loss in ("squared_error", "huber", "absolute_error")
        }  # fmt: skip
        assert found["squared_error"] == pytest.approx(y.mean(), abs=0.1)
        assert abs(found["absolute_error"]) < 0.2
        assert found["absolute_error"] < found["huber"] < found["squared_error"]

    def test_callbacks_see_every_step_and_can_stop(self):
        seen = []
        fitted = bl.MLPClassifier(callbacks=[seen.append], max_iter=4, batch_size=50, random_state=0).fit(*IRIS)
        assert sum(len(p.losses) for p in seen) == 12
        assert [p.epoch_loss is not None for p in seen].count(True) == 4
        fitted = bl.MLPClassifier(callbacks=[lambda p: p.epoch == 2], batch_size=150, random_state=0).fit(*IRIS)
        assert fitted.n_iter_ == 2
        for answer in (np.True_, True):  # a comparison of arrays gives NumPy's
            fitted = bl.MLPClassifier(callbacks=[lambda p, answer=answer: answer], random_state=0).fit(*IRIS)
            assert fitted.n_iter_ == 1
        for answer in (np.False_, "yes", np.ones(2)):
            fitted = bl.MLPClassifier(callbacks=[lambda p, answer=answer: answer], max_iter=3).fit(*IRIS)
            assert fitted.n_iter_ == 3

    @pytest.mark.parametrize("weights", [None, np.linspace(0.5, 2, 3000)])
    @pytest.mark.parametrize("engine", ["auto", "reference"])
    def test_reported_losses_do_not_depend_on_the_clock(self, monkeypatch, weights, engine):
        """A slow clock cuts the loop's stretches short, a standing one lets them grow: the same bits are reported."""
        rng = np.random.default_rng(0)
        X = rng.normal(size=(3000, 40))
        y = (X[:, 0] + X[:, 1] > 0).astype(int)
        curves = []
        for tick in (0.0, 0.004, 1.0):
            now = iter(np.arange(10**6) * tick)
            monkeypatch.setattr("backlit.training.perf_counter", lambda now=now: float(next(now)))
            options = {"batch_size": 10, "max_iter": 2, "random_state": 0, "learning_rate_init": 0.01}
            model = bl.MLPClassifier((30,), **options, engine=engine).fit(X, y, weights)
            curves.append(model.loss_curve_)
        assert curves[0] == curves[1] == curves[2]
        theirs = neural_network.MLPClassifier((30,), **options)
        if weights is not None and not has_fit_parameter(theirs, "sample_weight"):
            return  # scikit-learn before 1.7
        theirs.fit(X, y, **({} if weights is None else {"sample_weight": weights}))
        np.testing.assert_allclose(curves[0], theirs.loss_curve_, rtol=1e-12)

    def test_max_time(self):
        start = perf_counter()
        with pytest.warns(ConvergenceWarning, match="max_time"):
            bl.MLPClassifier(max_iter=10**6, tol=0, n_iter_no_change=np.inf, max_time=0.3).fit(*IRIS)
        assert perf_counter() - start < 3

    @pytest.mark.parametrize(
        ("limit", "told"),
        [
            ({"max_iter": 3}, r"after 3 iteration.*Increase max_iter. Scaled"),
            ({"max_fun": 4}, r"Increase max_fun. Scaled"),
            ({"max_time": 1e-9}, r"after 0 iteration\(s\): max_time=1e-09 s is over\.$"),
        ],
    )
    def test_lbfgs_names_the_limit_that_ended_it(self, limit, told):
        with pytest.warns(ConvergenceWarning, match=told):
            bl.MLPClassifier(solver="lbfgs", random_state=0, **limit).fit(*IRIS)

    def test_bar(self, capsys):
        bl.MLPClassifier(max_iter=3, verbose="bar").fit(*IRIS)
        out, err = capsys.readouterr()
        assert not out
        assert "epoch 3" in err

    def test_schedules(self):
        rates = []
        rate = bl.Cosine(0.05, steps=30)
        bl.MLPClassifier(
            learning_rate=rate, max_iter=10, batch_size=50, random_state=0, callbacks=[lambda p: rates.append(p.rate)]
        ).fit(*IRIS)
        assert rates[-1] == pytest.approx(rate(29))
        est = bl.MLPClassifier(
            learning_rate=rate, solver="sgd", random_state=0, callbacks=[lambda p: rates.append(p.rate)]
        )
        for _ in range(2):
            est.partial_fit(*IRIS, classes=[0, 1, 2])
        assert rates[-1] == pytest.approx(rate(1)), "partial_fit goes on along the schedule"

    def test_rates_that_scikit_learn_keeps_private(self):
        x, y = [[3, 2], [1, 6], [5, 6], [-2, -4]], [1, 1, 1, 0]
        est = bl.MLPClassifier(
            (4,), solver="sgd", learning_rate="invscaling", power_t=0.25, max_iter=1, warm_start=True
        )
        est.fit(x, y).fit(x, y)
        assert est.optimizer_.rate == pytest.approx(est.learning_rate_init / (8 + 1) ** 0.25)
        x, y = [[3, 2], [1, 6]], [1, 0]
        lowered = bl.MLPClassifier(tol=0.5, max_iter=3000, solver="sgd", learning_rate="adaptive").fit(x, y)
        assert lowered.optimizer_.rate < 1e-6

    def test_partial_fit_goes_on_from_lbfgs(self):
        est = bl.MLPClassifier((6,), solver="lbfgs", max_iter=20, random_state=0).fit(*IRIS)
        before = est.score(*IRIS)
        est.set_params(solver="adam").partial_fit(*IRIS)
        assert len(est.loss_curve_) == 1
        assert est.score(*IRIS) > before - 0.1

    def test_partial_fit_of_several_labels_learns_them(self):
        est = bl.MLPClassifier(solver="sgd", learning_rate_init=0.2, random_state=0)
        for k in range(60):
            rows = slice(40 * (k % 2), 40 * (k % 2) + 40)
            est.partial_fit(X_LABELS[rows], LABELS[rows])
        assert est.score(X_LABELS, LABELS) > 0.85
        assert est.predict(X_LABELS).shape == LABELS.shape

    def test_engines_agree(self):
        found = [
            bl.MLPClassifier(max_iter=5, random_state=0, engine=e).fit(*IRIS).coefs_[0] for e in ("reference", "auto")
        ]
        np.testing.assert_allclose(*found, atol=1e-12)

    def test_no_hidden_layer(self):
        assert bl.MLPClassifier((), max_iter=100, learning_rate_init=0.05, random_state=0).fit(*IRIS).score(*IRIS) > 0.8

    def test_warm_start_with_other_sizes_is_refused(self):
        est = bl.MLPClassifier((4,), warm_start=True, max_iter=2).fit(*IRIS)
        with pytest.raises(bl.BadInput, match="warm_start"):
            est.set_params(hidden_layer_sizes=(5,)).fit(*IRIS)
