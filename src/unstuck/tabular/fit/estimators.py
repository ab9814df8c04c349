"""`Classifier` and `Regressor`: the trainer as scikit-learn estimators. Importing scikit-learn takes a second; only
this module and `contract` do."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import ClassifierMixin, MultiOutputMixin, RegressorMixin
from sklearn.utils import check_array
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import column_or_1d

from unstuck.tabular.fit.arrays import plain
from unstuck.tabular.fit.contract import Network
from unstuck.tabular.fit.pinball import level_of
from unstuck.tabular.fit.refusal import CannotFit
from unstuck.tabular.fit.task import Classes, Labels, Numbers, Task

Array = np.ndarray


class Classifier(ClassifierMixin, Network):
    """A classifier that is invariant to the units of its columns: binary, multi-class, or multi-label (y (n, k) of 0,
    1).

    A parameter that is None is chosen from the data. Early stopping is always on: every network keeps the weights with
    the lowest held-out loss.

    Parameters
    ----------
    hidden
        int or tuple of int: units per hidden layer. None: an ensemble that grows while its held-out loss falls.
    activation
        "relu", "silu" or "tanh".
    module
        your own network: an nn.Module, or a class or function of (inputs, outputs) that returns one.
    lanes
        number of networks trained in parallel, each with its own held-out rows; predictions are averaged.
    epochs
        maximum passes over the rows.
    batch_size
        rows per step.
    learning_rate
        peak rate of AdamW. None: found by a sweep over sixteen rates.
    weight_decay
        of AdamW; applies to weights, not to biases.
    class_weight
        "balanced", or {class: weight}.
    warm_start
        whether a further `fit` continues from the current networks.
    device
        where a `module` is trained, for example "cuda".
    random_state
        an int makes the result reproducible to the bit.
    verbose
        1 prints every epoch.
    time_limit
        seconds that `fit` may take. A limit that is reached makes the result depend on the speed of the machine.
    n_jobs
        how many of the larger stages and of the trees' parts are trained at once, by the convention of joblib: in
        threads, or where `joblib.parallel_config` says. The predictions do not depend on it.

    Attributes
    ----------
    classes_, n_features_in_, feature_names_in_
        as in scikit-learn; multi-label columns are numbered.
    n_iter_
        epochs over all networks (after `partial_fit`: calls).
    loss_curve_, validation_curve_
        loss per epoch on training rows and on held-out rows.
    best_loss_
        the lowest validation loss.
    notes_
        notes on what was decided in fitting.
    model_
        the fitted model.
    """

    def __init__(
        self,
        hidden: int | tuple[int, ...] | None = None,
        activation: str | None = None,
        module: Any = None,
        lanes: int | None = None,
        epochs: int | None = None,
        batch_size: int | None = None,
        learning_rate: float | None = None,
        weight_decay: float = 0.02,
        class_weight: Any = None,
        warm_start: bool = False,
        device: str | None = None,
        random_state: Any = None,
        verbose: int = 0,
        time_limit: float | None = None,
        n_jobs: int | None = None,
    ) -> None:
        self.hidden = hidden
        self.activation = activation
        self.module = module
        self.lanes = lanes
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.class_weight = class_weight
        self.warm_start = warm_start
        self.device = device
        self.random_state = random_state
        self.verbose = verbose
        self.time_limit = time_limit
        self.n_jobs = n_jobs

    def partial_fit(self, X: Any, y: Any, classes: Any = None, sample_weight: ArrayLike | None = None) -> Self:
        """One pass over some rows. The first call needs all `classes`, and fixes the encoding of the columns: pass some
        hundred representative rows."""
        if isinstance(self.class_weight, str):
            raise ValueError("class_weight='balanced' needs all rows at once: pass the weights as a dict")
        first = not hasattr(self, "model_")
        if first and classes is None:
            raise ValueError("classes must be passed on the first call to partial_fit.")
        if classes is not None:
            classes = np.unique(plain(classes))
            if not first and not np.array_equal(classes, self.classes_):
                raise ValueError(f"classes are {classes}, but were {self.classes_} on the first call to partial_fit.")
        return self._partial_fit(X, y, sample_weight, first, classes)

    def predict_proba(self, X: Any) -> Array:
        """Probabilities (n, classes), in the order of `classes_`; multi-label: of each label, (n, k)."""
        return self._answers(X)

    def predict_log_proba(self, X: Any) -> Array:
        """Log-probabilities, in the same format."""
        with np.errstate(divide="ignore"):
            return np.log(self.predict_proba(X))

    def predict(self, X: Any) -> Array:
        """The most probable class (n,); multi-label: (n, k) of 0 and 1."""
        found = self._answers(X)
        if isinstance(self.model_.task, Labels):
            return (found > 0.5).astype(np.int64)
        return self.classes_[found.argmax(axis=1)]

    def _target(self, y: Any, reset: bool, classes: Any = None) -> Array:
        y = plain(y)
        y = y.toarray() if hasattr(y, "toarray") else y
        check_classification_targets(y)
        kind = type_of_target(y, input_name="y")
        if kind == "multiclass-multioutput":
            raise ValueError("y holds several targets with more than two classes each: fit one Classifier per target")
        y = np.asarray(y) if kind == "multilabel-indicator" else column_or_1d(y, warn=True)
        found = np.arange(y.shape[1]) if y.ndim == 2 else np.unique(y)
        if reset:
            self.classes_ = found if classes is None or y.ndim == 2 else classes
        if len(new := np.setdiff1d(found, self.classes_)):
            raise ValueError(f"y contains the classes {new}, but the model was fitted to {self.classes_}")
        return y

    def _task(self, y: Array, weights: Array | None, partial: bool = False) -> Task:
        if y.ndim == 2:
            return Labels(tuple(map(str, self.classes_)))
        if not partial and len(np.unique(y)) < 2:
            raise ValueError(f"y contains only one class, {y[0]!r}")
        return Classes(self.classes_)

    def _weights(self, X: Any, y: Array, sample_weight: Any) -> Array | None:
        weights = super()._weights(X, y, sample_weight)
        if self.class_weight is None:
            return weights
        if y.ndim == 2 or not isinstance(self.class_weight, str):
            by_class = compute_sample_weight(self.class_weight, y)
        elif self.class_weight == "balanced":
            by_class = _balanced(np.searchsorted(self.classes_, y), weights)
        else:
            raise ValueError(f"class_weight must be 'balanced', a dict or None, not {self.class_weight!r}")
        return by_class if weights is None else weights * by_class

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags


class Regressor(RegressorMixin, MultiOutputMixin, Network):
    """A regressor that is invariant to the units of its columns and of y (n,) or (n, k).

    Parameters and attributes are those of `Classifier`, without classes and class weights, and

    loss
        "squared" predicts the mean, "absolute" the median, "quantile:0.9" (or another share) the number that nine of
        ten targets do not exceed.
    """

    def __init__(
        self,
        hidden: int | tuple[int, ...] | None = None,
        activation: str | None = None,
        module: Any = None,
        lanes: int | None = None,
        epochs: int | None = None,
        batch_size: int | None = None,
        learning_rate: float | None = None,
        weight_decay: float = 0.02,
        warm_start: bool = False,
        device: str | None = None,
        random_state: Any = None,
        verbose: int = 0,
        time_limit: float | None = None,
        n_jobs: int | None = None,
        loss: str = "squared",
    ) -> None:
        self.loss = loss
        self.hidden = hidden
        self.activation = activation
        self.module = module
        self.lanes = lanes
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.warm_start = warm_start
        self.device = device
        self.random_state = random_state
        self.verbose = verbose
        self.time_limit = time_limit
        self.n_jobs = n_jobs

    def partial_fit(self, X: Any, y: Any, sample_weight: ArrayLike | None = None) -> Self:
        """One pass over some rows. The first call fixes the encoding of columns and target: pass some hundred
        representative rows."""
        return self._partial_fit(X, y, sample_weight, not hasattr(self, "model_"))

    def predict(self, X: Any) -> Array:
        """The numbers, (n,) or (n, k) as y was."""
        found = self._answers(X)
        return found[:, 0] if self._flat else found

    def predict_interval(self, X: Any, level: float = 0.9) -> Array:
        """The lower and upper ends of intervals that hold at least a share `level` of targets of rows drawn as the
        fitted ones were, (n, 2), or (n, k, 2) where y is (n, k) and each target has its own.

        They are the predictions and quantiles of the errors for held-out rows (split conformal prediction). Raises
        ValueError if too few rows were held out for this level, or none, as after `partial_fit`.
        """
        answers, conformal = self._answers(X), self.model_.conformal
        if conformal is None:
            raise CannotFit("intervals need held-out rows: this model has none (few rows, or partial_fit)")
        found = conformal.around(answers, level)
        return found[:, 0] if self._flat else found

    def _target(self, y: Any, reset: bool, classes: Any = None) -> Array:
        y = check_array(plain(y), ensure_2d=False, dtype="numeric", input_name="y")
        if y.ndim > 2:
            raise ValueError(f"y has {y.ndim} dimensions: its shape must be (n,) or (n, k)")
        if reset:
            self._flat = y.ndim == 1
        y = y.reshape(len(y), -1).astype(np.float64)
        if not reset and y.shape[1] != len(self.model_.task.mean):
            raise ValueError(f"y has {y.shape[1]} columns, but had {len(self.model_.task.mean)} before")
        return y

    def _task(self, y: Array, weights: Array | None, partial: bool = False) -> Task:
        return Numbers.of(y, weights, level_of(self.loss))


def _balanced(codes: Array, weights: Array | None) -> Array:
    """(n,): weights with which all classes that occur have the same total."""
    mass = np.bincount(codes, weights)
    return (mass.sum() / np.count_nonzero(mass) / np.where(mass > 0, mass, 1.0))[codes]
