"""What networks of several sizes cost on one machine, and the largest that keeps a budget."""

from __future__ import annotations

import re
from typing import ClassVar, Final, Self

from pydantic import Field

from fsq_edge_runtime.artefact import Artefact, StrictModel
from fsq_edge_runtime.errors import UsageError

SIZES_FILE: Final = "sizes.json"
EXAMPLE: Final = '--budget "us=60,params=40k,flips=2%"'
_UNITS: Final = {"": 1.0, "k": 1e3, "M": 1e6, "%": 0.01}
_LIMIT: Final = re.compile(r"(us|params|flips)=(\d+(?:\.\d+)?)([kM%]?)")


class SizeBudget(StrictModel):
    """The most that a network may cost; None is no limit.

    Attributes:
        us: microseconds of one window, the network alone on this CPU.
        params: trained numbers.
        flips: share of codes that an int8 preview changes, 0 to 1 (simulated).
    """

    us: float | None = Field(default=None, gt=0)
    params: int | None = Field(default=None, gt=0)
    flips: float | None = Field(default=None, ge=0, le=1)

    @classmethod
    def read(cls, text: str) -> Self:
        """Read ``us=60,params=40k,flips=2%``, any of them.

        Raises:
            UsageError: another form, a limit of 0, or one given twice.
        """
        limits: dict[str, float] = {}
        for part in text.split(","):
            found = _LIMIT.fullmatch(part.strip())
            if found is None or found[1] in limits or (found[3] == "%") > (found[1] == "flips"):
                raise UsageError(f"--budget: {part.strip()!r} is no limit, or one too many", hint=EXAMPLE)
            limits[found[1]] = float(found[2]) * _UNITS[found[3]]
        if min(limits.get("us", 1), int(limits.get("params", 1))) <= 0 or limits.get("flips", 0) > 1:
            raise UsageError("--budget: us and params are above 0, flips at most 100 %", hint=EXAMPLE)
        params = limits.get("params")
        return cls(us=limits.get("us"), params=None if params is None else int(params), flips=limits.get("flips"))


class SizeRow(StrictModel):
    """One size.

    Attributes:
        hidden_dim: width of the deeper convolutions.
        blocks: convolutions.
        params: trained numbers.
        macs: multiply-accumulates of one window.
        us: microseconds of one window, median; None where the parameters are too many already.
        flips: share of codes that an int8 preview of a short training changed; None where none was asked for.
        val_macro_f1: of that training.
    """

    hidden_dim: int = Field(ge=1)
    blocks: int = Field(ge=1)
    params: int = Field(ge=1)
    macs: int = Field(ge=0)
    us: float | None = None
    flips: float | None = None
    val_macro_f1: float | None = None

    def fits(self, budget: SizeBudget) -> bool:
        """Return whether time and parameters, which need no training, keep the budget."""
        if budget.params is not None and self.params > budget.params:
            return False
        return budget.us is None or (self.us is not None and self.us <= budget.us)


class SizeTable(Artefact):
    """``sizes.json``: what the sizes cost where they were measured, and which one was chosen.

    Attributes:
        made: date and time, UTC.
        machine: processor, system and Python.
        onnxruntime: version that was timed.
        config_sha256: digest of the configuration whose sizes were measured.
        budget: what was asked for.
        rows: the sizes, the most work first.
        chosen: index of the row that was trained.
        trained_flips: of the trained network; None where no limit was asked for, or it is not trained yet.
    """

    KIND: ClassVar[str] = "sizes.json"

    made: str
    machine: str
    onnxruntime: str
    config_sha256: str
    budget: SizeBudget
    rows: tuple[SizeRow, ...] = Field(min_length=1)
    chosen: int = Field(ge=0)
    trained_flips: float | None = None

    @property
    def choice(self) -> SizeRow:
        """The row that was chosen."""
        return self.rows[self.chosen]

    @property
    def keeps_flips(self) -> bool:
        """Whether the trained network keeps the limit of flips, where there is one."""
        limit = self.budget.flips
        return limit is None or self.trained_flips is None or self.trained_flips <= limit
