"""What a sweep found: the front, the importance of settings, and who was never looked at."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
import yaml
from optuna.trial import FrozenTrial, TrialState

from fsq_edge.data.recording import subject_order
from fsq_edge.deploy.trial import OBJECTIVES
from fsq_edge.report.document import Section, Table
from fsq_edge.report.html import render
from fsq_edge.report.markdown import to_markdown
from fsq_edge.report.parts import Fact, Verdict, plural
from fsq_edge.sweep.study import Sweep
from fsq_edge_runtime.errors import UnavailableError
from fsq_edge_runtime.files import write_file

SHOWN = 20
ENOUGH = 4  # finished trials below which an importance means nothing


@dataclass(frozen=True, slots=True)
class SweepReport:
    """A sweep in figures.

    Attributes:
        facts: data set, subjects, objectives, space.
        counts: trials by state: ``finished``, ``pruned``, ``impossible``, ``running``, ``died``.
        front: trials that no other trial beats in every objective: number, values, settings, configuration.
        importance: objective -> setting -> share of the variation that it explains, 0 to 1; empty with few trials.
    """

    facts: dict[str, Any]
    counts: dict[str, int]
    front: list[dict[str, Any]]
    importance: dict[str, dict[str, float]]

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON."""
        return {
            "schema_version": 1,
            **self.facts,
            "trials": self.counts,
            "front": self.front,
            "importance": self.importance,
        }


def make_report(sweep: Sweep) -> SweepReport:
    """Read the study and return what it found so far."""
    trials = sweep.study.get_trials(deepcopy=False)
    states = [trial.state for trial in trials]
    impossible = sum(trial.state == TrialState.FAIL and "why" in trial.user_attrs for trial in trials)
    counts = {
        "finished": states.count(TrialState.COMPLETE),
        "pruned": states.count(TrialState.PRUNED),
        "impossible": impossible,
        "running": states.count(TrialState.RUNNING),
        "died": states.count(TrialState.FAIL) - impossible,
    }
    best = sorted(sweep.study.best_trials, key=lambda trial: trial.number) if counts["finished"] else []
    return SweepReport(sweep.facts, counts, [_entry(trial, sweep) for trial in best], _importance(sweep, counts))


def write_report(report: SweepReport, out: Path) -> Path:
    """Write ``sweep.json``, a configuration for each trial of the front, and the page; return the page's path.

    Raises:
        UnavailableError: the folder cannot be written.
    """
    write_file(out / "sweep.json", (json.dumps(report.to_dict(), indent=2) + "\n").encode())
    for entry in report.front:
        text = yaml.safe_dump(entry["config"], sort_keys=False)
        write_file(out / f"trial-{entry['number']}.yaml", text.encode())
    title, sections = f"Sweep on {report.facts['dataset']}", _sections(report)
    try:
        page, path = render(title, sections, verdict=_verdict(report)), out / "sweep.html"
    except UnavailableError:
        page, path = to_markdown(title, sections), out / "sweep.md"
    write_file(path, page.encode())
    return path


def _verdict(report: SweepReport) -> Verdict:
    counts, word = report.counts, plural(report.counts["finished"], "trial")
    if not report.front:
        return Verdict("bad", word, "No trial has finished, so there is nothing to choose from.")
    name = report.facts["objectives"][0]
    values = [entry["values"][name] for entry in report.front]
    best = report.front[values.index(max(values) if OBJECTIVES[name].direction == "maximize" else min(values))]
    reason = (
        f"Best {name} {best['values'][name]:.3f}, trial {best['number']}, judged by inner subjects: evaluate it on "
        "those held out before you believe it."
    )
    lost = counts["died"] + counts["impossible"]
    return Verdict("warning" if lost else "good", word, reason + (f" {lost} did not finish." if lost else ""))


def _entry(trial: FrozenTrial, sweep: Sweep) -> dict[str, Any]:
    config = json.loads(trial.user_attrs["config"])
    # The trial's own data are inner subjects in a temporary folder; what is trained next is as the user said.
    config["data"] = sweep.asked.data.model_dump(mode="json")
    config["training"]["refit_epochs"] = sweep.asked.training.refit_epochs
    return {
        "number": trial.number,
        "values": dict(zip(sweep.objectives, trial.values, strict=True)),
        "settings": trial.params,
        "config": config,
    }


def _importance(sweep: Sweep, counts: dict[str, int]) -> dict[str, dict[str, float]]:
    if counts["finished"] < ENOUGH:
        return {}
    found = {}
    for at, objective in enumerate(sweep.objectives):

        def value(trial: FrozenTrial, at: int = at) -> float:
            return float(trial.values[at])

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                shares = optuna.importance.get_param_importances(sweep.study, target=value)
            except (ValueError, RuntimeError, ZeroDivisionError):
                continue  # every trial has one value: nothing to explain
        found[objective] = {name: float(share) for name, share in shares.items()}
    return found


def _sections(report: SweepReport) -> list[Section]:
    facts, counts = report.facts, report.counts

    def listed(subjects: Iterable[str]) -> str:
        return ", ".join(sorted(subjects, key=subject_order))

    notes = [
        Fact("Trials", f"{counts['finished']}", f"{counts['pruned']} pruned, {counts['impossible']} impossible, "
             f"{counts['died']} of workers that died"),
        Fact("Trained on", listed(facts["train"]), "subjects"),
        Fact("Judged by", listed(facts["validation"]), "subjects; their windows choose, so these figures are too good"),
        Fact("Never read", listed(facts["held_out"]) or "nobody", "subjects held out: trials had no file of theirs"),
    ]  # fmt: skip
    front = [
        (entry["number"], *(entry["values"][name] for name in facts["objectives"]), _settings(entry["settings"]))
        for entry in report.front[:SHOWN]
    ]
    meant = "\n".join(
        f"- {name}: {OBJECTIVES[name].meaning} ({OBJECTIVES[name].direction})" for name in facts["objectives"]
    )
    text = f"{meant}\n\nTrain one with `fsq-edge train trial-N.yaml`, then `evaluate` it on the subjects held out."
    sections = [
        Section("Search", facts=notes),
        Section("Front", text, tables=[Table(("trial", *facts["objectives"], "settings"), front)]),
    ]
    if report.importance:
        names = list(facts["space"])
        rows = [(name, *(shares.get(name) for shares in report.importance.values())) for name in names]
        sections.append(Section("Importance", tables=[Table(("setting", *report.importance), rows)]))
    return sections


def _settings(settings: dict[str, Any]) -> str:
    return ", ".join(
        f"{name.partition('.')[2]} {f'{value:.4g}' if isinstance(value, float) else value}"
        for name, value in settings.items()
    )
