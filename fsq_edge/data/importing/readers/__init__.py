"""The readers that ship: delimited text, Axivity, ActiGraph, npz, MATLAB, Parquet, Edge Impulse, Movebank."""

from collections.abc import Callable

from fsq_edge.data.importing.reader import Reader
from fsq_edge.data.importing.readers.actigraph import ActigraphReader
from fsq_edge.data.importing.readers.axivity import AxivityReader
from fsq_edge.data.importing.readers.delimited import DelimitedReader
from fsq_edge.data.importing.readers.edge_impulse import EdgeImpulseReader
from fsq_edge.data.importing.readers.movebank import MovebankReader
from fsq_edge.data.importing.readers.stored import MatlabReader, NpzReader, ParquetReader

SHIPPED: tuple[Callable[[], Reader], ...] = (
    DelimitedReader,
    NpzReader,
    MatlabReader,
    ParquetReader,
    EdgeImpulseReader,
    MovebankReader,
    AxivityReader,
    ActigraphReader,
)

__all__ = ["SHIPPED"]
