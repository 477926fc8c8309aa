"""MLPClassifier: classes or several labels from a dense network, under scikit-learn's contract."""

# mypy: disable-error-code="import-untyped, untyped-decorator"

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import ClassifierMixin
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils import column_or_1d
from sklearn.utils.class_weight import compute_class_weight, compute_sample_weight
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import type_of_target, unique_labels
from sklearn.utils.validation import check_is_fitted, validate_data

from ..errors import BadInput
from ..state import Floats
from .base import BasePerceptron, dense, stochastic


class MLPClassifier(ClassifierMixin, BasePerceptron):  # type: ignore[misc]
    """A dense network for classes: scikit-learn's MLPClassifier, parameter for parameter, and what it lacks.

    The parameters up to ``max_fun`` mean what they mean in scikit-learn. Two classes have one sigmoid output, more
    have softmax, several labels per row one sigmoid each. Beyond scikit-learn:

    class_weight:   a dict class -> weight, "balanced" (n / (classes · rows of the class)), or for several labels a
                    list of them; multiplies sample_weight.
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

    Two results differ on purpose. A refit with early_stopping and warm_start that finds nothing better gives back the
    best weights so far, where scikit-learn has updated those in place and gives back the last. And ``loss_curve_``
    holds the cross-entropy as it is, where scikit-learn lets no row count more than 36 (16 in float32): above that,
    which takes inputs that aren't scaled, the curves differ, and a run may end at another epoch.

    Fitted: scikit-learn's attributes, ``validation_loss_curve_``, and ``network_``, ``optimizer_``, ``state_`` for
    bl.save, bl.step, bl.check_gradients. Raises BadInput (a ValueError) for what doesn't fit.
    """

    def __init__(
        self,
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
        class_weight: Any = None,
        callbacks: Any = None,
        max_time: float | None = None,
        engine: str = "auto",
    ) -> None:
        self._keep(locals())

    @available_if(stochastic)
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None, classes: Any = None) -> Any:
        """One epoch over X (N, n_in) and y, from where it stands.

        classes: all there will ever be, at the first call; for labels (N, n_labels) they are told from y.
        """
        with self._as_before_if_refused():
            self._take_classes(y, classes)
            self._fit(X, y, sample_weight, None, incremental=True)
        return self

    def _take_classes(self, y: Any, classes: Any) -> None:
        several = type_of_target(y).startswith("multilabel")
        if not hasattr(self, "classes_"):
            if classes is None and not several:
                raise BadInput("classes must be passed on the first call to partial_fit.")
            self._label_binarizer = LabelBinarizer().fit(y if several else unique_labels(classes))
            self.classes_ = self._label_binarizer.classes_
        elif classes is not None and not np.array_equal(self.classes_, unique_labels(classes)):
            raise BadInput(
                f"`classes={classes!r}` is not the same as on last call to partial_fit, was: {self.classes_!r}"
            )

    def predict(self, X: Any) -> NDArray[Any]:
        """The classes (N,), or for several labels 0 and 1 of shape (N, n_labels)."""
        check_is_fitted(self)
        return self._labels(self._outputs(X))

    def predict_proba(self, X: Any) -> Floats:
        """Probabilities (N, n_classes) in the order of ``classes_``; for several labels each its own (N, n_labels)."""
        check_is_fitted(self)
        outputs = self._outputs(X)
        return np.hstack([1 - outputs, outputs]) if outputs.shape[1] == 1 else outputs

    def predict_log_proba(self, X: Any) -> Floats:
        """The logarithms of predict_proba; −inf where a probability is 0."""
        with np.errstate(divide="ignore"):
            logarithms: Floats = np.log(self.predict_proba(X))
        return logarithms

    def _labels(self, outputs: Floats) -> NDArray[Any]:
        labels: NDArray[Any] = self._label_binarizer.inverse_transform(
            outputs.ravel() if outputs.shape[1] == 1 else outputs
        )
        return labels

    def _validated(self, X: Any, y: Any, incremental: bool, reset: bool) -> tuple[Any, Floats]:
        X, y = validate_data(
            self, X, y, accept_sparse=["csr", "csc"], multi_output=True, dtype=(np.float64, np.float32), reset=reset
        )
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        if not hasattr(self, "classes_") or not (self.warm_start or incremental):
            self._label_binarizer = LabelBinarizer().fit(y)
            self.classes_ = self._label_binarizer.classes_
        else:
            self._check_classes(unique_labels(y), several=type_of_target(y).startswith("multilabel"))
        return X, self._coded(y, X.dtype)

    def _coded(self, y: Any, dtype: Any) -> Floats:
        """Known labels as targets (N, n_out), as the LabelBinarizer codes them; its checks would take longer."""
        kind = self._label_binarizer.y_type_
        if kind.startswith("multilabel"):
            coded: Floats = self._label_binarizer.transform(y).astype(dtype)
            return coded
        places = np.searchsorted(self.classes_, y)
        if kind == "binary":
            return places[:, None].astype(dtype)
        targets: Floats = np.zeros((len(y), len(self.classes_)), dtype)
        targets[np.arange(len(y)), places] = 1
        return targets

    def _check_classes(self, classes: NDArray[Any], several: bool) -> None:
        if self.warm_start and set(classes) != set(self.classes_):
            raise BadInput(
                "warm_start can only be used where `y` has the same classes as in the previous call to fit. "
                f"Previously got {self.classes_}, `y` has {classes}"
            )
        if several and self._label_binarizer.y_type_.startswith("multilabel") and len(classes) != len(self.classes_):
            raise BadInput(f"y has {len(classes)} columns, {len(self.classes_)} were fitted: give as many.")
        if len(np.setdiff1d(classes, self.classes_, assume_unique=True)):
            raise BadInput(
                f"`y` has classes not in `self.classes_`. `self.classes_` has {self.classes_}. 'y' has {classes}."
            )

    def _targets(self, y: Any) -> Floats:
        y = np.asarray(dense(y))
        y = column_or_1d(y) if y.ndim == 2 and y.shape[1] == 1 else y
        kind = type_of_target(y)
        if kind not in ("binary", "multiclass", "multilabel-indicator"):
            raise BadInput(f"validation_data: y is {kind}: wanted classes, as in y.")
        new = np.setdiff1d(unique_labels(y), self.classes_)
        if len(new):
            raise BadInput(f"validation_data: y has {new.tolist()[0]!r}, which is none of the classes {self.classes_}.")
        return self._coded(y, np.float64)

    def _head(self) -> tuple[str, str]:
        if self._label_binarizer.y_type_ == "multiclass":
            return "softmax", "cross_entropy"
        return "sigmoid", "binary_cross_entropy"

    def _weights(self, y: Any, sample_weight: Any, incremental: bool) -> Any:
        if self.class_weight is None:
            return sample_weight
        if incremental and self.class_weight == "balanced":
            raise BadInput(
                "class_weight='balanced' is not supported for partial_fit, which sees a part of the rows only: give a "
                "dict, as sklearn.utils.class_weight.compute_class_weight makes it of all of them."
            )
        weights = self._class_weights(np.asarray(dense(y)))
        return weights if sample_weight is None else weights * sample_weight

    def _class_weights(self, y: NDArray[Any]) -> Floats:
        """The weights (N,) of labels (N,) or (N, n_labels); a call of partial_fit may lack some of the classes."""
        given = self.class_weight
        if isinstance(given, str):
            balanced: Floats = compute_sample_weight(given, y)
            return balanced
        several = y.ndim == 2 and y.shape[1] > 1
        if several == isinstance(given, dict):
            wanted = "a list of dicts, one per label" if several else "one dict, for one label per row"
            raise BadInput(f"class_weight: {wanted} is wanted; got a {type(given).__name__}.")
        if several and len(given) != y.shape[1]:
            raise BadInput(f"class_weight: {y.shape[1]} dicts are wanted, one per label; got {len(given)}.")
        columns = zip(y.T, given, strict=True) if several else [(y.ravel(), given)]
        classes = np.array([0, 1]) if several else self.classes_
        weights = np.ones(len(y))
        for labels, of in columns:
            weights *= compute_class_weight(of, classes=classes, y=classes)[np.searchsorted(classes, labels)]
        return weights

    def _stratum(self, targets: Floats) -> Any:
        # As scikit-learn: two classes are stratified, more are not, because their targets have several columns.
        return targets.astype(bool) if self.n_outputs_ == 1 else None

    def _score_outputs(self, outputs: Floats, targets: Floats, sample_weight: Any) -> float:
        if len(self.classes_) == 1:
            right = np.ones(len(targets), bool)
        elif self._label_binarizer.y_type_ == "multiclass":
            right = outputs.argmax(axis=1) == targets.argmax(axis=1)
        else:
            right = ((outputs > 0.5) == (targets > 0.5)).all(axis=1)
        return float(np.average(right, weights=sample_weight))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags
