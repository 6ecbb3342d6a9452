import numpy as np
import pytest

from fsq_edge_runtime.errors import UsageError
from fsq_edge_runtime.stream.grid import Break, Piece
from fsq_edge_runtime.stream.resampler import Polyphase

RATES = [(400.0, 50.0), (104.0, 50.0), (119.0, 50.0), (1000.0, 100.0), (125.0, 50.0)]


def resample(signal: np.ndarray, source: float, rate: float, chunk: int = 10**9) -> np.ndarray:
    polyphase = Polyphase(signal.shape[1], source, rate)
    pieces = []
    for at in range(0, len(signal), chunk):
        begins = Break("start", None, 0.0) if at == 0 else None
        pieces += polyphase.take(Piece(signal[at : at + chunk], begins))
    pieces += polyphase.finish()
    return np.concatenate([piece.rows for piece in pieces])


def tone(frequency: float, rate: float, seconds: float = 8.0) -> np.ndarray:
    return np.sin(2 * np.pi * frequency * np.arange(int(seconds * rate)) / rate).astype(np.float32)[:, None]


@pytest.mark.parametrize(("source", "rate"), RATES)
def test_what_lies_below_is_kept_and_what_would_fold_back_is_removed(source, rate):
    inner = slice(40, -40)
    for share in (0.05, 0.3, 0.7):  # of the output's Nyquist frequency
        kept = resample(tone(share * rate / 2, source), source, rate)[inner]
        expected = tone(share * rate / 2, rate)[: len(kept) + 80][inner]
        assert np.abs(kept - expected).max() < 0.01
    for share in (1.25, 1.6):
        if share * rate < source:
            folded = resample(tone(share * rate / 2, source), source, rate)[inner]
            assert np.abs(folded).max() < 0.002  # below -54 dB


@pytest.mark.parametrize(("source", "rate"), RATES)
def test_a_constant_stays_that_constant_to_the_bit(source, rate):
    value = np.float32(9.80665)
    assert (resample(np.full((1000, 1), value), source, rate) == value).all()


@pytest.mark.parametrize(("source", "rate"), RATES)
def test_the_outputs_cover_the_segment(source, rate):
    n = 1237
    assert len(resample(np.zeros((n, 1), np.float32), source, rate)) == int((n - 1) * rate / source + 1e-9) + 1


def test_a_missing_value_costs_only_itself():
    signal = tone(3.0, 400.0)
    broken = signal.copy()
    broken[1000] = np.nan
    assert np.abs(resample(broken, 400.0, 50.0) - resample(signal, 400.0, 50.0)).max() < 0.05
    broken[1000:1200] = np.inf
    missing = np.isnan(resample(broken, 400.0, 50.0)[:, 0])
    assert 20 < missing.sum() < 30
    np.testing.assert_array_equal(np.flatnonzero(missing), np.arange(*np.flatnonzero(missing)[[0, -1]] + [0, 1]))


def test_what_the_grid_did_is_handed_on():
    polyphase = Polyphase(1, 100.0, 50.0)
    used, imputed = np.ones(400, np.int64), np.zeros(400, bool)
    used[100:110], imputed[100:110] = 0, True
    pieces = polyphase.take(Piece(np.zeros((400, 1), np.float32), Break("start", None, 0.0), used, imputed))
    pieces += polyphase.finish()
    assert sum(int(piece.used.sum()) for piece in pieces) == 389  # up to the last output's centre
    assert sum(int(piece.imputed.sum()) for piece in pieces) == 6  # as many outputs touch one


@pytest.mark.parametrize(("source", "rate"), [(50.0, 50.0), (40.0, 50.0), (50_000.0, 50.0)])
def test_rates_that_cannot_be_had_are_refused(source, rate):
    with pytest.raises(UsageError, match="cannot resample"):
        Polyphase(1, source, rate)
