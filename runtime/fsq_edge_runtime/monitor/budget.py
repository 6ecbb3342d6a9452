"""One bound on the memory of all streams' history: the oldest block of any stream makes way."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

BUDGET_BYTES = 32 << 20

T = TypeVar("T")


@dataclass(slots=True)
class _Lease:
    size: int
    forget: Callable[[], object]
    live: bool = True


class Budget:
    """Counts the bytes of blocks and gives up the oldest ones beyond a limit.

    Args:
        limit: bytes.

    Attributes:
        used: bytes now.
    """

    def __init__(self, limit: int = BUDGET_BYTES) -> None:
        self._limit = limit
        self._leases: deque[_Lease] = deque()
        self.used = 0

    def take(self, size: int, forget: Callable[[], object]) -> _Lease:
        """Account for a new block of so many bytes; ``forget`` removes it from its owner when its turn comes."""
        lease = _Lease(size, forget)
        self._leases.append(lease)
        self.used += size
        while self.used > self._limit and len(self._leases) > 1:
            oldest = self._leases.popleft()
            if oldest.live:
                self.used -= oldest.size
                oldest.forget()
        return lease

    def give_back(self, lease: _Lease) -> None:
        """Account for a block that its owner removed."""
        lease.live = False
        self.used -= lease.size
        while self._leases and not self._leases[0].live:
            self._leases.popleft()


class Blocks(Generic[T]):
    """The blocks of one stream by a number that grows with time.

    Args:
        budget: shared by all streams.
        make: makes an empty block.
        size: bytes of one.
        keep: blocks whose number is smaller than the newest by more than this are given up.
    """

    def __init__(self, budget: Budget, make: Callable[[], T], size: int, keep: int) -> None:
        self._budget, self._make, self._size, self._keep = budget, make, size, keep
        self._blocks: dict[int, tuple[T, _Lease]] = {}
        self._newest = -(1 << 62)

    def open(self, number: int) -> T:
        """Return the block of this number, made when there is none."""
        found = self._blocks.get(number)
        if found is not None:
            return found[0]
        block = self._make()
        lease = self._budget.take(self._size, lambda: self._blocks.pop(number, None))
        self._blocks[number] = (block, lease)
        self._newest = max(self._newest, number)
        for old in [other for other in self._blocks if other < self._newest - self._keep]:
            self._budget.give_back(self._blocks.pop(old)[1])
        return block

    def between(self, first: int, last: int) -> Iterator[tuple[int, T]]:
        """Yield the numbers and blocks from ``first`` to ``last``, in order."""
        for number in sorted(number for number in self._blocks if first <= number <= last):
            yield number, self._blocks[number][0]

    def clear(self) -> None:
        """Give up every block."""
        for _, lease in self._blocks.values():
            self._budget.give_back(lease)
        self._blocks.clear()

    @property
    def oldest(self) -> int | None:
        """Number of the oldest block that is left."""
        return min(self._blocks, default=None)
