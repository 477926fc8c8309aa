"""The estimators against scikit-learn's: the same numbers, to rounding."""

from __future__ import annotations

from inspect import signature

import numpy as np
import pytest
from perceptron_data import IRIS, LABELS, NUMBERS, THREE, WEIGHTS, X_LABELS, X_NUMBERS
from sklearn import neural_network

import backlit as bl
from backlit.estimators.descent import ShuffledRows

pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore:scipy.optimize. The `disp`:DeprecationWarning"),  # scikit-learn 1.6's own
]


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
    "small batches, large alpha": {"alpha": 0.3, "batch_size": 5, "learning_rate_init": 0.02},
    "large alpha": {"alpha": 1.0, "batch_size": 20},
    "not shuffled": {"shuffle": False, "batch_size": 20},
    "lbfgs": {"solver": "lbfgs", "hidden_layer_sizes": 6, "max_iter": 15},
}


@pytest.mark.parametrize(
    "options",
    [
        {"max_iter": 3},
        {"tol": 0.5, "n_iter_no_change": 2},
        {"early_stopping": True, "n_iter_no_change": 1, "tol": 0.1},
        {"solver": "sgd", "learning_rate": "adaptive", "tol": 0.5, "n_iter_no_change": 1, "learning_rate_init": 1e-4},
        {"solver": "sgd", "learning_rate": "invscaling", "tol": 0.5, "n_iter_no_change": 1, "verbose": 3},
    ],
    ids=["too few epochs", "converged", "early stopping", "adaptive to its end", "invscaling"],
)
@pytest.mark.parametrize("name", ["MLPClassifier", "MLPRegressor"])
def test_the_same_sentences_are_printed(capsys, name, options):
    told = []
    for library in (neural_network, bl):
        model = getattr(library, name)(**{"hidden_layer_sizes": (4,), "random_state": 0, "verbose": True} | options)
        model.fit(*IRIS)
        told.append(capsys.readouterr())
    assert told[0] == told[1]
    assert "loss = " in told[0].out


class TestTheSameNumbers:
    def test_lbfgs_on_single_precision(self):
        """scipy searches in double precision, and what it finds is kept so; the other solvers stay in single."""
        x = IRIS[0].astype(np.float32)
        for solver in ("lbfgs", "adam"):
            kinds = []
            for library in (neural_network, bl):
                options = {"solver": solver, "max_iter": 5, "random_state": 0}
                model = library.MLPClassifier((5,), **options).fit(x, IRIS[1])
                kinds.append([model.coefs_[0].dtype, model.intercepts_[1].dtype, model.predict_proba(x).dtype])
            assert kinds[0] == kinds[1]

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
    def same(theirs, ours, tolerance=1e-10, curve=1e-10):
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

    @pytest.mark.parametrize("solver", ["sgd", "adam"])
    @pytest.mark.parametrize("warm_start", [False, True])
    def test_what_a_solver_carries_outlives_a_fit_by_lbfgs(self, solver, warm_start):
        found = []
        for kind in (neural_network.MLPClassifier, bl.MLPClassifier):
            est = kind((6,), random_state=0, solver=solver, max_iter=4, warm_start=warm_start).fit(*IRIS)
            est.set_params(solver="lbfgs").fit(*IRIS)
            found.append(est.set_params(solver=solver).partial_fit(*IRIS).partial_fit(*IRIS))
        for mine, other in zip(found[1].coefs_, found[0].coefs_, strict=True):
            np.testing.assert_allclose(mine, other, rtol=0, atol=1e-8)

    def test_losses_of_hopeless_rows_are_told_as_they_are(self):
        """scikit-learn cuts a row's loss at −log(eps); the weights are the same."""
        x = 1e4 * IRIS[0]
        theirs, ours = self.both("MLPClassifier", x, IRIS[1], max_iter=1)
        for mine, other in zip(ours.coefs_, theirs.coefs_, strict=True):
            np.testing.assert_allclose(mine, other, rtol=0, atol=1e-10)
        assert theirs.loss_curve_[0] < -np.log(np.finfo(float).eps) < ours.loss_curve_[0]

    def test_a_random_state_is_used_up_alike(self):
        theirs, ours = np.random.RandomState(5), np.random.RandomState(5)
        neural_network.MLPClassifier(max_iter=3, random_state=theirs).fit(*IRIS)
        bl.MLPClassifier(max_iter=3, random_state=ours).fit(*IRIS)
        assert theirs.randint(10**6) == ours.randint(10**6)

    def test_orders_can_be_asked_for_again(self):
        rows = ShuffledRows(9, np.random.RandomState(0))
        first = [rows(epoch).tolist() for epoch in range(4)]
        assert [rows(epoch).tolist() for epoch in (2, 0, 3, 1)] == [first[e] for e in (2, 0, 3, 1)]
