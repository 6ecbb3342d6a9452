"""Which recordings the settings are fitted on, and which report how they do."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fsq_edge.data import Dataset, Recording
from fsq_edge_runtime.errors import DataError, UsageError

FIT_SHARE = 0.6  # of subjects, recordings or time, where the bundle does not say who was held out


@dataclass(frozen=True, slots=True, eq=False)
class Division:
    """Two parts of the recordings that share none.

    Attributes:
        fit: what the settings are chosen by.
        report: what they are reported on.
        fitted_on: ``fit`` in words.
        reported_on: ``report`` in words.
        held_out: whether the network never saw ``report``; None where the bundle does not say.
        forced: a line for the bundle's record where a refusal was overridden, else empty.
    """

    fit: tuple[Recording, ...]
    report: tuple[Recording, ...]
    fitted_on: str
    reported_on: str
    held_out: bool | None
    forced: str = ""


def divide_recordings(
    dataset: Dataset,
    provenance: dict[str, Any],
    *,
    subjects: Collection[str] = (),
    seed: int = 0,
    gap_samples: int = 0,
    force: str = "",
) -> Division:
    """Divide recordings.

    The bundle of a run that was split by subject names its test subjects: the settings are then fitted on all others
    and reported on the test subjects. Elsewhere a seeded share of the subjects (of the recordings of one subject, of
    the time of one recording) is fitted on and the rest reports.

    Args:
        dataset: the recordings.
        provenance: the bundle's.
        subjects: to fit on; empty chooses as above.
        seed: of the share.
        gap_samples: left out between the two parts of one recording.
        force: why the run's test subjects may be fitted on.

    Raises:
        UsageError: an unknown subject, a test subject without ``force``.
        DataError: nothing is left to report on.
    """
    unknown = sorted(set(subjects) - set(dataset.subjects))
    if unknown:
        raise UsageError(f"unknown subject {unknown[0]!r}", hint="the subjects are " + ", ".join(dataset.subjects))
    tested = held_out_subjects(dataset, provenance)
    if tested:
        return _by_run(dataset, tested, subjects, force)
    chosen = list(subjects)
    how = "as given"
    if not chosen and len(dataset.subjects) > 1:
        order = np.random.default_rng(seed).permutation(len(dataset.subjects))
        chosen = [dataset.subjects[i] for i in sorted(order[: _share(len(order))])]
        how = f"a seeded {FIT_SHARE:.0%} of the subjects, seed {seed}"
    if chosen:
        others = [subject for subject in dataset.subjects if subject not in chosen]
        if not others:
            raise _nothing_left(dataset)
        fit, report = _of(dataset, chosen), _of(dataset, others)
        return Division(fit, report, f"subjects {', '.join(chosen)} ({how})", f"subjects {', '.join(others)}", None)
    return _of_one_subject(dataset.recordings, seed, gap_samples)


def held_out_subjects(dataset: Dataset, provenance: dict[str, Any]) -> list[str]:
    """Return the data set's subjects that the bundle's run held out; empty where the bundle does not say."""
    data, split = provenance.get("data"), provenance.get("split")
    if not isinstance(data, dict) or not isinstance(split, dict):
        return []
    if data.get("name") != dataset.name or split.get("kind") != "by subject":
        return []
    tested = split.get("test_subjects")
    return [subject for subject in dataset.subjects if subject in tested] if isinstance(tested, list) else []


def _by_run(dataset: Dataset, tested: list[str], subjects: Collection[str], force: str) -> Division:
    chosen = list(subjects) or [subject for subject in dataset.subjects if subject not in tested]
    spoilt = [subject for subject in chosen if subject in tested]
    left = [subject for subject in tested if subject not in chosen]
    if spoilt and not force:
        raise UsageError(
            f"subject {', '.join(spoilt)} is held out by the bundle's run: fitted on, it could vouch for nothing",
            hint="leave it out of --subjects, or --force REASON, which is recorded in the bundle",
        )
    if not left or not chosen:
        raise _nothing_left(dataset)
    forced = f"tune on held-out subject {', '.join(spoilt)}: {force}" if spoilt else ""
    return Division(
        _of(dataset, chosen),
        _of(dataset, left),
        f"subjects {', '.join(chosen)} ({'as given' if subjects else 'all that the run did not hold out'})",
        f"subjects {', '.join(left)} (held out by the run)",
        True,
        forced,
    )


def _of_one_subject(recordings: Sequence[Recording], seed: int, gap_samples: int) -> Division:
    if len(recordings) > 1:
        order = np.random.default_rng(seed).permutation(len(recordings))
        chosen = set(order[: _share(len(order))].tolist())
        fit = tuple(recording for i, recording in enumerate(recordings) if i in chosen)
        report = tuple(recording for i, recording in enumerate(recordings) if i not in chosen)
        how = f"{len(fit)} of {len(recordings)} recordings of one subject (a seeded {FIT_SHARE:.0%}, seed {seed})"
        return Division(fit, report, how, f"the other {len(report)} recordings of the same subject", None)
    (whole,) = recordings
    cut = round(FIT_SHARE * len(whole))
    if cut + gap_samples >= len(whole):
        raise DataError(f"recording {whole.recording_id!r} is too short to fit on one part and report on the rest")
    first, rest = whole.part(0, cut), whole.part(cut + gap_samples, len(whole))
    return Division((first,), (rest,), f"the first {FIT_SHARE:.0%} of one recording", "the rest of it", None)


def _of(dataset: Dataset, subjects: Collection[str]) -> tuple[Recording, ...]:
    return tuple(recording for recording in dataset.recordings if recording.subject in subjects)


def _share(n: int) -> int:
    return min(max(1, round(n * FIT_SHARE)), n - 1)


def _nothing_left(dataset: Dataset) -> DataError:
    return DataError(
        f"{dataset.name}: no subject is left, one side to fit on and one to report on are needed",
        hint=f"choose some of {', '.join(dataset.subjects)} with --subjects",
    )
