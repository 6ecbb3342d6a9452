"""The readers that ship: delimited text, Axivity, ActiGraph, npz, MATLAB, Parquet, Edge Impulse."""

from collections.abc import Callable

from fsq_edge.data.importing.reader import Reader
from fsq_edge.data.importing.readers.actigraph import ActigraphReader
from fsq_edge.data.importing.readers.axivity import AxivityReader
from fsq_edge.data.importing.readers.delimited import DelimitedReader

SHIPPED: tuple[Callable[[], Reader], ...] = (DelimitedReader, AxivityReader, ActigraphReader)

__all__ = ["SHIPPED"]
