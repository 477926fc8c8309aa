"""The estimators against scikit-learn's: the same numbers, the same contract, the same words; and what is beyond it."""

from __future__ import annotations

import pickle
import subprocess
import sys
from inspect import signature
from pathlib import Path
from time import perf_counter

import joblib
import numpy as np
import pytest
from requires import requires
from sklearn import config_context, datasets, neural_network
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.calibration import CalibratedClassifierCV
from sklearn.exceptions import ConvergenceWarning
from sklearn.inspection import permutation_importance
from sklearn.model_selection import GridSearchCV, cross_val_score, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.estimator_checks import estimator_checks_generator

import backlit as bl
from backlit.estimators.descent import ShuffledRows

pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore:scipy.optimize. The `disp`:DeprecationWarning"),  # scikit-learn 1.6's own
]


def scaled(name):
    x, y = getattr(datasets, f"load_{name}")(return_X_y=True)
    return StandardScaler().fit_transform(x), y


IRIS = scaled("iris")
X_NUMBERS, NUMBERS = scaled("diabetes")
NUMBERS = (NUMBERS - NUMBERS.mean()) / NUMBERS.std()
THREE = np.stack([NUMBERS, NUMBERS**2, -NUMBERS], axis=1)
X_LABELS, LABELS = datasets.make_multilabel_classification(n_samples=80, random_state=0)
X_LABELS = StandardScaler().fit_transform(X_LABELS)
WEIGHTS = np.random.default_rng(0).uniform(0.1, 2, len(IRIS[0]))


# not parametrize_with_checks: the one of the oldest scikit-learn supported gives pytest a generator
CHECKS = [
    pytest.param(*entry, id=f"{kind.__name__}-{entry[1].func.__name__}-{number}")
    for kind in (bl.MLPClassifier, bl.MLPRegressor)
    for number, entry in enumerate(estimator_checks_generator(kind(max_iter=100)))
]


@pytest.mark.parametrize(("estimator", "check"), CHECKS)
@pytest.mark.filterwarnings("ignore")
def test_scikit_learns_checks_of_an_estimator(estimator, check):
    check(estimator)


@pytest.mark.slow
def test_scikit_learns_own_tests():
    script = Path(__file__).parent / "sklearn_suite.py"
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]


OPTIONS = {
    "adam": {},
    "sgd": {"solver": "sgd", "learning_rate_init": 0.05},
    "without momentum": {"solver": "sgd", "momentum": 0},
    "plain momentum": {"solver": "sgd", "nesterovs_momentum": False},
    "invscaling": {"solver": "sgd", "learning_rate": "invscaling", "learning_rate_init": 0.1},
    "adaptive": {"solver": "sgd", "learning_rate": "adaptive", "tol": 1e-2, "max_iter": 200},
    "stops by tol": {"tol": 1e-2, "n_iter_no_change": 2, "max_iter": 300},
    "early stopping": {"early_stopping": True, "max_iter": 60, "n_iter_no_change": 4},
    "two hidden layers": {"hidden_layer_sizes": (12, 7), "activation": "logistic"},
    "tanh, small batches": {"activation": "tanh", "batch_size": 17},
    "identity": {"activation": "identity", "hidden_layer_sizes": 5},
    "large alpha": {"alpha": 1.0, "batch_size": 20},
    "not shuffled": {"shuffle": False, "batch_size": 20},
    "lbfgs": {"solver": "lbfgs", "hidden_layer_sizes": 6, "max_iter": 15},
}


