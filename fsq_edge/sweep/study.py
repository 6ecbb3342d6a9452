"""The study: trials drawn, run, pruned and counted, by as many workers as share the storage."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.exceptions import TrialPruned
from optuna.storages import JournalStorage, RetryHeartbeatStaleTrialCallback, fail_stale_trials
from optuna.trial import FrozenTrial, Trial, TrialState

from fsq_edge.data import Dataset, write_folder
from fsq_edge.data.sources import open_dataset
from fsq_edge.deploy.trial import OBJECTIVES, run_trial
from fsq_edge.sweep.space import Space
from fsq_edge.sweep.storage import MAX_RETRIES, storage_errors
from fsq_edge.training.config import TrainConfig
from fsq_edge.training.record import EpochRecord
from fsq_edge.training.split import make_split, source_of
from fsq_edge_runtime.errors import FsqEdgeError, UsageError

DONE = (TrialState.COMPLETE, TrialState.PRUNED)
WARM_UP = 4  # trials that run whole before one can be pruned
CHECKS = 8  # times in a training that a trial is compared with the others
WAIT_S = 1.0


@dataclass(frozen=True, slots=True)
class Sweep:
    """A search that this process takes part in.

    Attributes:
        study: of Optuna.
        storage_text: as it was typed, for messages.
        asked: configuration as it was given.
        base: the one whose values are replaced: its data are the inner subjects' alone, and nothing is refitted.
        space: what is searched.
        objectives: names of ``OBJECTIVES``.
        facts: what every worker must agree on, and what the report says of the subjects.
    """

    study: optuna.Study
    storage_text: str
    asked: TrainConfig
    base: TrainConfig
    space: Space
    objectives: tuple[str, ...]
    facts: dict[str, Any]

    def work(self, trials: int, say: Callable[[FrozenTrial, int], None] = lambda trial, done: None) -> None:
        """Run trials until the study has this many, whoever ran them.

        Trials of workers that died are started again with their settings. With several workers the last ones may
        finish a trial each beyond ``trials``.

        Args:
            trials: finished, pruned or impossible ones, of all workers together.
            say: called after each trial of this process with it and how many are done.

        Raises:
            UnavailableError: the storage fails.
        """
        with storage_errors(self.storage_text):
            while (done := self.done()) < trials:
                self._revive()
                if done + len(self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))) >= trials:
                    time.sleep(WAIT_S)  # the others may die before they are through
                    continue
                self._run_one(say)

    def done(self) -> int:
        """Return how many trials ended: finished, pruned, or with settings that cannot be trained."""
        return sum(_is_done(trial) for trial in self.study.get_trials(deepcopy=False))

    def _run_one(self, say: Callable[[FrozenTrial, int], None]) -> None:
        """Run a trial. One whose computer slept meanwhile was given to another worker: what came of it is left out."""
        taken: list[int] = []

        def objective(trial: Trial) -> Sequence[float]:
            try:
                return self._objective(trial)
            finally:
                if self._now(trial._trial_id).state != TrialState.RUNNING:
                    taken.append(trial._trial_id)

        def note(study: optuna.Study, trial: FrozenTrial) -> None:
            say(trial, self.done())

        try:
            self.study.optimize(objective, n_trials=1, catch=(FsqEdgeError,), callbacks=[note])
        except (ValueError, AssertionError, RuntimeError):  # Optuna can note nothing of a trial that has ended
            if not taken:
                raise
            note(self.study, self._now(taken[0]))

    def _now(self, trial_id: int) -> FrozenTrial:
        return self.study._storage.get_trial(trial_id)

    def _objective(self, trial: Trial) -> Sequence[float]:
        trial.set_user_attr(
            "worker", {"host": socket.gethostname(), "pid": os.getpid(), "started": _started(os.getpid())}
        )
        try:
            config = self.space.suggest(trial, self.base)
            trial.set_user_attr("config", json.dumps(config.to_dict()))
            return run_trial(config, self.objectives, self._pruner(trial))
        except FsqEdgeError as error:
            trial.set_user_attr("why", error.message[:300])
            raise

    def _pruner(self, trial: Trial) -> Callable[[EpochRecord, int], None]:
        """Return what ends a trial whose macro-F1 lies below the median of the others at one point of the training.

        Optuna's pruners know one objective only, so the rule of its median pruner stands here, for any number.
        """
        marks: dict[str, float] = {}

        def look(record: EpochRecord, epochs: int) -> None:
            mark = record.epoch * CHECKS // epochs
            if record.val_macro_f1 is None or str(mark) in marks or mark in (0, CHECKS):
                return
            marks[str(mark)] = record.val_macro_f1
            trial.set_user_attr("marks", marks)
            whole = self.study.get_trials(deepcopy=False, states=DONE)
            others = [other.user_attrs["marks"][str(mark)] for other in whole if str(mark) in _marks(other)]
            if len(others) >= WARM_UP and record.val_macro_f1 < statistics.median(others):
                raise TrialPruned(f"below the median of {len(others)} trials in epoch {record.epoch}")

        return look

    def _revive(self) -> None:
        """Give the trials of dead workers back to the queue."""
        storage = self.study._storage
        if not isinstance(storage, JournalStorage):
            fail_stale_trials(self.study)
            return
        again = RetryHeartbeatStaleTrialCallback(max_retry=MAX_RETRIES)
        for trial in self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            if _is_dead(trial.user_attrs.get("worker")) and _fail(storage, trial):
                again(self.study, trial)


@contextmanager
def open_sweep(
    config: TrainConfig, space: Space, storage: Any, storage_text: str, name: str, objectives: Sequence[str]
) -> Iterator[Sweep]:
    """Open or join a study.

    The test subjects' recordings are left out before anything is trained: trials read a folder that holds the inner
    subjects alone. It lies in the temporary folder and is removed with the block.

    Args:
        config: training configuration; its test subjects are held out.
        space: what is searched.
        storage: opened.
        storage_text: as it was typed, for messages.
        name: of the study.
        objectives: names of ``OBJECTIVES``, the first is that of pruning where it is ``macro-f1``.

    Raises:
        UsageError: an unknown objective, a split that is not by subject, or a study of other data, settings or space.
        FsqEdgeError: the data cannot be opened or split.
        UnavailableError: the storage fails.
    """
    unknown = [objective for objective in objectives if objective not in OBJECTIVES]
    if unknown or not objectives or len(set(objectives)) < len(objectives):
        raise UsageError(f"objectives are {', '.join(OBJECTIVES)}, each once", hint="--objectives macro-f1,parameters")
    if config.data.split not in (None, "subject"):
        raise UsageError("a sweep splits by subject", hint="set data.split to subject, or leave it out")
    dataset = open_dataset(source_of(config.data))
    split = make_split(dataset, config)
    inner = [*split.train.subjects, *split.val.subjects]
    facts = {
        "dataset": dataset.name,
        "held_out": sorted(split.test.subjects),
        "train": sorted(split.train.subjects),
        "validation": sorted(split.val.subjects),
        "objectives": list(objectives),
        "space": space.model_dump(mode="json")["ranges"],
    }
    inner_set = dataset.select(subjects=inner)
    identity = _identity(config, inner_set, facts)
    with tempfile.TemporaryDirectory(prefix="fsq-edge-sweep-") as folder:
        data = Path(folder) / "inner"
        write_folder(inner_set, data)
        study = _join(storage, storage_text, name, objectives, {**facts, "identity": identity})
        yield Sweep(study, storage_text, config, _inner(config, data, facts), space, tuple(objectives), facts)


def _join(storage: Any, text: str, name: str, objectives: Sequence[str], facts: dict[str, Any]) -> optuna.Study:
    optuna.logging.set_verbosity(optuna.logging.CRITICAL)
    with storage_errors(text):
        try:
            study = optuna.create_study(
                study_name=name,
                storage=storage,
                directions=[OBJECTIVES[objective].direction for objective in objectives],
                load_if_exists=True,
                sampler=optuna.samplers.TPESampler(constant_liar=True),  # several workers at a time
            )
        except ValueError as error:
            raise UsageError(
                f"the study {name!r} has other objectives", hint="give another --name, or its objectives"
            ) from error
        known = study.user_attrs.get("facts")
        if known is None:
            study.set_user_attr("facts", facts)
        elif known != facts:
            wrong = next(key for key in facts if known.get(key) != facts[key])
            raise UsageError(
                f"the study {name!r} is of another {'configuration or data' if wrong == 'identity' else wrong}",
                hint="give another --name, or the files that it was begun with",
            )
    return study


def _inner(config: TrainConfig, data: Path, facts: dict[str, Any]) -> TrainConfig:
    section = config.data.model_copy(
        update={
            "source": f"folder:{data}",
            "train_path": None,
            "val_path": None,
            "test_path": None,
            "test_subjects": (),
            "test_fraction": 0.0,
            "val_subjects": tuple(facts["validation"]),
        }
    )
    training = config.training.model_copy(update={"refit_epochs": 0})
    return config.model_copy(update={"data": section, "training": training})


def _identity(config: TrainConfig, inner: Dataset, facts: dict[str, Any]) -> str:
    """Return what tells two searches apart: settings and content, wherever the files lie."""
    digest = hashlib.sha256()
    for recording in inner.recordings:
        digest.update(f"{recording.recording_id} {recording.subject} {len(recording)}".encode())
        digest.update(np.ascontiguousarray(recording.samples[:1024]).tobytes())
        digest.update(np.ascontiguousarray(recording.labels).tobytes())
    document = config.to_dict()
    del document["data"], document["evaluation"]
    digest.update(json.dumps([document, facts], sort_keys=True).encode())
    return digest.hexdigest()


def _is_done(trial: FrozenTrial) -> bool:
    return trial.state in DONE or (trial.state == TrialState.FAIL and "why" in trial.user_attrs)


def _marks(trial: FrozenTrial) -> dict[str, float]:
    found: dict[str, float] = trial.user_attrs.get("marks", {})
    return found


def _started(pid: int) -> str:
    """Return when a process began, in ticks since the machine did: numbers of processes are used again."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        return ""


def _is_dead(worker: Any) -> bool:
    """Whether a worker on this machine is gone; of other machines a journal file knows nothing."""
    if not isinstance(worker, dict) or worker.get("host") != socket.gethostname():
        return False
    return bool(_started(int(worker["pid"])) != worker["started"])


def _fail(storage: JournalStorage, trial: FrozenTrial) -> bool:
    try:
        return bool(storage.set_trial_state_values(trial._trial_id, state=TrialState.FAIL))
    except (RuntimeError, KeyError, optuna.exceptions.UpdateFinishedTrialError):
        return False  # another worker was quicker
