"""The parity ladder: one set of windows through every form of one model, and which form is the first to lose."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

from fsq_edge_compile.foreign.scores import ScoreAgreement, compare_scores
from fsq_edge_runtime.arrays import BoolArray, Float32Array, Int64Array
from fsq_edge_runtime.errors import DataError, UnavailableError
from fsq_edge_runtime.score_tails import Tail
from fsq_edge_runtime.scores import Interval, bootstrap_confusions, confusion, macro_f1, percentile_interval
from fsq_edge_runtime.tail import FsqTail

EXACT_T: Final = 1e-4  # float32 forms of one graph differ in the last bits only
BOUNDARY_MARGIN: Final = 1e-3  # of b; nearer than this to a rounding boundary two float forms may differ by one step
FEW_WINDOWS: Final = 100  # below, one window weighs more than a percent
RARE: Final = 0.05
BROKEN_AGREEMENT: Final = 0.5  # rounding to 8 bits changes a few percent of the codes, wrong ranges nearly all

Kind = Literal["exact", "quantised"]


@dataclass(frozen=True, slots=True)
class Gates:
    """What a ladder must hold.

    Attributes:
        min_code_agreement: share of windows whose code equals the first rung's, of every rung, 0 to 1. Below 100
            windows a rung breaks it only where chance would rarely do so (binomial, 5 %).
        max_drop_points: macro-F1 that a rung may lose against the first, times 100; not judged below 100 windows.
    """

    min_code_agreement: float = 0.95
    max_drop_points: float = 1.0


@dataclass(frozen=True, slots=True)
class Answers:
    """What a rung says of N windows.

    Attributes:
        t: (N, D) float32 in [-1, 1]; None where the form does not show it.
        codes: (N,) int64.
        logits: (N, classes) float32.
    """

    t: Float32Array | None
    codes: Int64Array
    logits: Float32Array

    def take(self, rows: Int64Array) -> Answers:
        """Return the answers of some windows."""
        return Answers(None if self.t is None else self.t[rows], self.codes[rows], self.logits[rows])


@dataclass(frozen=True, slots=True)
class Rung:
    """One form of the model.

    Attributes:
        name: such as ``onnx`` or ``int8-preview``.
        kind: ``exact`` forms must give equal codes off the rounding boundaries, ``quantised`` ones need not.
        run: frames (N, C', H, W) float32 to answers; raises UnavailableError where the form cannot be run here.
        cause: why this rung would be the first to lose.
        cause_broken: why it would lose nearly everything; empty takes ``cause``.
        rows: (K,) which windows it answers, where it does not answer all.
    """

    name: str
    kind: Kind
    run: Callable[[Float32Array], Answers]
    cause: str
    cause_broken: str = ""
    rows: Int64Array | None = None


@dataclass(frozen=True, slots=True)
class RungResult:
    """One rung against the first.

    Attributes:
        name: of the rung.
        kind: ``exact`` or ``quantised``.
        skipped: why it was not run; empty where it was.
        n_windows: windows that it answered, and that it is compared on.
        max_abs_difference: of ``t``; of the probabilities of a head without codes; of an anomaly score relative to the
            largest. None where it is not shown.
        code_agreement: share of windows with equal code.
        code_agreement_off_boundary: that share without windows within 1e-3 of a rounding boundary on the first rung.
        label_agreement: share of windows with equal most likely class.
        accuracy: share of windows right.
        macro_f1: with its interval.
        drop_points: macro-F1 lost against the first rung, times 100.
        lost: which gates it broke; empty where none.
        scores: of a head without codes: divergence of probabilities and correlation; None with codes.
    """

    name: str
    kind: Kind
    skipped: str = ""
    n_windows: int = 0
    max_abs_difference: float | None = None
    code_agreement: float | None = None
    code_agreement_off_boundary: float | None = None
    label_agreement: float | None = None
    accuracy: float | None = None
    macro_f1: Interval | None = None
    drop_points: float | None = None
    lost: tuple[str, ...] = ()
    scores: ScoreAgreement | None = None


@dataclass(frozen=True, slots=True)
class LadderReport:
    """All rungs.

    Attributes:
        n_windows: held-out windows.
        gates: what was asked.
        rungs: in order; the first is the reference.
        blame: the first rung that lost; empty where none did.
        cause: the likely cause.
    """

    n_windows: int
    gates: Gates
    rungs: tuple[RungResult, ...]
    blame: str
    cause: str

    @property
    def passed(self) -> bool:
        """Whether no rung that was run broke a gate."""
        return not self.blame

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values, ``schema_version`` first."""
        document = {"schema_version": 1, "passed": self.passed, **asdict(self)}
        for rung in document["rungs"]:
            if rung["scores"] is None:
                del rung["scores"]
        return document


def run_ladder(
    frames: Float32Array,
    labels: npt.ArrayLike,
    rungs: Sequence[Rung],
    tail: Tail,
    *,
    gates: Gates | None = None,
    groups: npt.ArrayLike | None = None,
    seed: int = 0,
) -> LadderReport:
    """Run every rung on all windows and compare it with the first.

    Args:
        frames: (N, C', H, W) float32, of held-out windows.
        labels: (N,) true classes.
        rungs: the first is the reference and must run.
        tail: of the reference, for the distance from rounding boundaries.
        gates: what must hold; None takes the defaults.
        groups: (N,) subject or recording of each window, resampled whole for the intervals.
        seed: of the bootstrap.

    Raises:
        DataError: no window, no rung, or labels of another number.
        UnavailableError: the first rung cannot be run.
    """
    truth = np.asarray(labels, dtype=np.int64)
    if not len(frames) or truth.shape != (len(frames),) or not rungs:
        raise DataError(f"a ladder needs rungs and as many labels as windows, got {len(truth)} for {len(frames)}")
    asked = gates or Gates()
    reference = rungs[0].run(frames)
    near = _near_boundary(reference, tail)
    results = []
    for place, rung in enumerate(rungs):
        try:
            rows = np.arange(len(frames)) if rung.rows is None else rung.rows
            answers = reference if place == 0 else rung.run(frames[rows])
        except UnavailableError as error:
            results.append(RungResult(rung.name, rung.kind, skipped=error.message))
            continue
        who = None if groups is None else np.asarray(groups)[rows]
        usual = reference if rung.rows is None else reference.take(rows)
        found = _compare(rung, usual, answers, near[rows], truth[rows], who, asked, seed)
        results.append(
            found if isinstance(tail, FsqTail) else _with_scores(found, usual, answers, tail, asked, truth[rows])
        )
    blamed = next((result for result in results if result.lost), None)
    cause = "" if blamed is None else _cause(next(rung for rung in rungs if rung.name == blamed.name), blamed)
    return LadderReport(len(frames), asked, tuple(results), blamed.name if blamed else "", cause)


def _near_boundary(answers: Answers, tail: Tail) -> BoolArray:
    if answers.t is None:
        return np.zeros(len(answers.codes), dtype=np.bool_)
    return np.asarray(tail.boundary_distance(answers.t) < BOUNDARY_MARGIN)


def _compare(
    rung: Rung,
    reference: Answers,
    answers: Answers,
    near: BoolArray,
    truth: Int64Array,
    groups: npt.ArrayLike | None,
    gates: Gates,
    seed: int,
) -> RungResult:
    same = answers.codes == reference.codes
    chosen = answers.logits.argmax(axis=1).astype(np.int64)
    usual = reference.logits.argmax(axis=1).astype(np.int64)
    classes = reference.logits.shape[1]
    score, first = (float(macro_f1(confusion(truth, which, classes))) for which in (chosen, usual))
    draws = macro_f1(bootstrap_confusions(truth, (chosen,), classes, groups, np.random.default_rng(seed)))
    difference = None
    if answers.t is not None and reference.t is not None:
        difference = float(np.abs(answers.t.astype(np.float64) - reference.t).max())
    result = RungResult(
        name=rung.name,
        kind=rung.kind,
        n_windows=len(truth),
        max_abs_difference=difference,
        code_agreement=float(same.mean()),
        code_agreement_off_boundary=float(same[~near].mean()) if (~near).any() else 1.0,
        label_agreement=float((chosen == usual).mean()),
        accuracy=float((chosen == truth).mean()),
        macro_f1=percentile_interval(score, draws[:, 0]),
        drop_points=100 * (first - score),
    )
    return replace(result, lost=tuple(_broken(result, gates)))


def _with_scores(
    result: RungResult, reference: Answers, answers: Answers, tail: Tail, gates: Gates, truth: Int64Array
) -> RungResult:
    """Add what a head without codes has, and judge differences of probabilities, or relative to the largest score."""
    if reference.t is None or answers.t is None or result.max_abs_difference is None:
        return result
    known = bool((truth != reference.codes).any())  # else the truth is the reference's own word: agreement says all
    scores = compare_scores(tail, reference.t, answers.t)
    if tail.kind == "anomaly":
        difference = result.max_abs_difference / max(1.0, float(np.abs(reference.t).max()))
    else:  # logits may differ by what a softmax or a saturated sigmoid hides
        difference = scores.max_probability_difference
    drop = result.drop_points if known else None
    scored = replace(result, max_abs_difference=difference, drop_points=drop, scores=scores, lost=())
    return replace(scored, lost=tuple(_broken(scored, gates)))


def _broken(result: RungResult, gates: Gates) -> list[str]:
    lost = []
    agreement, off = result.code_agreement or 0.0, result.code_agreement_off_boundary or 0.0
    few = result.n_windows < FEW_WINDOWS
    if agreement < gates.min_code_agreement and not (few and _by_chance(result, gates)):
        lost.append(f"code agreement {agreement:.2%} is below {gates.min_code_agreement:.2%}")
    if not few and result.drop_points is not None and result.drop_points > gates.max_drop_points:
        lost.append(f"macro-F1 drops {result.drop_points:.2f} points, allowed are {gates.max_drop_points:g}")
    if result.kind == "exact":
        if off < 1.0:
            lost.append(f"{1 - off:.2%} of the codes off the rounding boundaries differ, an exact form differs in none")
        if result.max_abs_difference is not None and result.max_abs_difference > EXACT_T:
            lost.append(f"t differs by up to {result.max_abs_difference:.1e}, an exact form by less than {EXACT_T:g}")
    return lost


def _by_chance(result: RungResult, gates: Gates) -> bool:
    """Return whether as many flips among few windows are likely of a rung that just holds the gate."""
    n, p = result.n_windows, 1.0 - gates.min_code_agreement
    flips = round((1.0 - (result.code_agreement or 0.0)) * n)
    return sum(math.comb(n, k) * p**k * (1 - p) ** (n - k) for k in range(flips, n + 1)) > RARE


def _cause(rung: Rung, result: RungResult) -> str:
    broken = (result.code_agreement or 0.0) < BROKEN_AGREEMENT
    return (rung.cause_broken if broken else "") or rung.cause
