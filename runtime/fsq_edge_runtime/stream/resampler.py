"""Reducing the rate of a uniform series without aliasing: one windowed-sinc dot product per output sample."""

from __future__ import annotations

import functools
import math
from fractions import Fraction

import numpy as np

from fsq_edge_runtime.arrays import Float32Array, Int64Array
from fsq_edge_runtime.errors import UsageError
from fsq_edge_runtime.stream.grid import Break, Piece

# 60 dB of stop band from 1.2 times the output's Nyquist frequency on: what folds back lies above 0.8 of it.
# Source: Kaiser's design formulas (Oppenheim and Schafer, Discrete-Time Signal Processing, section 7.5.3).
ATTENUATION_DB = 60.0
TRANSITION = 0.2  # of the output rate
MAX_PHASES = 4096
MAX_RATIO = 256.0


class Polyphase:
    """Converts pieces on the source's grid into pieces on the model's grid; state is carried across chunks.

    Output m lies at source position m * source / output, held as an exact fraction. It is
    ``x[c] + sum_j w[j] (x[c - half + j] - x[c])``, c the source sample at or before it: weights sum to one, so a
    constant stays that constant to the bit. At both ends of a segment the outermost sample is held.

    Args:
        channels: C.
        source_rate_hz: rate of the input pieces.
        rate_hz: rate of the output, lower.

    Raises:
        UsageError: the rates have no common fraction that can be tabulated, or differ by more than 256 times.
    """

    def __init__(self, channels: int, source_rate_hz: float, rate_hz: float) -> None:
        ratio = Fraction(source_rate_hz / rate_hz).limit_denominator(MAX_PHASES)
        if abs(float(ratio) * rate_hz / source_rate_hz - 1.0) > 1e-6 or not 1.0 < float(ratio) <= MAX_RATIO:
            raise UsageError(
                f"cannot resample {source_rate_hz:g} Hz to {rate_hz:g} Hz",
                hint=f"the rate may fall by up to {MAX_RATIO:g} times; give the sensor's nominal rate",
            )
        self._num, self._den = ratio.numerator, ratio.denominator
        self.half = math.ceil((ATTENUATION_DB - 8.0) / (2.285 * 2 * math.pi * TRANSITION) * float(ratio) / 2)
        self._weights = _weights(self.half, float(ratio), self._den)
        self._channels = channels
        self._reset()

    def _reset(self) -> None:
        self._active = False
        self._rows: Float32Array = np.empty((0, self._channels), dtype=np.float32)
        self._used: Int64Array = np.empty(0, dtype=np.int64)
        self._imputed: Int64Array = np.empty(0, dtype=np.int64)
        self._first = 0  # source index of the first row kept
        self._tallied = 0  # source index up to which ``used`` and ``imputed`` were handed on
        self._next = 0  # output to be computed next
        self._begins: Break | None = None

    def take(self, piece: Piece) -> list[Piece]:
        """Convert one piece; a piece that begins a segment first flushes the segment before."""
        out = []
        if piece.begins is not None:
            out = self.finish()
            self._active, self._begins = True, piece.begins
            self._hold(piece.rows[:1])
            self._first = self._tallied = -self.half
        n = len(piece.rows)
        self._extend(
            piece.rows,
            np.ones(n, dtype=np.int64) if piece.used is None else piece.used,
            np.zeros(n, dtype=np.int64) if piece.imputed is None else piece.imputed.astype(np.int64),
        )
        out.append(self._convert(self._first + len(self._rows) - self.half))
        return [found for found in out if len(found.rows)]

    def finish(self) -> list[Piece]:
        """Return the outputs that still lie within the segment, its last sample held, and end the segment."""
        if not self._active:
            return []
        end = self._first + len(self._rows)
        self._hold(self._rows[-1:])
        piece = self._convert(end)
        self._reset()
        return [piece] if len(piece.rows) else []

    def _hold(self, row: Float32Array) -> None:
        nothing = np.zeros(self.half, dtype=np.int64)
        self._extend(np.repeat(row, self.half, axis=0), nothing, nothing)

    def _extend(self, rows: Float32Array, used: Int64Array, imputed: Int64Array) -> None:
        self._rows = np.concatenate((self._rows, rows))
        self._used = np.concatenate((self._used, used))
        self._imputed = np.concatenate((self._imputed, imputed))

    def _convert(self, end: int) -> Piece:
        """Compute every output whose centre sample lies before ``end``; its support is then complete."""
        until = max(self._next, -(-end * self._den // self._num))
        position = np.arange(self._next, until, dtype=np.int64) * self._num
        centre = position // self._den
        rows = self._filter(centre - self._first, position % self._den)
        used, imputed = self._tally(self._used, centre), self._tally(self._imputed, centre)
        if len(centre):
            self._tallied = int(centre[-1]) + 1
        self._next = until
        self._forget(until * self._num // self._den - self.half + 1)
        begins = self._begins
        if len(rows):
            self._begins = None
        return Piece(rows, begins, used, imputed > 0)

    def _filter(self, centre: Int64Array, phase: Int64Array) -> Float32Array:
        if not len(centre):
            return np.empty((0, self._channels), dtype=np.float32)
        support = np.lib.stride_tricks.sliding_window_view(self._rows, 2 * self.half, axis=0)[centre - self.half + 1]
        middle = self._rows[centre]
        weights = self._weights[phase]
        # One pairwise sum of fixed length per value: unlike a matrix product, independent of the number of rows.
        with np.errstate(invalid="ignore", over="ignore"):  # Inf is missing
            out = middle + np.sum((support - middle[:, :, None]) * weights[:, None, :], axis=-1, dtype=np.float32)
        if not np.isfinite(out).all():
            at, channel = np.nonzero(~np.isfinite(out))
            out[at, channel] = _partial(support[at, channel], weights[at])
        return np.asarray(out, dtype=np.float32)

    def _tally(self, values: Int64Array, centre: Int64Array) -> Int64Array:
        """Return the sums of ``values`` over the source samples after one centre up to and with the next."""
        running = np.concatenate(([0], np.cumsum(values)))
        return np.diff(running[centre + 1 - self._first], prepend=running[self._tallied - self._first])

    def _forget(self, keep: int) -> None:
        drop = max(0, min(keep, self._tallied) - self._first)
        self._rows, self._used, self._imputed = self._rows[drop:], self._used[drop:], self._imputed[drop:]
        self._first += drop


def _partial(support: Float32Array, weights: Float32Array) -> Float32Array:
    """Return the filter's output (K,) where samples are missing: what is there, if it holds half of the weight."""
    present = np.isfinite(support)
    weight = np.where(present, weights, 0).sum(axis=-1)
    value = (np.where(present, support, 0) * weights).sum(axis=-1)
    return np.where(weight > 0.5, value / np.where(weight > 0.5, weight, 1), np.nan).astype(np.float32)


@functools.lru_cache(maxsize=16)
def _weights(half: int, ratio: float, phases: int) -> Float32Array:
    """Return the Kaiser-windowed sinc (phases, 2 * half), each row summing to one."""
    beta = 0.1102 * (ATTENUATION_DB - 8.7)
    at = np.arange(-half + 1, half + 1)[None, :] - np.arange(phases)[:, None] / phases
    window = np.i0(beta * np.sqrt(np.clip(1.0 - (at / half) ** 2, 0.0, None))) / np.i0(beta)
    weights = np.sinc(at / ratio) * window
    found: Float32Array = np.asarray(weights / weights.sum(axis=1, keepdims=True), dtype=np.float32)
    found.flags.writeable = False  # one table serves all streams of a rate
    return found
