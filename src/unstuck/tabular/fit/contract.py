"""What `Classifier` and `Regressor` share: scikit-learn's estimator interface, except for the target."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator
from sklearn.utils import check_consistent_length, check_random_state
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from unstuck.tabular.extras import needed_by
from unstuck.tabular.fit.arrays import Schema, arranged, blocks, frame_of, is_table, plain
from unstuck.tabular.fit.course import Course, noted
from unstuck.tabular.fit.evaluated import Evaluated, Held
from unstuck.tabular.fit.frame import Frame
from unstuck.tabular.fit.online import Pace
from unstuck.tabular.fit.options import Options, options_of, resources_of
from unstuck.tabular.fit.separation import Separation
from unstuck.tabular.fit.task import Classes, Task
from unstuck.tabular.fit.trainer import trainer

if TYPE_CHECKING:
    from unstuck.tabular.fit.explain.explanation import Explanation
    from unstuck.tabular.fit.export.whole import Whole

Array = np.ndarray


class Network(Evaluated, BaseEstimator):
    """The common part of both estimators."""

    _seed: int
    """Drawn from `random_state` by the first fit; warm starts keep it."""
    _schema: Schema
    _pace: Pace
    warm_start: bool
    verbose: int
    random_state: Any
    n_features_in_: int

    def fit(self, X: Any, y: Any, sample_weight: ArrayLike | None = None, groups: Any = None, time: Any = None) -> Self:
        """Fit X (n, d) to y; `sample_weight` (n,): a row of weight w counts as w rows.

        `groups`, (n,): rows with one value are held out together, so that `scores_` are those of new groups. `time`,
        (n,) numbers or dates: the latest rows are held out, and earlier ones are trained on. Neither is an input.

        X: an array, a list of rows, a sparse matrix, a tensor, a data frame of pandas or polars, an Arrow table. With
        `warm_start`, a further call continues from the current networks and keeps the encoding of the columns.
        """
        resources = resources_of(self)
        before = self.model_ if self.warm_start and hasattr(self, "model_") else None
        separation = Separation.of(plain(groups), plain(time))
        frame, y, weights, separation = self._taken(X, y, sample_weight, before is None, separation=separation)
        task = before.task if before else self._task(y, weights)
        options = self._options(before is None)
        course = Course(self.verbose)
        self.model_ = trainer(self).learn(
            frame, y, task, options, weights, course.watch, before=before, resources=resources, separation=separation
        )
        self._held = Held.of(self.model_, y, separation)
        self._pace = Pace()
        self.loss_curve_, self.validation_curve_ = course.train, course.held
        return self._told()

    def _partial_fit(self, X: Any, y: Any, sample_weight: ArrayLike | None, first: bool, classes: Any = None) -> Self:
        frame, y, weights, _ = self._taken(X, y, sample_weight, first, classes)
        options = self._options(first)
        if first:
            self.model_ = trainer(self).begin(frame, y, self._task(y, weights, True), options, weights)
            self._pace, self.loss_curve_, self.validation_curve_ = Pace(), [], []
        self.model_, self._pace, cost = trainer(self).follow(self.model_, self._pace, frame, y, options, weights)
        self.loss_curve_, self.validation_curve_ = [*self.loss_curve_, cost], [*self.validation_curve_, cost]
        return self._told()

    def _told(self) -> Self:
        self.n_iter_ = len(self.loss_curve_)
        self.best_loss_ = min(self.validation_curve_)
        self.notes_ = [*self._schema.notes, *noted(self.model_, self.n_features_in_, self._schema.roles)]
        return self

    def _taken(
        self, X: Any, y: Any, sample_weight: Any, reset: bool, classes: Any = None,
        separation: Separation | None = None,
    ) -> tuple[Frame, Array, Array | None, Separation | None]:  # fmt: skip
        """The rows with a weight above 0, their targets, weights, groups and times."""
        if y is None:
            raise ValueError(f"This {type(self).__name__} estimator requires y to be passed, but the target y is None.")
        X = self._checked(X, reset)
        y = self._target(y, reset, classes)
        check_consistent_length(X, y, *([] if separation is None else separation.given))
        frame, schema = frame_of(X, None if reset else self._schema)
        weights = self._weights(X, y, plain(sample_weight))
        self._schema = schema
        if weights is None or (weights > 0).all():
            return frame, y, weights, separation
        there = np.flatnonzero(weights > 0)
        return frame.take(there), y[there], weights[there], None if separation is None else separation.take(there)

    def _checked(self, X: Any, reset: bool) -> Any:
        X = plain(X)
        names = getattr(self, "feature_names_in_", None)
        if is_table(X) and not reset and names is not None:
            X = arranged(X, names.tolist())
        if is_table(X):
            if not all(X.shape):
                raise ValueError(f"X has {X.shape[0]} rows and {X.shape[1]} columns: at least one of each is required.")
            return validate_data(self, X, reset=reset, skip_check_array=True)
        return validate_data(self, X, reset=reset, dtype=None, accept_sparse="csr", ensure_all_finite=False)

    def _weights(self, X: Any, y: Array, sample_weight: Any) -> Array | None:
        if sample_weight is None:
            return None
        weights = _check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True)
        if not weights.any():
            raise ValueError("every sample_weight is 0: no row is left to learn from")
        return weights

    def _options(self, first: bool) -> Options:
        if first:
            self._seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        return options_of(self, self._seed)

    def _answers(self, X: Any) -> Array:
        check_is_fitted(self)
        X = self._checked(X, reset=False)
        return np.concatenate([self.model_.answers(frame) for frame in blocks(X, self._schema)])

    def explain(self, X: Any, y: Any = None, rows: Any = None, curve: bool = False) -> Explanation:
        """What the model uses and how, on rows X (n, d) that it was not fitted to: on rows that it was fitted to, its
        errors are too small.

        `y` (n,) or (n, k), their targets: importance is then measured by the loss, and errors, rows that look
        mislabelled and columns that look like leaks are shown too. `rows`: numbers of rows of X to explain one by one,
        by sampled Shapley values; None: some. `curve`: fit copies to parts of the rows for a learning curve, which
        takes about twice as long as `fit` with them. The result has a page (`html(path)`) and displays itself in
        notebooks.
        """
        from unstuck.tabular.fit.explain.estimator import explain

        check_is_fitted(self)
        return explain(self, X, y, rows, curve)

    def to_module(self) -> Whole:
        """The fitted model with its column preparation as one `nn.Module`: numbers and codes of categories in,
        predictions out (`unstuck.tabular.fit.export.whole.Whole`)."""
        from unstuck.tabular.fit.export.whole import Whole  # the only import of torch

        check_is_fitted(self)
        return Whole(self.model_, self._schema, list(map(str, getattr(self, "feature_names_in_", ()))))

    def to_onnx(self, path: str | Path) -> None:
        """Write that module as an ONNX file, with the words of categories in the place of their codes.

        Inputs and outputs are those of `unstuck.tabular.fit.export.onnx.write`. Raises MissingExtra without onnx and
        onnxscript, CannotFit if the network of a `module` cannot be expressed in ONNX, and OSError.
        """
        with needed_by("to_onnx"):
            from unstuck.tabular.fit.export.onnx import write

        write(self.to_module(), Path(path), isinstance(self.model_.task, Classes))

    def _target(self, y: Any, reset: bool, classes: Any = None) -> Array:
        """(n,) labels, or (n, k) labels or numbers."""
        raise NotImplementedError

    def _task(self, y: Array, weights: Array | None, partial: bool = False) -> Task:
        """The task; `partial`: more rows will follow."""
        raise NotImplementedError

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = tags.input_tags.sparse = True
        # Text columns are accepted. The tag `string` stays off, because it promises that any object is accepted.
        return tags
