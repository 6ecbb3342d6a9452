"""The table of expected answers: which networks there are, how each is made, and what the public record says of it."""

from __future__ import annotations

import hashlib
import itertools
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import yaml

FOLDER = Path(__file__).parent
NETWORKS = FOLDER / "networks.yaml"
GENERATIONS = ("hailo8", "hailo10h")
_BRACES = re.compile(r"\{([^{}]*)\}")


@dataclass(frozen=True)
class Answer:
    """What the public record says of a network on one chip.

    Attributes:
        verdict: ``full``, ``cut`` or ``none``; empty where the record does not decide, so that only a sound report is
            asked for and nothing is counted.
        ends: sets of end nodes, each as the record names them; any of the sets is right. Empty where no record
            names them.
    """

    verdict: str
    ends: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True)
class Network:
    """One network that somebody else wrote.

    Attributes:
        name: unique.
        family: networks of one architecture; decides the part that the network belongs to.
        group: ``second`` for what was added when the rules were settled, empty otherwise.
        package: the builder in ``packages.py`` that makes it.
        model: what the package calls it.
        options: further arguments of the builder.
        exports: how it is written, such as ``script-11`` or ``dynamo-18``.
        answers: by chip.
        exceptions: verdicts of single spellings, where the record differs for them; empty where it does not decide.
        fixed: verdict that the record has of the network in another spelling, which ``check --fix`` must come to where
            it does not decide on the file as it is; empty where there is none.
        sources: addresses of the public records.
    """

    name: str
    package: str
    model: str
    options: dict[str, Any]
    exports: tuple[str, ...]
    answers: dict[str, Answer]
    sources: tuple[str, ...]
    exceptions: dict[str, str] = field(default_factory=dict)
    fixed: str = ""
    family: str = ""
    group: str = ""

    def answer(self, spelling: str, chip: str) -> Answer:
        """Return what the record says of one export on one chip."""
        recorded = self.answers[chip]
        return Answer(self.exceptions[spelling]) if recorded.verdict and spelling in self.exceptions else recorded

    @property
    def held_out(self) -> bool:
        """True for the third of the families that nobody looks at while the rules are being written."""
        return hashlib.sha256((self.family or self.name).encode()).digest()[0] % 3 == 0

    @property
    def part(self) -> str:
        """``open`` or ``heldout``."""
        return "heldout" if self.held_out else "open"

    def path(self, spelling: str, folder: Path) -> Path:
        """Return where the export in one spelling is kept."""
        return folder / f"{self.name}.{spelling}.onnx"

    def is_meant(self, names: Collection[str]) -> bool:
        """Whether the network's or its family's name begins with one of these; every network is, when there is none."""
        return not names or self.name.startswith(tuple(names)) or self.family.startswith(tuple(names))

    @property
    def counted(self) -> bool:
        """False where only a sound report is asked for."""
        return bool(self.fixed) or any(answer.verdict for answer in self.answers.values())


def expand(pattern: str) -> list[str]:
    """Expand braces as a shell does.

    >>> expand("cv{2,3}.{0,1}/Conv")
    ['cv2.0/Conv', 'cv2.1/Conv', 'cv3.0/Conv', 'cv3.1/Conv']
    """
    choices = [part.split(",") if index % 2 else [part] for index, part in enumerate(_BRACES.split(pattern))]
    return ["".join(parts) for parts in itertools.product(*choices)]


def read_networks(path: Path = NETWORKS) -> list[Network]:
    """Read the table.

    Raises:
        ValueError: two networks have one name, or a counted network has no source.
    """
    table = yaml.safe_load(path.read_text())
    networks = [_network(row, table) for row in table["networks"]]
    names = [network.name for network in networks]
    if repeated := {name for name in names if names.count(name) > 1}:
        raise ValueError(f"two networks are called {sorted(repeated)}")
    if unsourced := [network.name for network in networks if network.counted and not network.sources]:
        raise ValueError(f"no public source is given for {unsourced}")
    return networks


def address(source: str, table: dict[str, Any]) -> str:
    """Return the address of a source: ``zoo:resnet_v1_18`` is a configuration of the zoo, an address is itself."""
    kind, _, rest = source.partition(":")
    return table["sources"][kind].format(rest) if kind in table["sources"] else source


def _network(row: dict[str, Any], table: dict[str, Any]) -> Network:
    row = dict(row)
    known = (
        "name",
        "package",
        "model",
        "exports",
        "sources",
        "verdict",
        "ends",
        "recorded",
        "chips",
        "except",
        "fixed",
        "group",
    )
    settings = {key: row.pop(key) for key in known if key in row}
    common = {key: settings[key] for key in ("verdict", "ends") if key in settings}
    recorded = settings.get("recorded", GENERATIONS)
    answers = {
        chip: _answer(common | settings.get("chips", {}).get(chip, {})) if chip in recorded else Answer("")
        for chip in GENERATIONS
    }
    return Network(
        name=settings["name"],
        package=settings["package"],
        model=settings["model"],
        options=row,
        exports=tuple(settings.get("exports") or _usual_exports(settings["name"], table["exports"])),
        answers=answers,
        sources=tuple(address(source, table) for source in settings.get("sources", ())),
        exceptions=settings.get("except", {}),
        fixed=settings.get("fixed", ""),
        family=_family(settings["name"], table["families"]),
        group=settings.get("group", ""),
    )


def _family(name: str, families: dict[str, list[str]]) -> str:
    """Return the first family with a pattern that fits the name; without one, a network is its own family."""
    fits = (family for family, patterns in families.items() if any(fnmatchcase(name, item) for item in patterns))
    return next(fits, name)


def _answer(settings: dict[str, Any]) -> Answer:
    ends = settings.get("ends") or []
    alternatives = ends if ends and isinstance(ends[0], list) else [ends]
    sets = tuple(tuple(itertools.chain.from_iterable(map(expand, names))) for names in alternatives if names)
    return Answer(settings.get("verdict", ""), sets)


def _usual_exports(name: str, choices: list[list[str]]) -> Iterator[str]:
    """Pick one spelling of each group by the network's name, so that all opsets appear in the survey."""
    number = hashlib.sha256(name.encode()).digest()[1]
    return (group[number % len(group)] for group in choices)
