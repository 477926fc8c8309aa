"""The estimators under scikit-learn's contract: its checks, its words, and the company that estimators keep."""

from __future__ import annotations

import pickle
import subprocess
import sys
from inspect import Parameter, signature
from pathlib import Path

import joblib
import numpy as np
import pytest
from perceptron_data import IRIS, NUMBERS, X_NUMBERS
from requires import requires
from sklearn import config_context, datasets, neural_network
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.calibration import CalibratedClassifierCV
from sklearn.exceptions import ConvergenceWarning
from sklearn.inspection import permutation_importance
from sklearn.model_selection import GridSearchCV, cross_val_score, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import estimator_checks_generator
from sklearn.utils.validation import has_fit_parameter

import backlit as bl

pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore:scipy.optimize. The `disp`:DeprecationWarning"),  # scikit-learn 1.6's own
]


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


BAD = {
    "hidden_layer_sizes": "a", "solver": "newton", "alpha": -1, "batch_size": 0, "learning_rate_init": 0,
    "power_t": -1, "max_iter": 0, "shuffle": 1, "random_state": -3, "tol": -1, "warm_start": None, "momentum": 2,
    "nesterovs_momentum": "no", "early_stopping": 0, "validation_fraction": 1, "beta_1": 1, "beta_2": -0.1,
    "epsilon": 0, "n_iter_no_change": 0, "max_fun": 0,
}  # fmt: skip


@pytest.mark.parametrize(
    ("options", "sample_weight"),
    [
        ({}, np.ones((150, 1))),
        ({}, np.ones((150, 2))),
        ({"early_stopping": True, "validation_fraction": 0.0}, None),
        ({"early_stopping": True, "validation_fraction": 0.001}, None),
    ],
    ids=["weights in a column", "weights in two", "nothing held out", "too little held out"],
)
def test_the_same_sentence_is_told(options, sample_weight):
    if not has_fit_parameter(neural_network.MLPClassifier(), "sample_weight"):
        pytest.skip("the sentences are those of scikit-learn 1.7, which also takes sample weights here")
    told = []
    for library in (neural_network, bl):
        with pytest.raises(ValueError) as raised:
            library.MLPClassifier(**options).fit(*IRIS, sample_weight)
        told.append(str(raised.value))
    assert told[0] == told[1]


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
        theirs, ours = (list(signature(getattr(room, kind)).parameters.values()) for room in (neural_network, bl))
        if "loss" not in {p.name for p in theirs}:  # before scikit-learn 1.7
            ours = [p for p in ours if p.name != "loss"]
        told = [[(p.name, p.default, p.kind) for p in side[: len(theirs)]] for side in (theirs, ours)]
        assert told[1] == told[0]
        assert {p.kind for p in ours[len(theirs) :]} == {Parameter.KEYWORD_ONLY}

    def test_both_kinds_have_the_same_parameters_in_the_same_order(self):
        names = [[(p.name, p.default) for p in signature(kind).parameters.values()] for kind in (
            bl.MLPClassifier, bl.MLPRegressor)]  # fmt: skip
        own = {"loss", "class_weight"}
        assert [p for p in names[0] if p[0] not in own] == [p for p in names[1] if p[0] not in own]

    def test_parameters_by_place(self):
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
        for solver in ("adam", "sgd"):  # lbfgs gives float64, as scikit-learn's does: test_lbfgs_on_single_precision
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
