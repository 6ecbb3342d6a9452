"""The program sets what makes its start quicker and leaves what the user has set; `run` takes little memory."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from fsq_edge.cli.main import main
from tests.factories.bundles import motion, random_bundle


@pytest.mark.parametrize(("before", "after"), [(None, "1"), ("my-plugin", "my-plugin")])
def test_pydantic_looks_for_no_plug_ins_unless_the_user_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], before: str | None, after: str
) -> None:
    monkeypatch.setenv("PYDANTIC_DISABLE_PLUGINS", "")  # so that it is put back afterwards
    if before is None:
        monkeypatch.delenv("PYDANTIC_DISABLE_PLUGINS")
    else:
        monkeypatch.setenv("PYDANTIC_DISABLE_PLUGINS", before)
    monkeypatch.setattr("sys.argv", ["fsq-edge", "--version"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert not ended.value.code
    assert capsys.readouterr().out.startswith("fsq-edge")
    assert os.environ["PYDANTIC_DISABLE_PLUGINS"] == after


def test_run_takes_less_than_100_mb(tmp_path: Path) -> None:
    """What a device with 512 MB of memory gives to one stream: the peak of the process, onnxruntime included."""
    random_bundle().save(tmp_path / "b.fsqb")
    np.savez(tmp_path / "m.npz", samples=motion(1500))
    script = (
        "from fsq_edge.cli.main import run\n"
        "code = run(['run', 'b.fsqb', '--source', 'npz:m.npz', '--sink', 'jsonl:o.jsonl', '--quiet'])\n"
        "line = next(line for line in open('/proc/self/status') if line.startswith('VmHWM'))\n"
        "print(code, int(line.split()[1]) / 1024)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True)
    code, peak_mb = done.stdout.split()
    assert code == "0"
    assert 30 < float(peak_mb) < 100
