"""The unit of a service: words reach the program as they are, systemd is content, and no secret stands in it."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsq_edge.cli.main import run
from fsq_edge_runtime.errors import UsageError
from fsq_edge_runtime.service_unit import ServiceUnit, find_program, quoted, verify_unit
from tests.factories.bundles import random_bundle

SERIAL = "serial:/dev/ttyACM0?framing=packed"
LOG = "jsonl:day.jsonl?append"


def unit(**changes: object) -> ServiceUnit:
    values: dict[str, object] = {"name": "dog", "program": ("/bin/true",), "bundle": Path("/opt/dog/current")}
    values |= {"sources": (SERIAL,), "sinks": (LOG,)}
    return ServiceUnit(**{**values, **changes})


def settings_of(text: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        name, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            found.setdefault(name, []).append(value)
    return found


def test_the_unit_runs_what_was_asked_for_and_may_little_else() -> None:
    found = settings_of(unit(more=("--drift",)).text())
    assert shlex.split(found["ExecStart"][0]) == [
        "/bin/true", "run", "/opt/dog/current", "--reload", "--quiet", "--source", SERIAL, "--sink", LOG, "--drift",
    ]  # fmt: skip
    assert found["Type"] == ["notify"]
    assert found["ExecReload"] == ["/bin/kill -HUP $MAINPID"]
    assert found["DynamicUser"] == ["yes"]
    assert found["DeviceAllow"] == ["/dev/hailo0 rw", "/dev/h1x-0 rw", "char-ttyACM rw"]
    assert found["ProtectSystem"] == ["strict"]
    assert found["CapabilityBoundingSet"] == [""]
    assert "ReadWritePaths" not in found
    assert found["EnvironmentFile"] == ["-/etc/fsq-edge/dog.env"]


def test_what_the_addresses_need_is_allowed() -> None:
    sinks = ("parquet:/data/dogs", "jsonl:/var/lib/dog/a?append", "jsonl:/data/x/a?append")
    sources = ("serial:/dev/serial/by-id/usb-x",)
    found = settings_of(unit(sources=sources, user="fsq", bundle=Path("/home/me/dog.fsqb"), sinks=sinks).text())
    assert found["ReadWritePaths"] == ["/data/dogs", "/data/x"]
    assert found["User"] == ["fsq"]
    assert "DynamicUser" not in found
    assert len(found["DeviceAllow"]) == 6
    assert found["ProtectHome"] == ["read-only"]
    assert "SupplementaryGroups" not in settings_of(unit(sources=("udp:0.0.0.0:9000",)).text())


words = st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "S", "Zs")), min_size=1)


@given(words)
def test_any_word_comes_out_as_it_went_in(word: str) -> None:
    text = quoted(word)
    # Within double quotes a shell takes \\ and \" as systemd does; %% and $$ are systemd's own.
    plain = text.replace("%%", "%").replace("$$", "$")
    assert shlex.split(plain) == [word]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"name": "a b"}, "no name for a service"),
        ({"name": "../x"}, "no name for a service"),
        ({"user": "root; x"}, "no name of a user"),
        ({"sinks": ("jsonl:-",)}, "no terminal"),
        ({"sources": ("stdin:",)}, "no terminal"),
        ({"sinks": ("jsonl:a.jsonl",)}, "emptied whenever"),
        ({"sinks": ("csv:a.csv",)}, "emptied whenever"),
        ({"sinks": ("influx:a.lp",)}, "emptied whenever"),
        ({"sinks": ("jsonl:/data/a?append",)}, "its own user may only write"),
        ({"sinks": ("webhook:https://h/hunter2",)}, "must not stand in it"),
        ({"sinks": ("mqtt://me:hunter2@h/t",)}, "must not hold a password"),
        ({"sinks": ("influx:http://me:hunter2@h/?db=a",)}, "must not hold a password"),
        ({"sinks": ("mqtt://h/t\n[Service]",)}, "control characters"),
    ],
)
def test_what_a_unit_must_not_hold_is_refused(changes: dict[str, object], words: str) -> None:
    with pytest.raises(UsageError, match=words) as caught:
        unit(**changes)
    assert "hunter2" not in caught.value.message


needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="'systemd-analyze' is not installed (apt install systemd)"
)


@needs_systemd
def test_systemd_is_content_with_every_kind_of_unit() -> None:
    for changes in ({}, {"user": "root", "sinks": ("parquet:/tmp/a b%",)}, {"sources": ("mqtt://h/a $x",)}):
        assert verify_unit(unit(**changes)) == (True, [])


@needs_systemd
def test_systemd_calls_the_unit_well_protected(tmp_path: Path) -> None:
    (tmp_path / "dog.service").write_text(unit().text())
    # The threshold is ten times the exposure, from 0 to 10; a unit without any protection has 9.6.
    words = [
        "systemd-analyze",
        "security",
        "--offline=true",
        "--no-pager",
        "--threshold=25",
        str(tmp_path / "dog.service"),
    ]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    if "unrecognized option" in done.stderr:
        pytest.skip("this systemd-analyze cannot judge a file (systemd 250 or later can)")
    assert done.returncode == 0, done.stdout[-300:]


@needs_systemd
def test_systemd_finds_a_program_that_is_not_there() -> None:
    verified = verify_unit(unit(program=("/no/such/program",)))
    assert verified is not None
    assert not verified[0]
    assert "/no/such/program" in " ".join(verified[1])


def test_the_verb_writes_a_unit_once_it_is_checked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    random_bundle().save(tmp_path / "dog.fsqb")
    base = ["service", "install", str(tmp_path / "dog.fsqb"), "--source", SERIAL, "--sink", LOG, "--to", str(tmp_path)]
    assert run([*base, "--dry-run"]) == 0
    shown = capsys.readouterr().out
    assert not (tmp_path / "fsq-edge.service").exists()
    assert run([*base, "--json", str(tmp_path / "j")]) == 0
    assert (tmp_path / "fsq-edge.service").read_text() == shown
    assert json.loads((tmp_path / "j").read_text())["written"]
    assert "systemctl daemon-reload" in capsys.readouterr().err
    assert find_program(str(tmp_path / "python")) == (str(tmp_path / "python"), "-m", "fsq_edge")
    assert run([*base[:-1], str(tmp_path / "none")]) == 69
    assert run([*base[:2], str(tmp_path / "none.fsqb"), *base[3:]]) == 66
    assert run([*base, "--sink", "jsonl:-"]) == 64


def test_alert_rules_are_read_before_they_are_installed(tmp_path: Path) -> None:
    bundle = random_bundle()
    bundle.save(tmp_path / "dog")
    words = ["service", "install", str(tmp_path / "dog"), "--source", SERIAL, "--sink", LOG, "--to", str(tmp_path)]
    rule = {"name": "a", "kind": "lasting", "classes": ["class-1"], "longer_than_s": 5}
    (tmp_path / "rules.json").write_text(json.dumps({"schema_version": 1, "rules": [rule]}))
    assert run([*words, "--alerts", str(tmp_path / "rules.json")]) == 0
    assert f"--alerts {tmp_path / 'rules.json'}" in (tmp_path / "fsq-edge.service").read_text()
    (tmp_path / "rules.json").write_text(json.dumps({"schema_version": 1, "rules": [{**rule, "classes": ["fly"]}]}))
    assert run([*words, "--alerts", str(tmp_path / "rules.json")]) == 64


def test_a_unit_that_systemd_refuses_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    random_bundle().save(tmp_path / "dog.fsqb")
    monkeypatch.setattr("fsq_edge.cli.service.verify_unit", lambda unit: (False, ["dog.service: bad"]))
    words = ["service", "install", str(tmp_path / "dog.fsqb"), "--source", SERIAL, "--sink", LOG, "--to", str(tmp_path)]
    assert run(words) == 1
    assert not (tmp_path / "fsq-edge.service").exists()
