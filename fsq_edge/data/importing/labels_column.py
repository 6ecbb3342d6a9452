"""Labels that stand in a column: texts to numbers, the numbers given in the order of appearance."""

from __future__ import annotations

import numpy as np

from fsq_edge.data.importing.import_map import LabelSource
from fsq_edge_runtime.arrays import AnyArray, BoolArray, Int16Array
from fsq_edge_runtime.errors import DataError

MAX_CLASSES = 1000


class LabelNumbers:
    """Gives every class name a number; one object for a whole data set.

    Attributes:
        names: class names by number.
    """

    def __init__(self) -> None:
        self.names: list[str] = []
        self._known: dict[str, int] = {}

    def of(self, cells: AnyArray, source: LabelSource, keep: BoolArray) -> Int16Array:
        """Return labels, int16 (n,); -1 for none and for rows that are not kept.

        Raises:
            DataError: so many different values that the column holds no labels.
        """
        numbers = np.full(len(cells), -1, np.int16)
        seen: dict[str, int] = {}
        for i in np.flatnonzero(keep).tolist():
            text = str(cells[i]).strip()
            if text not in seen:
                seen[text] = -1 if text in source.none else self.number(source.names.get(text, text))
            numbers[i] = seen[text]
        return numbers

    def number(self, name: str) -> int:
        """Return the number of a class, a new one if need be; errors as :meth:`of`."""
        if name not in self._known:
            if len(self.names) >= MAX_CLASSES:
                raise DataError(
                    f"more than {MAX_CLASSES} classes, the last one {name[:40]!r}", hint="change label.column"
                )
            self._known[name] = len(self.names)
            self.names.append(name)
        return self._known[name]

    def sorted_numbers(self) -> tuple[tuple[str, ...], Int16Array]:
        """Return the class names in order of the alphabet, and for each number given out its place among them."""
        names = tuple(sorted(self.names))
        places = np.array([names.index(name) for name in self.names], np.int16)
        return names, places
