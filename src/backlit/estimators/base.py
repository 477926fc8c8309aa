"""What the two estimators share: parameters in, fitted attributes out, and the way from one to the other.

Arrays are validated by scikit-learn's public tools; training is Descent's or lbfgs's. No formula of training here.
"""

# mypy: disable-error-code="import-untyped, untyped-decorator"

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import pairwise
from numbers import Number
from typing import Any

import numpy as np
from scipy.sparse import issparse
from sklearn import config_context
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.utils import check_array, check_random_state
from sklearn.utils.validation import validate_data

from ..batches import Order
from ..data import Dataset
from ..errors import BadInput
from ..evaluation import predict
from ..network import Network
from ..optimizers import SGD, Adam
from ..state import Floats, Layers, State
from .constraints import HIDDEN, check_parameters, layer_sizes
from .descent import Descent, Held, ShuffledRows
from .lbfgs import Found, penalty, search

DENSE_ROWS = 4096  # of a sparse X, made dense together when outputs are computed
# what a run of partial_fit keeps from its first call, as scikit-learn's optimizer object does; only alpha is read anew
OF_THE_SOLVER = (
    "solver", "momentum", "nesterovs_momentum", "beta_1", "beta_2", "epsilon",
    "learning_rate", "learning_rate_init", "power_t",
)  # fmt: skip
OUTPUT_NAMES = {"linear": "identity", "sigmoid": "logistic", "softmax": "softmax", "exp": "exp"}


