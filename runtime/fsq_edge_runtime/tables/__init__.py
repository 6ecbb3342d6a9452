"""Tables of sensor values as text: how a file separates its cells, writes its times and names its units."""

from fsq_edge_runtime.tables.dialect import Dialect, TableHead, recognize_dialect, split_line
from fsq_edge_runtime.tables.times import TextClock, TimeForm, numbers_to_seconds, recognize_time
from fsq_edge_runtime.tables.units import ColumnName, conversion, name_column, spell_unit

__all__ = [
    "ColumnName",
    "Dialect",
    "TableHead",
    "TextClock",
    "TimeForm",
    "conversion",
    "name_column",
    "numbers_to_seconds",
    "recognize_dialect",
    "recognize_time",
    "spell_unit",
    "split_line",
]