class TestTheSameNumbers:
    """Weights and curves equal scikit-learn's to rounding: its draws, its order of rows, its updates, its stopping."""

    @staticmethod
    def both(kind, x, y, sample_weight=None, **options):
        options = {"random_state": 3, "max_iter": 30, **options}
        theirs = getattr(neural_network, kind)(**options)
        if sample_weight is None:
            theirs.fit(x, y)
        elif "sample_weight" in signature(theirs.fit).parameters:
            theirs.fit(x, y, sample_weight=sample_weight)
        else:
            pytest.skip("this scikit-learn's perceptrons take no weights")
        ours = getattr(bl, kind)(**options).fit(x, y, sample_weight=sample_weight)
        return theirs, ours

    @staticmethod
    def same(theirs, ours, tolerance=1e-10, curve=1e-6):
        assert ours.n_iter_ == theirs.n_iter_
        assert ours.n_layers_ == theirs.n_layers_
        assert ours.n_outputs_ == theirs.n_outputs_
        assert ours.out_activation_ == theirs.out_activation_
        assert ours.t_ == theirs.t_
        for mine, other in zip(ours.coefs_ + ours.intercepts_, theirs.coefs_ + theirs.intercepts_, strict=True):
            np.testing.assert_allclose(mine, other, rtol=0, atol=tolerance)
        np.testing.assert_allclose(ours.loss_, theirs.loss_, rtol=0, atol=curve)
        for name in ("loss_curve_", "validation_scores_", "best_loss_", "best_validation_score_"):
            other = getattr(theirs, name, None)
            if other is None:
                assert getattr(ours, name, None) is None
            else:
                np.testing.assert_allclose(getattr(ours, name), other, rtol=0, atol=curve)

    @pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["", "weighted"])
    @pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS.keys())
    def test_three_classes(self, options, weights):
        self.same(*self.both("MLPClassifier", *IRIS, weights, **options))

    @pytest.mark.parametrize("early_stopping", [False, True])
    def test_two_classes(self, early_stopping):
        x, y = IRIS[0][:100], IRIS[1][:100]
        if not early_stopping:  # which scikit-learn can't do with texts before 1.9
            y = np.array(["b", "a"])[y]
        theirs, ours = self.both("MLPClassifier", x, y, early_stopping=early_stopping)
        self.same(theirs, ours)
        np.testing.assert_allclose(ours.predict_proba(x), theirs.predict_proba(x), atol=1e-10)
        assert (ours.predict(x) == theirs.predict(x)).all()

    @pytest.mark.parametrize("early_stopping", [False, True])
    def test_several_labels(self, early_stopping):
        theirs, ours = self.both("MLPClassifier", X_LABELS, LABELS, early_stopping=early_stopping)
        self.same(theirs, ours)
        np.testing.assert_allclose(ours.predict_proba(X_LABELS), theirs.predict_proba(X_LABELS), atol=1e-10)

    @pytest.mark.parametrize("y", [NUMBERS, THREE, abs(NUMBERS)], ids=["one", "three", "positive"])
    @pytest.mark.parametrize("options", [{}, {"solver": "sgd"}, {"early_stopping": True}], ids=str)
    def test_numbers(self, y, options):
        self.same(*self.both("MLPRegressor", X_NUMBERS, y, **options))

    def test_poisson(self):
        if "loss" not in neural_network.MLPRegressor().get_params():
            pytest.skip("this scikit-learn has no losses to choose")
        theirs, ours = self.both("MLPRegressor", X_NUMBERS, abs(NUMBERS), loss="poisson")
        self.same(theirs, ours)
        np.testing.assert_allclose(ours.predict(X_NUMBERS), theirs.predict(X_NUMBERS), rtol=1e-9)

    def test_warm_start_goes_on_alike(self):
        options = {"random_state": 0, "warm_start": True, "max_iter": 4}
        theirs, ours = neural_network.MLPClassifier(**options), bl.MLPClassifier(**options)
        for _ in range(3):
            self.same(theirs.fit(*IRIS), ours.fit(*IRIS))
        assert len(ours.loss_curve_) == 12

    @pytest.mark.parametrize("solver", ["sgd", "adam"])
    def test_partial_fit_goes_on_alike(self, solver):
        options = {"random_state": 0, "solver": solver, "learning_rate": "invscaling"}
        theirs, ours = neural_network.MLPClassifier(**options), bl.MLPClassifier(**options)
        for rows in (slice(0, 70), slice(30, 150), slice(5, 90)):
            x, y = IRIS[0][rows], IRIS[1][rows]
            self.same(theirs.partial_fit(x, y, classes=[0, 1, 2]), ours.partial_fit(x, y, classes=[0, 1, 2]))

    @pytest.mark.parametrize("first", ["sgd", "adam"])
    @pytest.mark.parametrize(
        "change",
        [
            {"momentum": 0.1}, {"nesterovs_momentum": False}, {"beta_1": 0.1, "epsilon": 0.1}, {"beta_2": 0.5},
            {"solver": "adam"}, {"solver": "sgd"}, {"alpha": 2.0}, {"learning_rate_init": 0.5},
            {"learning_rate": "invscaling"}, {"learning_rate": "constant"}, {"power_t": 0.1},
        ],
        ids=str,
    )  # fmt: skip
    def test_set_params_between_calls_of_partial_fit_changes_alike(self, first, change):
        """Of the solver's own parameters the first call's stay, as scikit-learn's optimizer object keeps them."""
        for rate in ("constant", "invscaling"):
            options = {"random_state": 0, "solver": first, "learning_rate": rate, "learning_rate_init": 0.05}
            theirs, ours = neural_network.MLPClassifier(**options), bl.MLPClassifier(**options)
            for _ in range(2):
                for estimator in (theirs, ours):
                    estimator.partial_fit(*IRIS, classes=[0, 1, 2])
            for _ in range(3):
                for estimator in (theirs, ours):
                    estimator.set_params(**change).partial_fit(*IRIS)
            self.same(theirs, ours)

    def test_a_random_state_is_used_up_alike(self):
        theirs, ours = np.random.RandomState(5), np.random.RandomState(5)
        neural_network.MLPClassifier(max_iter=3, random_state=theirs).fit(*IRIS)
        bl.MLPClassifier(max_iter=3, random_state=ours).fit(*IRIS)
        assert theirs.randint(10**6) == ours.randint(10**6)

    def test_orders_can_be_asked_for_again(self):
        rows = ShuffledRows(9, np.random.RandomState(0))
        first = [rows(epoch).tolist() for epoch in range(4)]
        assert [rows(epoch).tolist() for epoch in (2, 0, 3, 1)] == [first[e] for e in (2, 0, 3, 1)]