class BasePerceptron(BaseEstimator):  # type: ignore[misc]
    """Fits a Network to arrays under scikit-learn's contract; see MLPClassifier and MLPRegressor."""

    # Until the first fit: nothing trained, no slots.
    _state: State | None = None
    _rate: float
    _solver: dict[str, Any]
    _best: State
    _moved = False  # whether the fit now running has trained anything

    def _keep(self, given: dict[str, Any]) -> None:
        """Stores every parameter of __init__, whose locals() are given, as it came: the contract of scikit-learn."""
        for name, value in given.items():
            if name not in ("self", "__class__"):
                setattr(self, name, value)

    # --- what the two kinds say of themselves ----------------------------------------------------------------------

    def _validated(self, X: Any, y: Any, incremental: bool, reset: bool) -> tuple[Any, Floats]:
        """X (N, n_in) and targets (N, n_out) of the network, validated."""
        raise NotImplementedError

    def _head(self) -> tuple[str, str]:
        """(output, loss) of the network."""
        raise NotImplementedError

    def _targets(self, y: Any) -> Floats:
        """Targets (N, n_out) of further labels or numbers, after fit knows what they are."""
        raise NotImplementedError

    def _score_outputs(self, outputs: Floats, targets: Floats, sample_weight: Any) -> float:
        """The score that early stopping looks at."""
        raise NotImplementedError

    def _weights(self, y: Any, sample_weight: Any, incremental: bool) -> Any:
        """The weights (N,) of the rows, or None."""
        return sample_weight

    def _stratum(self, targets: Floats) -> Any:
        """What the rows held out for early stopping are stratified by, or None."""
        return None

    # --- fit -------------------------------------------------------------------------------------------------------

    def fit(self, X: Any, y: Any, sample_weight: Any = None, *, validation_data: Any = None) -> Any:
        """Fits the network to X and y, from the beginning, or with warm_start from where it stands.

        X:                (N, n_in), an array, a sparse matrix (made dense), or a pandas or polars frame.
        y:                (N,) or (N, n_out), labels or numbers.
        sample_weight:    (N,), at least 0.
        validation_data:  (X, y) or (X, y, sample_weight), looked at after every epoch: ``validation_scores_`` and
                          ``validation_loss_curve_``; early_stopping then uses it instead of a part of X.
        """
        with self._as_before_if_refused():
            self._fit(X, y, sample_weight, validation_data, incremental=False)
        return self

    @contextmanager
    def _as_before_if_refused(self) -> Iterator[None]:
        """An exception before anything was trained leaves no trace; a later one keeps what was learned."""
        before, self._moved = self.__dict__.copy(), False
        try:
            yield
        except BaseException:
            if not self._moved:
                self.__dict__ = before
            raise

    def _fit(self, X: Any, y: Any, sample_weight: Any, validation_data: Any, incremental: bool) -> None:
        check_parameters(type(self).__name__, self.get_params(deep=False))
        hidden = layer_sizes(self.hidden_layer_sizes)
        first = not hasattr(self, "coefs_") or not (self.warm_start or incremental)
        if incremental and self.early_stopping:
            raise BadInput("partial_fit does not support early_stopping=True")
        if self.solver == "lbfgs" and (validation_data is not None or self.callbacks):
            raise BadInput("solver='lbfgs' has no epochs for validation_data and callbacks; take solver='adam'.")
        X, targets = self._validated(X, y, incremental, reset=first)
        weights = self._weights(y, checked_weights(sample_weight, X), incremental)
        X = dense(X)
        if incremental and not first and targets.shape[1] != (fitted := len(self.intercepts_[-1])):
            raise BadInput(f"y has {targets.shape[1]} columns, {fitted} were fitted: give as many.")
        self.n_outputs_ = targets.shape[1]
        self.network_ = self._network([X.shape[1], *hidden, self.n_outputs_], incremental)
        random = check_random_state(self.random_state)
        if first:
            self._begin(X.dtype, random)
        self.n_layers_ = len(self.network_.sizes)
        self.out_activation_ = OUTPUT_NAMES[self.network_.output]
        if self.solver == "lbfgs":
            self._search(X, targets, weights)
        else:
            self._descend(X, targets, weights, validation_data, random, incremental)
        if not np.isfinite(self.state_.parameters).all():
            raise_nonfinite()

    def _network(self, sizes: list[int], incremental: bool) -> Network:
        hidden = self.activation
        names = HIDDEN[hidden] if isinstance(hidden, str) else [HIDDEN[name] for name in hidden]
        output, loss = self._head()
        net = Network(sizes, names, output, loss)
        goes_on = hasattr(self, "coefs_") and (self.warm_start or incremental)
        if goes_on and (known := [W.shape for W in self.coefs_]) != list(pairwise(net.sizes)):
            who, how = ("partial_fit", "") if incremental else ("warm_start", " with warm_start=False")
            raise BadInput(
                f"{who}: the fitted layers are {known}, the parameters ask for sizes {list(net.sizes)}: fit anew{how}."
            )
        return net

    def _begin(self, dtype: Any, random: np.random.RandomState) -> None:
        """First parameters, drawn from scikit-learn's distribution in its order, and empty curves."""
        drawn = Layers(self.network_.sizes, np.empty(self.network_.n_parameters, dtype))
        for layer, name in zip(drawn, self._init_names(), strict=True):
            bound = np.sqrt((2.0 if name == "logistic" else 6.0) / sum(layer.W.shape))
            layer.W[...] = random.uniform(-bound, bound, layer.W.shape)
            layer.b[...] = random.uniform(-bound, bound, layer.b.shape)
        state, before = State(self.network_.sizes, drawn.flat), self._state
        if self.solver == "lbfgs" and before is not None and before.sizes == state.sizes:
            # what the solvers of earlier fits carry stays for partial_fit, as scikit-learn's optimizer object does
            state = replace(before.astype(state.dtype), parameters=state.parameters)
        self._set_state(state)
        self.n_iter_, self.t_ = 0, 0
        self._best = self.state_
        if self.solver != "lbfgs":
            self._empty_curves()

    def _empty_curves(self) -> None:
        self.loss_curve_: list[float] = []
        self._no_improvement_count = 0
        self.best_loss_: float | None = None if self.early_stopping else np.inf
        self.validation_scores_: list[float] | None = None
        self.validation_loss_curve_: list[float] | None = None
        self.best_validation_score_: float | None = None

    def _init_names(self) -> Iterator[str]:
        """The activation that the spread of each layer's first weights follows; the output's is the last hidden's."""
        layers = len(self.network_.sizes) - 1
        given = [self.activation] * layers if isinstance(self.activation, str) else list(self.activation)
        for index in range(layers):
            yield given[min(index, len(given) - 1)] if given else "identity"

    def _optimizer(self) -> SGD | Adam:
        """The record of the solver at the present rate."""
        l2, kept = float(self.alpha), self._solver
        if kept["solver"] == "adam":
            betas = float(kept["beta_1"]), float(kept["beta_2"])
            return Adam(self._rate, *betas, float(kept["epsilon"]), l2, "batch", "raw")
        return SGD(self._rate, float(kept["momentum"]), bool(kept["nesterovs_momentum"]), l2, "batch")

    # --- the two ways to train --------------------------------------------------------------------------------------

    def _search(self, X: Floats, targets: Floats, weights: Any) -> None:
        # lbfgs has no record: the plain gradient step on the same objective stands for it
        opt = SGD(float(self.learning_rate_init), l2=float(self.alpha), l2_over="batch")
        self.optimizer_: SGD | Adam = opt
        state = self.state_.astype(np.float64)  # as scipy searches, and scikit-learn keeps what it finds
        total = len(X) if weights is None else float(weights.sum())

        def keep(found: Found) -> None:
            kept = replace(state, parameters=found.parameters)
            self._keep_trained(kept)
            l2 = penalty(opt, kept.layers, total)
            self.n_iter_, self.loss_ = found.iterations, (found.objective - l2) / self._share() + l2

        found = search(
            self.network_, X, targets, weights, state.parameters, opt, engine=self.engine, tol=self.tol,
            max_iter=int(self.max_iter), max_fun=int(self.max_fun), max_time=self.max_time, verbose=bool(self.verbose),
            keep=keep,
        )  # fmt: skip
        keep(found)
        if found.complaint:
            warnings.warn(found.complaint, ConvergenceWarning, stacklevel=4)

    def _descend(
        self, X: Floats, targets: Floats, weights: Any, validation_data: Any, random: Any, incremental: bool
    ) -> None:
        if not incremental or not hasattr(self, "_solver"):
            self._solver = {name: getattr(self, name) for name in OF_THE_SOLVER}
            self._rate = float(self.learning_rate_init)
        if not hasattr(self, "loss_curve_"):  # lbfgs has been here before
            self._empty_curves()
        if not self.early_stopping and self.best_loss_ is None:  # it has stopped early before, but no longer
            self.best_loss_ = min((loss for loss in self.loss_curve_ if loss == loss), default=np.inf)
        opt = self._optimizer()
        state = self.state_ if incremental else replace(self.state_, slots={})
        X, targets, weights, held = self._held(X, targets, weights, validation_data, random)
        if held is not None and self.validation_scores_ is None:
            self.validation_scores_, self.validation_loss_curve_ = [], []
            self.best_validation_score_ = -np.inf
        batch = self._batch_size(len(X))
        order: Order = ShuffledRows(len(X), random) if self.shuffle else "as_given"
        self.n_iter_ = 0
        descent = Descent(
            self, self.network_, opt, Dataset(X, targets, weights), state.for_optimizer(opt), order, batch,
            1 if incremental else int(self.max_iter), self._share(), held, incremental,
        )  # fmt: skip
        descent.run()
        if descent.diverged and not self.early_stopping:
            with np.errstate(over="ignore"):
                squares = np.square(targets)
            if not np.isfinite(squares).all():
                raise BadInput("y holds numbers so large that their squares are infinite: it needs to be preprocessed.")
            raise_nonfinite()

    def _share(self) -> int:
        """What a reported loss is divided by: regression reports the mean over its outputs, but steps along the sum."""
        return 1

    def _batch_size(self, n: int) -> int:
        if self.batch_size == "auto":
            return min(200, n)
        if self.batch_size > n:
            warnings.warn(
                "Got `batch_size` less than 1 or larger than sample size. It is going to be clipped", stacklevel=5
            )
        return int(min(self.batch_size, n))

    def _held(
        self, X: Floats, targets: Floats, weights: Any, validation_data: Any, random: Any
    ) -> tuple[Floats, Floats, Any, Held | None]:
        """(X, targets, weights) to train on, and the rows to validate with, if any."""
        if validation_data is not None:
            return X, targets, weights, self._validation(validation_data)
        if not self.early_stopping:
            return X, targets, weights, None
        with config_context(skip_parameter_validation=True):  # so that 0.0 is told as scikit-learn's fit tells it
            rows, rest = train_test_split(
                np.arange(len(X)),
                random_state=random,
                test_size=self.validation_fraction,
                stratify=self._stratum(targets),
            )
        if len(rest) < 2:
            raise BadInput(
                "The validation set is too small. Increase 'validation_fraction' or the size of your dataset."
            )
        s, s_held = (None, None) if weights is None else (weights[rows], weights[rest])
        return X[rows], targets[rows], s, self._held_rows(X[rest], targets[rest], s_held)

    def _validation(self, given: Any) -> Held:
        if not isinstance(given, tuple | list) or len(given) not in (2, 3):
            raise BadInput(f"validation_data must be (X, y) or (X, y, sample_weight); got {type(given).__name__}.")
        if given[1] is None:
            raise BadInput("validation_data: y is None: the answers of its rows are wanted.")
        X = validate_data(self, given[0], accept_sparse=["csr", "csc"], dtype=[np.float64, np.float32], reset=False)
        targets = self._targets(given[1])
        if len(targets) != X.shape[0]:
            raise BadInput(f"validation_data: X has {X.shape[0]} rows, y has {len(targets)}: as many are wanted.")
        weights = checked_weights(given[2] if len(given) == 3 else None, X)
        return self._held_rows(dense(X), targets, weights)

    def _held_rows(self, X: Floats, targets: Floats, weights: Any) -> Held:
        def score(state: State) -> float:
            outputs = predict(self.network_, state, X)
            return self._score_outputs(outputs, targets, weights) if np.isfinite(outputs).all() else np.nan

        return Held(Dataset(X, targets, weights), score)

    # --- fitted ------------------------------------------------------------------------------------------------------

    def _set_state(self, state: State) -> None:
        """Keeps the State, its parameters as the arrays that people read, and may write."""
        self._state = state
        layers = Layers(state.sizes, np.array(state.parameters))
        self.coefs_ = [layer.W for layer in layers]
        self.intercepts_ = [layer.b for layer in layers]

    def _keep_trained(self, state: State) -> None:
        self._set_state(state)
        self._moved = True

    @property
    def state_(self) -> State:
        """The State as it stands; its parameters are those in coefs_ and intercepts_, whoever wrote them."""
        if not hasattr(self, "coefs_"):
            raise AttributeError(f"{type(self).__name__} has no state_ before it is fitted")
        pairs = zip(self.coefs_, self.intercepts_, strict=True)
        parameters = np.concatenate([np.ravel(array) for pair in pairs for array in pair])
        if self._state is None:
            return State(self.network_.sizes, parameters)
        return replace(self._state, parameters=parameters)

    def _outputs(self, X: Any) -> Floats:
        """Outputs (N, n_out) of the network; a sparse X is made dense some rows at a time."""
        X = validate_data(self, X, accept_sparse=["csr", "csc"], reset=False)
        state = State(self.network_.sizes, self.state_.parameters)
        if np.result_type(X.dtype, state.dtype) == np.float64:  # as NumPy multiplies them
            state = state.astype(np.float64)
        if not issparse(X):
            return predict(self.network_, state, X)
        X = X.tocsr()
        starts = range(0, X.shape[0], DENSE_ROWS)
        return np.concatenate([predict(self.network_, state, X[i : i + DENSE_ROWS].toarray()) for i in starts])

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags


