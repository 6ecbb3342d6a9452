"""The classifiers that are compared by subject, each behind the same two calls."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fsq_edge_benchmarks.suites.accuracy_parts.motion_features import motion_features
from fsq_edge_benchmarks.suites.accuracy_parts.trained_runs import trained_run
from fsq_edge_runtime.arrays import Float32Array, Int64Array

if TYPE_CHECKING:
    from fsq_edge.data.windows import WindowIndex
    from fsq_edge.training.split import WindowSides

# Windows (N, C, T) in raw units to classes (N,).
Predictor = Callable[[Float32Array], Int64Array]


@dataclass(frozen=True, slots=True)
class Contender:
    """One way to classify windows.

    Args:
        name: as shown.
        fit: takes a split and a seed, returns the predictor and the number of trained parameters, if it counts them.
        seeds: whether it is run for every seed, or once because it is a reference.
    """

    name: str
    fit: Callable[[WindowSides, int], tuple[Predictor, int | None]]
    seeds: bool


def learning_windows(sides: WindowSides) -> tuple[Float32Array, Int64Array]:
    """Return every window that is not held out for the test: classifiers without an epoch to choose use them all."""
    parts: list[WindowIndex] = [sides.train, sides.val]
    return np.concatenate([part.gather() for part in parts]), np.concatenate([part.label for part in parts])


def conv2d_fsq(
    source: str, epochs: int | None = None, config: Path | None = None, runs: Path | None = None
) -> Contender:
    """Return ours: device graph and table in onnxruntime, as deployed.

    Args:
        source: named in the run.
        epochs: of both stages; None is the default.
        config: a training configuration instead of the default one; its data section is not used.
        runs: folder that keeps the trained run for other benchmarks.
    """

    def fit(sides: WindowSides, seed: int) -> tuple[Predictor, int | None]:
        from fsq_edge.deploy.export import export_model
        from fsq_edge.training import load_config
        from fsq_edge_runtime.backends import OnnxBackend
        from fsq_edge_runtime.preprocess import Preprocessor

        overrides: dict[str, dict[str, Any]] = {
            "data": {"source": source, "test_subjects": list(sides.split.test.subjects)},
            "training": {"seed": seed, "max_epochs": epochs},
        }
        settings = load_config(config, overrides)
        trained = trained_run(settings, sides, runs, anew=True)
        exported = export_model(trained.model)
        backend, preprocessor = OnnxBackend(exported.encoder.SerializeToString()), Preprocessor(trained.preprocess)

        def predict(windows: Float32Array) -> Int64Array:
            return np.asarray(exported.tail.logits(backend.infer_batch(preprocessor.frames(windows))).argmax(axis=1))

        return predict, trained.record.parameters

    return Contender("Conv2d-FSQ (ours)", fit, seeds=True)


def mini_rocket() -> Contender:
    """Return MiniRocket, 10,000 features and ridge regression.

    Source: Dempster et al. 2021, arXiv 2012.08791; aeon's ``MiniRocketClassifier``.
    """

    def make(seed: int) -> Any:
        from aeon.classification.convolution_based import MiniRocketClassifier

        return MiniRocketClassifier(random_state=seed, n_jobs=1)

    return Contender("MiniRocket", lambda sides, seed: (_fitted(make(seed), sides), None), seeds=False)


def multi_rocket_hydra() -> Contender:
    """Return MultiRocket-Hydra.

    Source: Dempster et al. 2023, arXiv 2203.13652; aeon's ``MultiRocketHydraClassifier``.
    """

    def make(seed: int) -> Any:
        from aeon.classification.convolution_based import MultiRocketHydraClassifier

        return MultiRocketHydraClassifier(random_state=seed, n_jobs=1)

    return Contender("MultiRocket-Hydra", lambda sides, seed: (_fitted(make(seed), sides), None), seeds=False)


def random_forest(trees: int = 500) -> Contender:
    """Return a random forest on ``motion_features``."""

    def fit(sides: WindowSides, seed: int) -> tuple[Predictor, int | None]:
        from sklearn.ensemble import RandomForestClassifier

        rate = sides.train.dataset.sample_rate_hz
        windows, label = learning_windows(sides)
        forest = RandomForestClassifier(trees, random_state=seed, n_jobs=1).fit(motion_features(windows, rate), label)
        return lambda some: np.asarray(forest.predict(motion_features(some, rate))), None

    return Contender("random forest", fit, seeds=False)


def _fitted(classifier: Any, sides: WindowSides) -> Predictor:
    windows, label = learning_windows(sides)
    classifier.fit(windows.astype(np.float64), label)
    return lambda some: np.asarray(classifier.predict(some.astype(np.float64)), dtype=np.int64)