BAD = {
    "hidden_layer_sizes": "a", "solver": "newton", "alpha": -1, "batch_size": 0, "learning_rate_init": 0,
    "power_t": -1, "max_iter": 0, "shuffle": 1, "random_state": -3, "tol": -1, "warm_start": None, "momentum": 2,
    "nesterovs_momentum": "no", "early_stopping": 0, "validation_fraction": 1, "beta_1": 1, "beta_2": -0.1,
    "epsilon": 0, "n_iter_no_change": 0, "max_fun": 0,
}  # fmt: skip


class TestContract:
    @pytest.mark.parametrize("name", ["alpha", "learning_rate_init", "power_t", "tol", "epsilon", "momentum"])
    def test_infinity_is_refused_in_scikit_learns_words(self, name):
        messages = []
        for estimator in (neural_network.MLPClassifier, bl.MLPClassifier):
            with pytest.raises(ValueError) as caught:
                estimator(**{name: float("inf")}).fit(*IRIS)
            messages.append(str(caught.value))
        assert messages[1] == messages[0]

    @pytest.mark.parametrize("solver", ["sgd", "adam", "lbfgs"])
    def test_true_counts_as_1_as_in_scikit_learn(self, solver):
        for kind in (neural_network.MLPClassifier, bl.MLPClassifier):
            model = kind(solver=solver, max_iter=True, max_fun=True, n_iter_no_change=True, random_state=0).fit(*IRIS)
            assert model.n_iter_ == 1

    def test_weights_that_are_all_zero(self):
        with pytest.raises(bl.BadInput, match="Sample weights must contain at least one non-zero number"):
            bl.MLPClassifier().fit(*IRIS, sample_weight=np.zeros(150))

    @pytest.mark.parametrize("name", BAD)
    def test_bad_parameters_are_refused_in_scikit_learns_words(self, name):
        messages = []
        for estimator in (neural_network.MLPClassifier, bl.MLPClassifier):
            with pytest.raises(ValueError) as caught:
                estimator(**{name: BAD[name]}).fit(*IRIS)
            messages.append(str(caught.value))
        if name == "solver":  # a set, printed in any order
            assert messages[1].startswith("The 'solver' parameter of MLPClassifier must be a str among {")
        else:
            assert messages[1] == messages[0]

    @pytest.mark.parametrize(
        "options",
        [
            {"activation": "step"},
            {"activation": ["relu", "tanh"]},
            {"learning_rate": "fast"},
            {"callbacks": [3]},
            {"max_time": 0},
            {"engine": "steam"},
            {"class_weight": "even"},
            {"verbose": "loud"},
            {"hidden_layer_sizes": (3, 0)},
            {"solver": "lbfgs", "callbacks": [print]},
        ],
        ids=str,
    )
    def test_bad_values_beyond_scikit_learn_are_refused(self, options):
        with pytest.raises(bl.BadInput) as caught:
            bl.MLPClassifier(**options).fit(*IRIS)
        assert "\n" not in str(caught.value)

    @pytest.mark.parametrize("kind", ["MLPClassifier", "MLPRegressor"])
    def test_parameters_and_their_order(self, kind):
        theirs, ours = getattr(neural_network, kind)().get_params(), getattr(bl, kind)().get_params()
        assert {name: ours[name] for name in theirs} == theirs
        assert bl.MLPClassifier((5,), "tanh").hidden_layer_sizes == (5,)
        assert bl.MLPRegressor("poisson", (5,), "tanh").activation == "tanh"
        with pytest.raises(TypeError):
            bl.MLPClassifier((5,), "tanh", "sgd")

    def test_methods(self):
        for kind in ("MLPClassifier", "MLPRegressor"):
            public = {name for name in dir(getattr(neural_network, kind)) if not name.startswith("_")}
            assert public <= set(dir(getattr(bl, kind)))

    def test_kinds(self):
        assert is_classifier(bl.MLPClassifier())
        assert is_regressor(bl.MLPRegressor())
        assert not hasattr(bl.MLPRegressor(solver="lbfgs"), "partial_fit")

    def test_a_run_that_leaves_the_numbers(self):
        options = {"solver": "sgd", "activation": "identity", "learning_rate_init": 10, "random_state": 0}
        bad = bl.MLPRegressor(**options)
        with (
            pytest.warns(ConvergenceWarning, match="left the finite numbers"),
            pytest.raises(ValueError, match="non-finite"),
        ):
            bad.fit(*IRIS)
        assert np.isnan(bad.loss_curve_[-1])
        kept = bl.MLPRegressor(**options, early_stopping=True)
        with pytest.warns(ConvergenceWarning, match="left the finite numbers"):
            kept.fit(*IRIS)
        assert np.isnan(kept.validation_scores_[-1])
        assert np.isfinite(kept.predict(IRIS[0])).all()

    def test_float32_stays_float32(self):
        for solver in ("adam", "sgd", "lbfgs"):
            fitted = bl.MLPRegressor(solver=solver, max_iter=5).fit(X_NUMBERS.astype("f4"), NUMBERS.astype("f4"))
            assert {a.dtype.name for a in fitted.coefs_ + fitted.intercepts_} == {"float32"}
            assert fitted.predict(X_NUMBERS.astype("f4")).dtype == np.float32

    def test_what_people_write_into_coefs_counts(self):
        fitted = bl.MLPRegressor(hidden_layer_sizes=(3,), max_iter=2).fit(X_NUMBERS, NUMBERS)
        fitted.coefs_[-1][...] = 0
        fitted.intercepts_[-1] = np.array([7.0])
        assert (fitted.predict(X_NUMBERS) == 7).all()
        assert (fitted.state_.layers[-1].W == 0).all()

    def test_ctrl_c_keeps_what_was_learned(self):
        def stop(progress):
            if progress.epoch == 3:
                raise KeyboardInterrupt

        with pytest.warns(UserWarning, match="interrupted"):
            fitted = bl.MLPClassifier(callbacks=[stop], batch_size=10, random_state=0).fit(*IRIS)
        assert fitted.score(*IRIS) > 0.3


