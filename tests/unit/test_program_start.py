"""The program sets what makes its start quicker, and leaves what the user has set."""

from __future__ import annotations

import os

import pytest

from fsq_edge.cli.main import main


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
