"""``alerts.yaml``: what is worth an alert, and who gets it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final, Literal, Self

from pydantic import Field, model_validator

from fsq_edge_runtime.addresses import redacted
from fsq_edge_runtime.artefact import Artefact, StrictModel
from fsq_edge_runtime.errors import DataError, UsageError, did_you_mean
from fsq_edge_runtime.extras import need
from fsq_edge_runtime.faults import yaml_problem
from fsq_edge_runtime.files import read_bounded
from fsq_edge_runtime.tables.zones import open_zone

MAX_RULES_BYTES: Final = 1 << 20
WINDOWS_ONLY: Final = ("csv", "parquet")
HOUR_S: Final = 3600.0
Seconds = Annotated[float, Field(ge=0.0, le=1e9)]
Length = Annotated[float, Field(gt=0.0, le=1e9)]
Share = Annotated[float, Field(ge=0.0, le=1.0)]


class Rule(StrictModel):
    """What every rule has.

    Attributes:
        name: unique; alerts carry it.
        streams: ids of the streams it is for; empty is all.
        cooldown_s: seconds after an alert in which the rule raises no second one on that stream. A condition that
            still holds afterwards raises one then.
        clear_after_s: seconds that the condition must have ended before the all-clear.
    """

    name: str = Field(pattern=r"^[A-Za-z0-9_\-]{1,64}$")
    streams: tuple[str, ...] = Field(default=(), max_length=4096)
    cooldown_s: Seconds = 0.0
    clear_after_s: Seconds = 0.0


class ClassRule(Rule):
    """A rule about classes.

    Attributes:
        classes: labels, any of them.
    """

    classes: tuple[str, ...] = Field(min_length=1, max_length=4096)


class Lasting(ClassRule):
    """Classes that last longer than a time.

    Attributes:
        longer_than_s: seconds.
        max_break_s: breaks up to so many seconds do not end it.
    """

    kind: Literal["lasting"]
    longer_than_s: Seconds
    max_break_s: Seconds = 0.0


class SharePart(Rule):
    """A rule about a share of the time that goes by.

    Attributes:
        window_s: seconds looked back at.
        least_coverage: share of the window that must be known, 0 to 1.
    """

    window_s: Length = HOUR_S
    least_coverage: Share = 0.5


class ShareOfTime(SharePart, ClassRule):
    """The share of classes among what has a label.

    Attributes:
        above: alert beyond this share, 0 to 1.
        below: alert under this share, 0 to 1.
    """

    kind: Literal["share"]
    above: Share | None = None
    below: Share | None = None

    @model_validator(mode="after")
    def _one_limit(self) -> Self:
        if (self.above is None) == (self.below is None):
            raise ValueError("give above or below")
        return self


class Abstention(SharePart):
    """The share of windows without an answer, abstained or missed.

    Attributes:
        above: alert beyond this share, 0 to 1.
    """

    kind: Literal["abstention"]
    above: Share = 0.5


class CountPerDay(ClassRule):
    """How often classes begin in a day.

    Attributes:
        above: alert when a day has more bouts than this.
        below: alert at the end of a day that had fewer.
        zone: IANA name of the time zone of the days; a source that does not count from 1970 has days of 24 hours.
        min_bout_s: shorter bouts do not count, seconds.
        max_break_s: breaks up to so many seconds do not end a bout.
        least_coverage: share of the day that must be known for ``below``, 0 to 1.
    """

    kind: Literal["count"]
    above: Annotated[int, Field(ge=0)] | None = None
    below: Annotated[int, Field(ge=1)] | None = None
    zone: str = "UTC"
    min_bout_s: Seconds = 0.0
    max_break_s: Seconds = 0.0
    least_coverage: Share = 0.5

    @model_validator(mode="after")
    def _sound(self) -> Self:
        if (self.above is None) == (self.below is None):
            raise ValueError("give above or below")
        open_zone(self.zone)
        return self


class Silence(Rule):
    """A stream without a window.

    Attributes:
        longer_than_s: seconds.
    """

    kind: Literal["silence"]
    longer_than_s: Length


class Drift(Rule):
    """A ``drift`` record of the stream; it has no all-clear."""

    kind: Literal["drift"]


AnyRule = Annotated[Lasting | ShareOfTime | Abstention | CountPerDay | Silence | Drift, Field(discriminator="kind")]


class AlertRules(Artefact):
    """The rules of one run.

    Attributes:
        sinks: addresses as of ``--sink`` that get the alerts and nothing else; the run's own sinks get them, too.
        rules: any number, names unique.
    """

    KIND: ClassVar[str] = "the alert rules"

    sinks: tuple[str, ...] = Field(default=(), max_length=16)
    rules: tuple[AnyRule, ...] = Field(min_length=1, max_length=256)

    @model_validator(mode="after")
    def _names_are_unique(self) -> Self:
        twice = [name for name, count in Counter(rule.name for rule in self.rules).items() if count > 1]
        if twice:
            raise ValueError(f"two rules are called {twice[0]!r}")
        blind = [redacted(text) for text in self.sinks if text.partition(":")[0] in WINDOWS_ONLY]
        if blind:
            raise ValueError(f"{blind[0]} takes windows only, no alerts; give jsonl, mqtt, influx or webhook")
        return self

    def check_classes(self, classes: Sequence[str]) -> None:
        """Raise for a class that the bundle does not have.

        Raises:
            UsageError: a rule waits for a label that never comes.
        """
        known = {*classes, "unknown"}
        for rule in self.rules:
            for name in rule.classes if isinstance(rule, ClassRule) else ():
                if name not in known:
                    raise UsageError(
                        f"rule {rule.name!r} names the class {name!r}, which the bundle does not have",
                        hint=did_you_mean(name, sorted(known)) or f"classes: {', '.join(sorted(known)[:20])}",
                    )


def read_rules(path: Path) -> AlertRules:
    """Read a file of rules, YAML or (named ``.json``) JSON.

    Raises:
        MissingInputError: it cannot be read.
        DataError: it is no such file; the message names the field.
        UnavailableError: PyYAML is not installed.
    """
    text = read_bounded(path, MAX_RULES_BYTES, what="the alert rules")
    if path.suffix == ".json":
        return AlertRules.from_json(text, origin=path.name)
    return AlertRules.from_json(json.dumps(_parse(text, path)), origin=path.name)


def _parse(text: bytes, path: Path) -> Any:
    yaml: Any = need("yaml", "alerts", "a YAML file of alert rules")
    hint = "a tab or a missing space is the usual cause"
    try:
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, Loader=yaml.SafeLoader)):
            raise DataError(f"{path.name}: aliases (*name) are not read", hint="write the value again")
        document = yaml.safe_load(text)
        json.dumps(document, allow_nan=False)
    except (yaml.YAMLError, RecursionError) as error:
        raise DataError(yaml_problem(error, path.name), hint=hint) from error
    except (TypeError, ValueError) as error:  # a date without quotation marks, .inf
        raise DataError(f"{path.name}: {error}", hint="put texts that look like dates in quotation marks") from error
    return document