class TestCompany:
    def test_clone_pickle_and_joblib(self, tmp_path):
        fitted = bl.MLPClassifier(max_iter=5, random_state=0, class_weight="balanced").fit(*IRIS)
        joblib.dump(fitted, tmp_path / "m.joblib")
        for copy in (pickle.loads(pickle.dumps(fitted)), joblib.load(tmp_path / "m.joblib")):
            assert (copy.predict_proba(IRIS[0]) == fitted.predict_proba(IRIS[0])).all()
            copy.partial_fit  # noqa: B018
        assert clone(fitted).get_params() == fitted.get_params()
        assert not hasattr(clone(fitted), "coefs_")

    def test_searches_and_wrappers(self):
        x, y = datasets.load_iris(return_X_y=True)
        pipe = make_pipeline(StandardScaler(), bl.MLPClassifier(max_iter=60, random_state=0, learning_rate_init=0.02))
        assert cross_val_score(pipe, x, y, cv=3).mean() > 0.9
        grid = {"mlpclassifier__alpha": [1e-4, 1e-2], "mlpclassifier__hidden_layer_sizes": [(5,), (8, 4)]}
        search = GridSearchCV(pipe, grid, cv=2, n_jobs=2).fit(x, y)
        assert search.best_score_ > 0.9
        calibrated = CalibratedClassifierCV(pipe, cv=2).fit(x, y)
        assert calibrated.predict_proba(x).shape == (150, 3)
        found = permutation_importance(search.best_estimator_, x, y, n_repeats=2, random_state=0)
        assert found.importances_mean[2:].sum() > found.importances_mean[:2].sum()

    def test_metadata_routing(self):
        with config_context(enable_metadata_routing=True):
            est = bl.MLPClassifier(max_iter=5, random_state=0).set_fit_request(sample_weight=True)
            est.set_score_request(sample_weight=True)
            weights = np.where(IRIS[1] == 0, 1.0, 1e-9)
            got = cross_validate(est, *IRIS, params={"sample_weight": weights}, cv=3, return_estimator=True)
            plain = cross_validate(
                clone(est).set_fit_request(sample_weight=False), *IRIS, params={}, cv=3, return_estimator=True
            )
            assert not np.allclose(got["estimator"][0].coefs_[0], plain["estimator"][0].coefs_[0])

    def test_frames_and_their_names(self):
        try:
            import pandas as pd
        except ImportError:
            requires("pandas", False)
        names = ["a", "b", "c", "d"]
        frame = pd.DataFrame(IRIS[0], columns=names)
        fitted = bl.MLPClassifier(max_iter=5, random_state=0).fit(frame, pd.Series(IRIS[1]))
        assert fitted.feature_names_in_.tolist() == names
        assert (fitted.predict(frame) == bl.MLPClassifier(max_iter=5, random_state=0).fit(*IRIS).predict(IRIS[0])).all()
        with pytest.raises(ValueError, match="feature names"):
            fitted.predict(frame[names[::-1]])

    def test_polars_frames(self):
        try:
            import polars as pl
        except ImportError:
            requires("polars", False)
        frame = pl.DataFrame({name: IRIS[0][:, k] for k, name in enumerate("abcd")})
        fitted = bl.MLPClassifier(max_iter=5, random_state=0).fit(frame, pl.Series(IRIS[1]))
        assert fitted.feature_names_in_.tolist() == list("abcd")
        assert (fitted.predict(frame) == bl.MLPClassifier(max_iter=5, random_state=0).fit(*IRIS).predict(IRIS[0])).all()

    def test_doors_take_over_from_a_fitted_one(self, tmp_path):
        for solver in ("adam", "sgd", "lbfgs"):
            fitted = bl.MLPClassifier(hidden_layer_sizes=(4,), solver=solver, max_iter=8, random_state=0).fit(*IRIS)
            bl.save(tmp_path / "m", fitted.network_, fitted.optimizer_, fitted.state_)
            net, opt, state = bl.load(tmp_path / "m")
            assert (bl.predict(net, state, IRIS[0]) == fitted.predict_proba(IRIS[0])).all()
            trace = bl.step(net, opt, state, IRIS[0][:5], np.eye(3)[IRIS[1][:5]])
            assert trace.after.step == state.step + 1
        assert bl.evaluate(net, state, IRIS)[1] == pytest.approx(fitted.score(*IRIS))


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
        theirs = neural_network.MLPClassifier((30,), **options).fit(X, y, weights)
        np.testing.assert_allclose(curves[0], theirs.loss_curve_, rtol=0, atol=1e-6)

    def test_max_time(self):
        start = perf_counter()
        with pytest.warns(ConvergenceWarning, match="max_time"):
            bl.MLPClassifier(max_iter=10**6, tol=0, n_iter_no_change=np.inf, max_time=0.3).fit(*IRIS)
        assert perf_counter() - start < 3

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
