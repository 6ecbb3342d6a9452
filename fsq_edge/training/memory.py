"""Memory that a training lacks, as an error that names the settings to lower."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from fsq_edge_runtime.errors import UnavailableError

# What torch says of a CPU, of a GPU, and of a mapping; it has no class of its own for the first.
_SIGNS = ("can't allocate memory", "out of memory", "not enough memory")


@contextmanager
def memory_named(batch_size: int) -> Iterator[None]:
    """Turn what torch and Python raise when memory ends into one error.

    Args:
        batch_size: windows of a batch, for the message.

    Raises:
        UnavailableError: the memory of the machine or of its GPU did not suffice.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, MemoryError) or any(sign in str(error) for sign in _SIGNS):
            raise UnavailableError(
                f"not enough memory to train with batches of {batch_size} windows",
                hint="lower training.batch_size or model.hidden_dim; for many recordings data.memory_mb",
            ) from error
        raise
