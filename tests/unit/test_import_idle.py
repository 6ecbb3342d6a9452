"""Filled idle sleep becomes a hole in the times, with every row accounted for."""

import json

import numpy as np
import pytest

from fsq_edge.cli.main import run
from fsq_edge.data import open_dataset
from fsq_edge.data.importing import idle as idle_module
from fsq_edge.data.importing import spool as spool_module
from fsq_edge.data.importing.spool import Spool
from tests.factories.loggers import still_and_moving, write_table


@pytest.mark.parametrize("chunk", [1, 7, 100, 1 << 17])
def test_long_repeats_are_taken_out_and_short_ones_stay(tmp_path, monkeypatch, chunk):
    monkeypatch.setattr(Spool.chunks, "__defaults__", (chunk,))
    samples = still_and_moving(300, rate_hz=10.0)
    samples[50:151] = samples[50]  # 10 s
    samples[200:210] = samples[200]  # 0.9 s
    samples[290:] = samples[290]  # at the end
    samples[240:242] = np.nan  # missing is no repeat
    spool = Spool(tmp_path, 3)
    spool.append(np.arange(300) / 10, samples, np.zeros(300, np.int16))
    kept, dropped = idle_module.without_idle(spool, 10.0, tmp_path)
    assert dropped == 100
    assert kept.times(0, kept.length).tolist() == [i / 10 for i in range(300) if not 51 <= i < 151]
    again, none = idle_module.without_idle(kept, 10.0, tmp_path)
    assert (again, none) == (kept, 0)
    assert idle_module.without_idle(kept, 0.8, tmp_path)[1] == 18
    assert spool_module.CHUNK == 1 << 17


def test_the_rows_are_accounted_for(capsys, tmp_path):
    samples = still_and_moving(1500, rate_hz=50.0)
    samples[400:1200] = samples[400]  # 16 s
    columns = {"time": np.arange(1500) / 50, **{f"acc_{axis}": samples[:, i] for i, axis in enumerate("xyz")}}
    write_table(tmp_path / "rex.csv", columns)
    channels = "".join(f"acc_{axis}: {{column: acc_{axis}, unit: g}}, " for axis in "xyz")
    text = f"files: [{{pattern: '*.csv', time: {{column: time, form: s}}, channels: {{{channels}}}}}]\n"
    (tmp_path / "map.yaml").write_text(text + "gaps: {idle_s: 10}\n")
    words = ["data", "import", str(tmp_path / "rex.csv"), "--map", str(tmp_path / "map.yaml")]
    assert run([*words, "--out", str(tmp_path / "d"), "--json", "-"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["inputs"][0]["rows_read"] == 1500
    assert record["inputs"][0]["rows_kept"] == 701
    assert record["inputs"][0]["dropped"] == {"idle sleep that was filled": 799}
    assert record["recordings"][0]["holes"] == 1
    (recording,) = open_dataset(f"folder:{tmp_path / 'd'}").recordings
    assert np.diff(recording.timestamps).max() == pytest.approx(16.0)
