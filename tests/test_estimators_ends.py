"""However a fit ends: what was learned stays, what was refused leaves no trace. And what callbacks see meanwhile."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from perceptron_data import IRIS, LABELS, NUMBERS, X_LABELS, X_NUMBERS
from sklearn import neural_network
from sklearn.exceptions import ConvergenceWarning, NotFittedError

import backlit as bl
from backlit.estimators import lbfgs

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
OPTIONS = {"hidden_layer_sizes": (8,), "random_state": 0, "learning_rate_init": 0.01, "batch_size": 20}


def weights(model):
    return np.concatenate([a.ravel() for a in (*model.coefs_, *model.intercepts_)])


class Stop(Exception):
    pass


class TestWhatWasLearnedStays:
    @staticmethod
    def fit_strictly(model):
        """With every warning an error, as many test suites have it; one is wanted."""
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with pytest.raises(ConvergenceWarning):
                model.fit(*IRIS)

    @pytest.mark.parametrize("early_stopping", [False, True])
    def test_where_a_warning_is_an_error(self, early_stopping):
        options = OPTIONS | {"max_iter": 30, "early_stopping": early_stopping, "n_iter_no_change": 100}
        found = []
        for library in (neural_network, bl):
            model = library.MLPClassifier(**options)
            self.fit_strictly(model)
            found.append(model)
        assert found[0].n_iter_ == found[1].n_iter_ == 30
        if not early_stopping:  # scikit-learn puts the best weights back behind its warning only
            np.testing.assert_allclose(weights(found[1]), weights(found[0]), rtol=0, atol=1e-10)
        assert found[1].score(*IRIS) > 0.9

    def test_where_the_end_of_max_time_is_an_error(self):
        model = bl.MLPClassifier(**OPTIONS, max_time=1e-9)
        self.fit_strictly(model)
        assert model.state_.step > 0
        assert np.isfinite(model.predict_proba(IRIS[0])).all()

    @pytest.mark.parametrize("kind", [Stop, KeyboardInterrupt])
    def test_where_a_callback_fails(self, kind):
        def fails(progress):
            if progress.epoch_loss is not None and progress.epoch == 5:
                raise kind

        model = bl.MLPClassifier(**OPTIONS, callbacks=[fails])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if kind is Stop:
                with pytest.raises(Stop):
                    model.fit(*IRIS)
            else:
                model.fit(*IRIS)
        assert np.array_equal(weights(model), weights(bl.MLPClassifier(**OPTIONS, max_iter=5).fit(*IRIS)))

    def test_of_a_search_by_lbfgs(self, monkeypatch):
        objective, calls = lbfgs.objective, []

        def interrupted(*given):
            calls.append(given)
            if len(calls) == 12:
                raise KeyboardInterrupt
            return objective(*given)

        options = {"hidden_layer_sizes": (8,), "random_state": 0, "solver": "lbfgs"}
        monkeypatch.setattr(lbfgs, "objective", interrupted)
        model = bl.MLPClassifier(**options)
        with pytest.raises(KeyboardInterrupt):
            model.fit(*IRIS)
        monkeypatch.setattr(lbfgs, "objective", objective)
        ends = [weights(bl.MLPClassifier(**options, max_iter=k).fit(*IRIS)) for k in range(6, 12)]
        found = [np.array_equal(weights(model), end) for end in ends]
        assert any(found)
        same = bl.MLPClassifier(**options, max_iter=6 + found.index(True)).fit(*IRIS)
        assert (model.n_iter_, model.loss_) == (same.n_iter_, same.loss_)
        assert model.score(*IRIS) > 0.9

    def test_a_search_by_lbfgs_ends_in_time_within_an_iteration(self, monkeypatch):
        now, evaluations = iter(range(1000)), []
        objective = lbfgs.objective
        monkeypatch.setattr(lbfgs, "monotonic", lambda: next(now))
        monkeypatch.setattr(lbfgs, "objective", lambda *given: evaluations.append(0) or objective(*given))
        with pytest.warns(ConvergenceWarning, match=r"max_time=5 s is over"):
            bl.MLPClassifier((8,), solver="lbfgs", random_state=0, max_time=5).fit(*IRIS)
        assert len(evaluations) == 6  # the clock goes on by one with every look

    @pytest.mark.parametrize("early_stopping", [False, True])
    def test_of_a_run_that_ends_within_its_first_epoch(self, early_stopping):
        x = np.random.default_rng(0).normal(size=(4000, 3))
        y = (x[:, 0] > 0).astype(int)
        callbacks = [lambda progress: progress.batch > 900]
        options = {"batch_size": 1, "early_stopping": early_stopping, "callbacks": callbacks}
        model = bl.MLPClassifier((8,), random_state=0, **options).fit(x, y)
        assert model.score(x, y) > 0.9


class TestWhatIsRefusedLeavesNoTrace:
    @pytest.mark.parametrize(
        ("parameters", "given"),
        [
            ({}, {"sample_weight": -np.ones(150)}),
            ({}, {"validation_data": 7}),
            ({}, {"validation_data": (IRIS[0], None)}),
            ({"engine": "steam"}, {}),
            ({"learning_rate": lambda step, losses: -1.0}, {}),
            ({"class_weight": {0: 1, 1: 2, 5: 3}}, {}),
            ({"class_weight": [{0: 1}]}, {}),
            ({"early_stopping": True, "validation_fraction": 0.001}, {}),
        ],
        ids=["weights", "validation", "no answers", "engine", "schedule", "classes", "list", "fraction"],
    )
    def test_the_model_is_as_before(self, parameters, given):
        model = bl.MLPClassifier(**OPTIONS, max_iter=5).fit(*IRIS)
        before = {name: value for name, value in vars(model).items() if name.endswith("_")}
        kept = weights(model)
        model.set_params(**parameters)
        with pytest.raises(ValueError, match=r"\w"):
            model.fit(*IRIS, **given)
        assert {name: value for name, value in vars(model).items() if name.endswith("_")} == before
        assert np.array_equal(weights(model), kept)
        fresh = bl.MLPClassifier(**OPTIONS | {"max_iter": 5} | parameters)
        with pytest.raises(ValueError, match=r"\w"):
            fresh.fit(*IRIS, **given)
        with pytest.raises(NotFittedError):
            fresh.predict(IRIS[0])

    @pytest.mark.parametrize("solver", ["adam", "lbfgs"])
    def test_ctrl_c_before_anything_was_trained(self, monkeypatch, solver):
        model = bl.MLPClassifier(**OPTIONS, max_iter=50, solver=solver).fit(*IRIS)
        kept = weights(model)

        def interrupted(*given, **options):
            raise KeyboardInterrupt

        if solver == "adam":
            engine = type(bl.open_engine("auto", model.network_, model.optimizer_, model.state_, IRIS))
            monkeypatch.setattr(engine, "advance", interrupted)
        else:
            calls, objective = [], lbfgs.objective
            monkeypatch.setattr(
                lbfgs, "objective", lambda *given: interrupted() if calls else calls.append(0) or objective(*given)
            )
        with pytest.raises(KeyboardInterrupt):
            model.fit(*IRIS)
        assert np.array_equal(weights(model), kept) and model.score(*IRIS) > 0.9

    def test_a_first_call_of_partial_fit_that_is_refused(self):
        model = bl.MLPClassifier(**OPTIONS)
        with pytest.raises(ValueError, match="sample_weight"):
            model.partial_fit(*IRIS, sample_weight=-np.ones(150), classes=[0, 1, 2])
        assert not [name for name in vars(model) if name.endswith("_")]

    def test_what_is_wrong_is_said_in_its_own_words(self):
        fitted = bl.MLPClassifier(**OPTIONS, max_iter=2).fit(*IRIS)
        cases = [
            (lambda: bl.MLPClassifier(class_weight={0: np.nan}).fit(*IRIS), "numbers of at least 0"),
            (lambda: bl.MLPClassifier(class_weight={0: "q"}).fit(*IRIS), "numbers of at least 0"),
            (lambda: bl.MLPClassifier(class_weight=[]).fit(*IRIS), "'class_weight'"),
            (lambda: bl.MLPClassifier(class_weight=[{0: 1}]).fit(*IRIS), "one dict, for one label per row"),
            (lambda: bl.MLPClassifier(class_weight={0: 1}).fit(X_LABELS, LABELS), "a list of dicts, one per label"),
            (lambda: bl.MLPClassifier(class_weight=[{0: 1}]).fit(X_LABELS, LABELS), "5 dicts are wanted"),
            (lambda: bl.MLPClassifier(callbacks=(f for f in [print])).fit(*IRIS), "a list of callables"),
            (lambda: bl.MLPClassifier(activation={"relu"}).fit(*IRIS), "one per hidden layer"),
            (lambda: fitted.fit(*IRIS, validation_data=(IRIS[0], IRIS[0][:, 0])), "y is continuous"),
            (lambda: fitted.set_params(hidden_layer_sizes=(3,)).partial_fit(*IRIS), "partial_fit: the fitted layers"),
            (lambda: bl.MLPRegressor().fit(X_NUMBERS, NUMBERS.astype("datetime64[s]")), "wanted numbers"),
        ]
        for action, words in cases:
            with pytest.raises(ValueError, match=words) as told:
                action()
            assert "\n" not in str(told.value)


class TestMeanwhile:
    @pytest.mark.parametrize(
        ("options", "told"),
        [
            ({"max_iter": 1}, "Maximum iterations"),
            ({"max_time": 1e-9}, "max_time"),
            ({"batch_size": 200, "max_iter": 1}, "clipped"),
            ({"solver": "lbfgs", "max_iter": 1}, "failed to converge"),
            ({"solver": "sgd", "learning_rate_init": 1e200}, "left the finite numbers"),
            ({"callbacks": [lambda progress: (_ for _ in ()).throw(KeyboardInterrupt)]}, "interrupted"),
        ],
    )
    def test_a_warning_names_the_line_that_called(self, options, told):
        model = bl.MLPRegressor(**{"hidden_layer_sizes": (3,), "random_state": 0} | options)
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            try:
                model.fit(*IRIS)
            except ValueError as error:
                assert "non-finite" in str(error)
        assert {w.filename for w in warned if told in str(w.message)} == {__file__}

    def test_a_callback_may_ask_the_model(self):
        seen = []
        model = bl.MLPClassifier(**OPTIONS, max_iter=8)
        model.set_params(callbacks=[lambda progress: seen.append((progress.step, model.score(*IRIS), weights(model)))])
        model.fit(*IRIS)
        assert seen[-1][0] == 8 * 8
        assert seen[-1][1] == model.score(*IRIS) > seen[0][1]
        assert np.array_equal(seen[-1][2], weights(model))

    def test_a_callback_within_the_first_epoch_finds_the_fitted_attributes(self):
        found = []
        model = bl.MLPClassifier((3,), random_state=0, batch_size=1, max_iter=2)
        model.set_params(callbacks=[lambda progress: found.append((model.loss_, model.optimizer_.rate))])
        model.fit(*IRIS)
        assert len(found) > 2 and np.isfinite(found).all()

    def test_early_stopping_may_begin_with_a_warm_start(self):
        model = bl.MLPClassifier(**OPTIONS, max_iter=40, warm_start=True).fit(*IRIS, validation_data=IRIS)
        before = model.score(*IRIS)
        still = {"early_stopping": True, "max_iter": 2, "learning_rate_init": 1e-12}  # so that nothing better is found
        model.set_params(**still).fit(*IRIS, validation_data=IRIS)
        assert model.score(*IRIS) >= before > 0.9

    def test_a_subclass_may_have_parameters_of_its_own(self):
        class Own(bl.MLPClassifier):
            def __init__(self, shade=1, hidden_layer_sizes=(5,), max_iter=3):
                super().__init__(hidden_layer_sizes, max_iter=max_iter, random_state=0)
                self.shade = shade

        plain = bl.MLPClassifier((5,), max_iter=3, random_state=0).fit(*IRIS)
        assert np.array_equal(weights(Own().fit(*IRIS)), weights(plain))

    def test_class_weights_in_partial_fit_of_rows_that_lack_a_class(self):
        x, y = IRIS[0][:60], np.array(["a", "b", "rare"])[IRIS[1]][:60]  # of these, none is rare
        first = {"classes": ["a", "b", "rare"]}
        weighted = bl.MLPClassifier(**OPTIONS, class_weight={"rare": 9.0, "b": 2.0}).partial_fit(x, y, **first)
        other = bl.MLPClassifier(**OPTIONS).partial_fit(x, y, np.where(y == "b", 2.0, 1.0), **first)
        assert np.array_equal(weights(weighted), weights(other))
        several = bl.MLPClassifier(**OPTIONS, class_weight=[{1: 3.0}] + 4 * [{}])
        rows = np.flatnonzero(LABELS[:, 1] == 0)
        again = bl.MLPClassifier(**OPTIONS).partial_fit(X_LABELS[rows], LABELS[rows], 1 + 2.0 * LABELS[rows, 0])
        assert np.array_equal(weights(several.partial_fit(X_LABELS[rows], LABELS[rows])), weights(again))

    def test_one_class_alone_is_always_right(self):
        # with this seed and rate the first outputs are above a half, on the side of a class that isn't there
        options = OPTIONS | {"max_iter": 6, "early_stopping": True, "random_state": 1, "learning_rate_init": 0.001}
        theirs, ours = (m.MLPClassifier(**options).fit(IRIS[0], np.full(150, 4)) for m in (neural_network, bl))
        assert ours.validation_scores_ == theirs.validation_scores_
        np.testing.assert_allclose(weights(ours), weights(theirs), rtol=0, atol=1e-10)

    def test_single_precision_meets_double(self):
        """Outputs are in the precision that NumPy multiplies X and the weights in, as scikit-learn's are."""
        found = []
        for library in (neural_network, bl):
            model = library.MLPRegressor(**OPTIONS, max_iter=3).fit(X_NUMBERS.astype("f4"), NUMBERS.astype("f4"))
            found.append([model.predict(X_NUMBERS.astype(kind)) for kind in ("f4", "f8", "i8")])
        for theirs, ours in zip(*found, strict=True):
            assert theirs.dtype == ours.dtype
            np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-4)
