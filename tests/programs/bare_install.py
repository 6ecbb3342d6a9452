"""Prove the device-only install: no torch, no onnx, every device-side verb works. Run by ``make bare``.

Usage: ``python bare_install.py FOLDER`` with the interpreter of an environment that holds the bare package.
"""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

FORBIDDEN = ("torch", "onnx", "onnxsim", "sklearn", "matplotlib", "jinja2", "pytest")


def call(*arguments: str, code: int = 0, stdin: bytes | None = None) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "fsq_edge", *arguments], input=stdin, capture_output=True, timeout=120, check=False
    )
    text = done.stdout.decode() + done.stderr.decode()
    if done.returncode != code or "Traceback" in text:
        sys.exit(f"fsq-edge {' '.join(arguments)}: exit {done.returncode}, expected {code}\n{text}")
    return done.stdout.decode()


def main(folder: Path) -> None:
    present = [name for name in FORBIDDEN if importlib.util.find_spec(name)]
    if present:
        sys.exit(f"this environment is not bare: it has {', '.join(present)}")
    from fsq_edge.cli.main import grouped_verbs

    call("--help")
    verbs = [verb for group in grouped_verbs().values() for verb in group]
    for verb in verbs:
        call(verb, "--help")
        call(verb, "--no-such-flag", code=64)
    bundle = str(folder / "random.fsqb")
    call("bundle", "verify", bundle)
    call("bundle", "inspect", bundle, "--json", "-")
    outputs = [
        call("run", bundle, "--no-latency", "--source", f"npz:{folder / 'motion.npz'}"),
        call("run", bundle, "--no-latency", "--source", f"csv:{folder / 'motion.csv'}"),
        call("run", bundle, "--no-latency", "--source", "stdin:", stdin=(folder / "motion.csv").read_bytes()),
    ]
    # The last line tells of the source as well, and each kind of source counts other things.
    decisions, *others = [output.splitlines()[:-1] for output in outputs]
    count = sum(json.loads(line)["type"] == "decision" for line in decisions)
    if any(lines != decisions for lines in others) or count != 19:
        sys.exit(f"the three sources did not give the same 19 decisions, the first gave {count}")
    (folder / "run").mkdir(exist_ok=True)
    call("train", "--data", "watch", "--out", str(folder / "none"), code=69)
    call("export", str(folder / "run"), "--out", str(folder / "none"), code=69)
    call("bundle", "build", str(folder / "run"), "--out", str(folder / "none"), code=69)
    call("bench", "layers", bundle, code=69)
    call("bench", bundle, "--quick", "--mode", "single", "--json", str(folder / "bench.json"))
    print(f"bare install: {len(verbs)} verbs, {count} decisions streamed, none of {', '.join(FORBIDDEN)} needed")


main(Path(sys.argv[1]))
