"""The classifiers that are compared by subject, each behind the same two calls."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fsq_edge.data.windows import WindowIndex
from fsq_edge.deploy.export import export_model
from fsq_edge.training.split import WindowSides
from fsq_edge_benchmarks.suites.accuracy_parts.held_out import fold_config, trained_run
from fsq_edge_runtime.arrays import Float32Array, FloatArray, Int64Array
from fsq_edge_runtime.backends import OnnxBackend
from fsq_edge_runtime.preprocess import Preprocessor

# Windows (N, C, T) in raw units to classes (N,).
Predictor = Callable[[Float32Array], Int64Array]


@dataclass(frozen=True, slots=True)
class Contender:
    """One way to classify windows.

    Attributes:
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
        settings = fold_config(source, sides.split.test.subjects, seed, epochs=epochs, path=config)
        trained = trained_run(settings, sides, runs, anew=True)
        exported = export_model(trained.model)
        backend, preprocessor = OnnxBackend(exported.encoder.SerializeToString()), Preprocessor(trained.preprocess)

        def predict(windows: Float32Array) -> Int64Array:
            return np.asarray(exported.tail.logits(backend.infer_batch(preprocessor.frames(windows))).argmax(axis=1))

        return predict, trained.record.parameters

    return Contender("Conv2d-FSQ (ours)", fit, seeds=True)


def rocket(name: str, windows: Float32Array, label: Int64Array, seed: int = 0) -> Predictor:
    """Return a fitted classifier of aeon, on one thread.

    Args:
        name: ``MiniRocketClassifier`` (Dempster et al. 2021, arXiv 2012.08791), which has 10,000 features and ridge
            regression, or ``MultiRocketHydraClassifier`` (Dempster et al. 2023, arXiv 2203.13652).
        windows: (N, C, T) float32 raw units.
        label: (N,).
        seed: of the generator.
    """
    from aeon.classification import convolution_based

    classifier = getattr(convolution_based, name)(random_state=seed, n_jobs=1).fit(windows.astype(np.float64), label)
    return lambda some: np.asarray(classifier.predict(some.astype(np.float64)), dtype=np.int64)


def forest(trees: int, windows: Float32Array, label: Int64Array, rate_hz: float, seed: int = 0) -> Predictor:
    """Return a fitted random forest on ``motion_features`` of windows (N, C, T), on one thread."""
    from sklearn.ensemble import RandomForestClassifier

    fitted = RandomForestClassifier(trees, random_state=seed, n_jobs=1).fit(motion_features(windows, rate_hz), label)
    return lambda some: np.asarray(fitted.predict(motion_features(some, rate_hz)))


def reference_contenders(trees: int = 500) -> tuple[Contender, Contender, Contender]:
    """Return MultiRocket-Hydra, MiniRocket and the random forest."""

    def fit_rocket(name: str) -> Callable[[WindowSides, int], tuple[Predictor, int | None]]:
        return lambda sides, seed: (rocket(name, *learning_windows(sides), seed), None)

    def fit_forest(sides: WindowSides, seed: int) -> tuple[Predictor, int | None]:
        return forest(trees, *learning_windows(sides), sides.train.dataset.sample_rate_hz, seed), None

    return (
        Contender("MultiRocket-Hydra", fit_rocket("MultiRocketHydraClassifier"), seeds=False),
        Contender("MiniRocket", fit_rocket("MiniRocketClassifier"), seeds=False),
        Contender("random forest", fit_forest, seeds=False),
    )


_TINY = 1e-9


def motion_features(windows: Float32Array, sample_rate_hz: float) -> FloatArray:
    """Return the features (N, 13 S) of windows (N, C, T) in raw units.

    The S signals are the C channels, the norm of each triad of channels, and the norm of the first triad's
    difference: six channels give nine signals, 117 features. Per signal: mean, standard deviation, least, largest,
    median, interquartile range, skewness, kurtosis, root mean square, crossings of the mean, mean step, strongest
    frequency, spectral entropy.
    """
    x = _signals(windows.astype(np.float64))
    mean, std = x.mean(-1), x.std(-1)
    centred = x - mean[..., None]
    unit = centred / (std[..., None] + _TINY)
    low, median, high = np.percentile(x, [25, 50, 75], axis=-1)
    crossings = (np.signbit(centred[..., 1:]) != np.signbit(centred[..., :-1])).mean(-1)
    power = np.abs(np.fft.rfft(centred, axis=-1)[..., 1:]) ** 2
    share = power / (power.sum(-1, keepdims=True) + _TINY)
    strongest = (power.argmax(-1) + 1) * sample_rate_hz / x.shape[-1]
    entropy = -(share * np.log(share + _TINY)).sum(-1)
    columns = [
        mean, std, x.min(-1), x.max(-1), median, high - low, (unit**3).mean(-1), (unit**4).mean(-1),
        np.sqrt((x**2).mean(-1)), crossings, np.abs(np.diff(x, axis=-1)).mean(-1), strongest, entropy,
    ]  # fmt: skip
    return np.stack(columns, axis=-1).reshape(len(x), -1)


def _signals(x: FloatArray) -> FloatArray:
    triads = [x[:, at : at + 3] for at in range(0, x.shape[1] - 2, 3)]
    norms = [np.linalg.norm(triad, axis=1) for triad in triads]
    if triads:
        jerk = np.linalg.norm(np.diff(triads[0], axis=-1, prepend=triads[0][..., :1]), axis=1)
        norms.append(jerk)
    return np.concatenate([x, *(norm[:, None] for norm in norms)], axis=1)
