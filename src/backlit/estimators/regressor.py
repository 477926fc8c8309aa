"""MLPRegressor: numbers from a dense network, under scikit-learn's contract."""

# mypy: disable-error-code="import-untyped, untyped-decorator"

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import RegressorMixin
from sklearn.utils import check_array, column_or_1d
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted, validate_data

from ..errors import BadInput
from ..evaluation import r2
from ..state import Floats
from .base import BasePerceptron, dense, stochastic

# loss -> (output, loss of the Network). scikit-learn's squared error is half of it, as is its Poisson deviance.
LOSSES = {
    "squared_error": ("linear", "quadratic"),
    "poisson": ("exp", "poisson"),
    "absolute_error": ("linear", "absolute_error"),
    "huber": ("linear", "huber"),
}


class MLPRegressor(RegressorMixin, BasePerceptron):  # type: ignore[misc]
    """A dense network for numbers: scikit-learn's MLPRegressor, parameter for parameter, and what it lacks.

    The parameters up to ``max_fun`` mean what they mean in scikit-learn. As there, several outputs are trained on the
    sum of their half squared errors, and the reported loss is the mean over the outputs. Beyond scikit-learn:

    loss:           also "absolute_error" and "huber" (threshold 1).
    activation:     also "leaky_relu", "gelu", "softplus", or a list with one name per hidden layer.
    learning_rate:  also a schedule, such as bl.OneCycle(0.01, steps=1000), called with (step, losses of the epochs);
                    for sgd and adam.
    verbose:        also "bar": a progress bar.
    callbacks:      called with every bl.Progress, several times a second and after each epoch; True ends the run.
    max_time:       seconds after which training ends.
    engine:         see bl.available_engines().

    With the same random_state, first weights, order of rows and every update are scikit-learn's to rounding. A run
    that leaves the finite numbers ends at once, with a warning that says where, instead of going on with NaN. A sparse
    X is made dense for training.

    Two results differ on purpose. With lbfgs and several outputs the search minimizes the sum of which it is given the
    gradient, where scikit-learn hands it that gradient with the mean over the outputs. And a refit with early_stopping
    and warm_start that finds nothing better gives back the best weights so far, where scikit-learn has updated those in
    place and gives back the last.

    Fitted: scikit-learn's attributes, ``validation_loss_curve_``, and ``network_``, ``optimizer_``, ``state_`` for
    bl.save, bl.step, bl.check_gradients. Raises BadInput (a ValueError) for what doesn't fit.
    """

    def __init__(
        self,
        loss: str = "squared_error",
        hidden_layer_sizes: Any = (100,),
        activation: Any = "relu",
        *,
        solver: str = "adam",
        alpha: float = 0.0001,
        batch_size: Any = "auto",
        learning_rate: Any = "constant",
        learning_rate_init: float = 0.001,
        power_t: float = 0.5,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: Any = None,
        tol: float = 1e-4,
        verbose: Any = False,
        warm_start: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: float = 10,
        max_fun: int = 15000,
        callbacks: Any = None,
        max_time: float | None = None,
        engine: str = "auto",
    ) -> None:
        self._keep(locals())

    @available_if(stochastic)
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> Any:
        """One epoch over X (N, n_in) and y (N,) or (N, n_out), from where it stands."""
        with self._as_before_if_refused():
            self._fit(X, y, sample_weight, None, incremental=True)
        return self

    def predict(self, X: Any) -> Floats:
        """Numbers (N,), or (N, n_out) with several outputs."""
        check_is_fitted(self)
        return self._numbers(self._outputs(X))

    def _numbers(self, outputs: Floats) -> Floats:
        return outputs.ravel() if outputs.shape[1] == 1 else outputs

    def _validated(self, X: Any, y: Any, incremental: bool, reset: bool) -> tuple[Any, Floats]:
        X, y = validate_data(
            self, X, y, accept_sparse=["csr", "csc"], multi_output=True, y_numeric=True,
            dtype=(np.float64, np.float32), reset=reset,
        )  # fmt: skip
        y = dense(y)
        if y.dtype.kind not in "biuf":
            raise BadInput(f"y holds {y.dtype}: wanted numbers.")
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        return X, y.reshape(len(y), -1).astype(X.dtype, copy=False)

    def _targets(self, y: Any) -> Floats:
        y = check_array(dense(y), ensure_2d=False, dtype="numeric", input_name="y")
        targets = y.reshape(len(y), -1)
        if targets.shape[1] != self.n_outputs_:
            raise BadInput(f"y has {targets.shape[1]} columns, {self.n_outputs_} were fitted: give as many.")
        return targets

    def _head(self) -> tuple[str, str]:
        return LOSSES[self.loss]

    def _share(self) -> int:
        return 1 if self.loss == "poisson" else self.n_outputs_

    def _score_outputs(self, outputs: Floats, targets: Floats, sample_weight: Any) -> float:
        weights = np.ones(len(targets)) if sample_weight is None else np.asarray(sample_weight, np.float64)
        return r2(outputs, targets, weights)
