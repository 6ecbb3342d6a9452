"""The whole of ``tune``: recordings in, a bundle with fitted decision settings and their event score out."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

import numpy as np

from fsq_edge.data import Dataset
from fsq_edge.tuning.chains import smooth
from fsq_edge.tuning.division import Division, divide_recordings
from fsq_edge.tuning.events import Tally, tally_events
from fsq_edge.tuning.inference import Inferred, infer_streams, run_chain
from fsq_edge.tuning.scores import event_score
from fsq_edge.tuning.search import SearchResult, choose, rule_text, search, search_grid
from fsq_edge.tuning.streams import make_streams
from fsq_edge_compile.int8.refit import match_thresholds
from fsq_edge_compile.packing.model_name import plain_name
from fsq_edge_runtime.arrays import Float64Array
from fsq_edge_runtime.bundle.bundle import Bundle
from fsq_edge_runtime.bundle.edit import with_files
from fsq_edge_runtime.bundle.event_report import EventReport, EventScore
from fsq_edge_runtime.bundle.manifest import Role
from fsq_edge_runtime.decision import DecisionSettings
from fsq_edge_runtime.errors import DataError

DEFAULT_HOP = 10
DEFAULT_MAX_DELAY_S = 0.6
DEFAULT_KEEP = 0.25
INT8 = "onnx-int8"


@dataclass(frozen=True, slots=True, eq=False)
class Tuned:
    """What ``tune`` found.

    Attributes:
        result: of the search on the recordings fitted on.
        division: which recordings those are, and which report.
        chosen: position of the chosen settings; None where no settings beat raw argmax within the limits.
        bundle: the new bundle; None where nothing was chosen.
        report: what it says about events; None where nothing was chosen.
        decision: the chosen settings; None where nothing was chosen.
        decision_int8: those of the int8 graphs; None where the bundle has none.
        broken: limits that do not hold on the recordings reported on, one line each.
        unsigned: the bundle was signed; the signature was dropped because the content changed.
        abstained: windows without an answer.
        windows: that became due, in both parts.
    """

    result: SearchResult
    division: Division
    chosen: int | None
    bundle: Bundle | None
    report: EventReport | None
    decision: DecisionSettings | None
    decision_int8: DecisionSettings | None
    broken: tuple[str, ...]
    unsigned: bool
    abstained: int
    windows: int

    def to_dict(self, path: str) -> dict[str, Any]:
        """Return the JSON of ``tune``; ``path`` is where the new bundle was written."""
        result = self.result
        front = [
            {
                "false_per_hour": float(result.false_per_hour[at]),
                "missed": int(result.missed[at]),
                "added_delay_s": float(result.added_delay_s[at]),
                "repeats": int(result.repeats[at]),
                "settings": result.settings[at].to_dict(),
            }
            for at in result.front.tolist()
        ]
        return {
            "schema_version": 1,
            "written": path if self.bundle is not None else None,
            "decision": self.decision.to_dict() if self.decision else None,
            "decision_int8": self.decision_int8.to_dict() if self.decision_int8 else None,
            "events": self.report.to_dict() if self.report else None,
            "broken": list(self.broken),
            "unsigned": self.unsigned,
            "windows": self.windows,
            "abstained": self.abstained,
            "front": front,
        }


def tune_bundle(
    bundle: Bundle,
    dataset: Dataset,
    *,
    subjects: Collection[str] = (),
    hop_samples: int | None = None,
    max_delay_s: float = DEFAULT_MAX_DELAY_S,
    keep: float = DEFAULT_KEEP,
    seed: int = 0,
    force: str = "",
    say: Callable[[str], None] = lambda stage: None,
) -> Tuned:
    """Fit the decision settings of a bundle.

    Args:
        bundle: verified; not changed.
        dataset: continuous labelled recordings with its channels.
        subjects: to fit on; empty takes those that the bundle's run did not hold out, else a seeded share.
        hop_samples: step between windows, written into the bundle; None takes 10, or the bundle's if that is less.
        max_delay_s: median added onset delay that is accepted.
        keep: share of raw argmax's false events that may be left.
        seed: of stitching and shares.
        force: why subjects that the run held out may be fitted on; goes into the bundle's record.
        say: called with each stage that takes time.

    Raises:
        UsageError: see ``divide_recordings``.
        DataError: recordings that cannot be used, or with too few events.
        BackendError: the bundle's graph cannot be run here.
    """
    hop = hop_samples or min(DEFAULT_HOP, bundle.preprocess.hop_samples)
    if hop > bundle.preprocess.window_samples:
        raise DataError(f"a hop of {hop} samples leaves gaps between windows of {bundle.preprocess.window_samples}")
    bundle, signed = _at_hop(bundle, hop)
    window = bundle.preprocess.window_samples
    division = divide_recordings(
        dataset, bundle.manifest.provenance, subjects=subjects, seed=seed, gap_samples=window, force=force
    )
    streams = {}
    streams["fit"], stitched = make_streams(division.fit, dataset, bundle, seed)
    streams["report"], _ = make_streams(division.report, dataset, bundle, seed)
    say("inference")
    fit, held = (infer_streams(bundle, streams[side], dataset.true_rate_hz) for side in ("fit", "report"))
    settings = search_grid(fit.hop_ms, bundle.decision)
    if bundle.tail.kind == "sigmoid":  # whose scores a median would scale to a sum of one
        settings = [one for one in settings if one.smoothing != "median"]
    say(f"{len(settings)} settings")
    result = search(fit, settings)
    chosen = choose(fit, result, max_delay_s=max_delay_s, keep=keep)
    windows, abstained = fit.windows + held.windows, fit.abstained + held.abstained
    if chosen is None:
        return Tuned(result, division, None, None, None, None, None, (), False, abstained, windows)
    raw, best = settings[0], settings[chosen]
    int8 = preview = None
    if bundle.has("encoder-int8"):
        say("int8 preview")
        fit_int8, held_int8 = (
            infer_streams(bundle, streams[side], dataset.true_rate_hz, INT8) for side in ("fit", "report")
        )
        int8 = move_thresholds(best, fit, fit_int8, bundle.decision_for(INT8).temperature)
        preview = score_settings(held_int8, int8, bundle.classes, raw)
    elif bundle.has("decision-int8"):
        int8 = best
    report = EventReport(
        dataset=plain_name(dataset.name),
        recordings=_kind_of_streams(stitched, len(streams["fit"]), len(streams["report"]), seed),
        hop_samples=hop,
        hop_ms=fit.hop_ms,
        fitted_on=division.fitted_on,
        reported_on=division.reported_on,
        held_out=division.held_out,
        rule=rule_text(max_delay_s, keep),
        settings_searched=len(settings),
        seed=seed,
        fit_raw=score_settings(fit, raw, bundle.classes),
        fit_tuned=score_settings(fit, best, bundle.classes, raw),
        raw=score_settings(held, raw, bundle.classes),
        tuned=score_settings(held, best, bundle.classes, raw),
        int8_preview=preview,
    )
    tuned = _write(bundle, best, int8, report, division.forced)
    broken = broken_limits(report.raw, report.tuned, max_delay_s)
    return Tuned(result, division, chosen, tuned, report, best, int8, broken, signed, abstained, windows)


def score_settings(
    inferred: Inferred, settings: DecisionSettings, classes: tuple[str, ...], raw: DecisionSettings | None = None
) -> EventScore:
    """Score settings by the runtime's own decision chain.

    Args:
        inferred: the streams.
        settings: what to score.
        classes: names.
        raw: raw argmax, to compare delays with; None leaves that out.
    """

    def tallies(one: DecisionSettings) -> list[Tally]:
        streams = zip(run_chain(inferred, one), inferred.truths, strict=True)
        return [tally_events(labels, truth) for labels, truth in streams]

    return event_score(inferred.truths, tallies(settings), classes, raw=None if raw is None else tallies(raw))


def move_thresholds(
    settings: DecisionSettings, reference: Inferred, other: Inferred, temperature: float | None
) -> DecisionSettings:
    """Return the settings with each threshold moved so that the same share of windows passes it.

    Args:
        settings: fitted to ``reference``.
        reference: probabilities of the float graph.
        other: probabilities of the int8 graph on the same streams.
        temperature: of the int8 settings.
    """
    tops = [_smoothed_tops(one, settings) for one in (reference, other)]
    moved = {name: round(value, 4) for name, value in match_thresholds(settings, *tops).items()}
    return DecisionSettings.model_validate({**settings.model_dump(), **moved, "temperature": temperature})


def broken_limits(raw: EventScore, tuned: EventScore, max_delay_s: float) -> tuple[str, ...]:
    """Return which limits do not hold on the recordings reported on, one line each."""
    lines = []
    if tuned.missed > raw.missed:
        lines.append(f"{tuned.missed} of {tuned.events} events are missed, raw argmax misses {raw.missed}")
    if tuned.added_delay_median_s is not None and tuned.added_delay_median_s > max_delay_s + 1e-9:
        lines.append(f"median added onset delay {tuned.added_delay_median_s:g} s, at most {max_delay_s:g} s was asked")
    if tuned.false_events > raw.false_events:
        lines.append(f"{tuned.false_per_hour:.1f} false events per hour, raw argmax has {raw.false_per_hour:.1f}")
    return tuple(lines)


def _at_hop(bundle: Bundle, hop: int) -> tuple[Bundle, bool]:
    """Return the bundle with another hop and without its signature, and whether it had one."""
    settings = bundle.stream.model_copy(update={"hop_samples": hop})
    changes: dict[tuple[Role, str | None], tuple[str, bytes] | None] = {
        ("stream", None): ("stream.json", settings.to_json().encode())
    }
    if bundle.has("signature"):
        changes["signature", None] = None
    return with_files(bundle, changes), bundle.has("signature")


def _write(
    bundle: Bundle, best: DecisionSettings, int8: DecisionSettings | None, report: EventReport, forced: str
) -> Bundle:
    changes: dict[tuple[Role, str | None], tuple[str, bytes] | None] = {
        ("decision", None): ("decision.json", best.to_json().encode()),
        ("events", None): ("events.json", report.to_json().encode()),
    }
    if int8 is not None:
        changes["decision-int8", None] = ("decision_int8.json", int8.to_json().encode())
    return with_files(bundle, changes, forced=[forced] if forced else [])


def _smoothed_tops(inferred: Inferred, settings: DecisionSettings) -> Float64Array:
    """Return the best smoothed probability (N,) of every window that has an answer."""
    smoothed = smooth(inferred.scores, settings.smoothing, settings.smoothing_ms, inferred.hop_ms)
    return np.asarray(smoothed.max(axis=2)[inferred.scores.answered])


def _kind_of_streams(stitched: bool, fit: int, report: int, seed: int) -> str:
    if not stitched:
        return f"{fit} and {report} continuous recordings"
    return f"stitched: {fit} and {report} streams, each the recordings of one subject joined without gaps, seed {seed}"