def dense(given: Any) -> Any:
    """A sparse matrix as an array; anything else as it is."""
    return given.toarray() if issparse(given) else given


def raise_nonfinite() -> None:
    raise BadInput(
        "Solver produced non-finite parameter weights. The input data may contain large values and need to be "
        "preprocessed."
    )


def checked_weights(given: Any, X: Any) -> Any:
    """Sample weights (N,) in X's dtype, or None; a single number serves every row."""
    if given is None:
        return None
    if isinstance(given, Number):
        given = np.full(X.shape[0], given)
    weights = check_array(
        given, dtype=X.dtype, ensure_2d=False, accept_sparse=False, order="C", input_name="sample_weight"
    )
    if weights.ndim != 1:
        wanted = f"Expected either a scalar value or a 1D array of length {X.shape[0]}."
        raise BadInput(f"Sample weights must be 1D array or scalar, got {weights.ndim}D array. {wanted}")
    if weights.shape != (X.shape[0],):
        raise BadInput(f"sample_weight.shape == {weights.shape}, expected {(X.shape[0],)}!")
    if not weights.any():
        raise BadInput("Sample weights must contain at least one non-zero number.")
    return weights


def stochastic(estimator: Any) -> bool:
    """Whether partial_fit is there; the reason why not, as an AttributeError."""
    if estimator.solver not in ("sgd", "adam"):
        raise AttributeError(
            f"partial_fit is only available for stochastic optimizers. {estimator.solver} is not stochastic."
        )
    return True
