"""Write an SBOM (CycloneDX, validated) and a licence list of the device install and of the workstation install.

Usage: ``python -m tests.programs.bill_of_materials PYTHON NAME OUT`` for the interpreter of an environment;
``make sbom`` runs it for both. Needs the package cyclonedx-bom.
"""

import json
import subprocess
import sys
from pathlib import Path

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

# A licence in free text, which is no name of CycloneDX's list, is left out of the bill.
STATED = (
    "import json; from importlib.metadata import distributions;"
    "print(json.dumps({one.name: (one.metadata['License'] or '').partition('\\n')[0] for one in distributions()}))"
)


def main(python: str, name: str, out: Path) -> None:
    """Write ``sbom-NAME.json`` and ``licences-NAME.md``."""
    out.mkdir(parents=True, exist_ok=True)
    bill = out / f"sbom-{name}.json"
    words = [
        sys.executable,
        "-m",
        "cyclonedx_py",
        "environment",
        "--sv",
        "1.6",
        "--output-reproducible",
        "--of",
        "JSON",
    ]
    subprocess.run([*words, "-o", str(bill), python], check=True)
    text = bill.read_text(encoding="utf-8")
    fault = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
    if fault is not None:
        sys.exit(f"{bill} is no CycloneDX 1.6: {fault}")
    stated = json.loads(subprocess.run([python, "-c", STATED], capture_output=True, check=True).stdout)
    rows = sorted(
        (part["name"].lower(), part["version"], _licence(part) or stated.get(part["name"]) or "not stated")
        for part in json.loads(text)["components"]
    )
    lines = [f"| {package} | {version} | {licence} |" for package, version, licence in rows]
    text = "\n".join(
        [f"# Licences of the {name} install", "", "| package | version | licence |", "|---|---|---|", *lines]
    )
    (out / f"licences-{name}.md").write_text(text + "\n", encoding="utf-8")
    unknown = [package for package, _, licence in rows if licence == "not stated"]
    print(f"{name}: {len(rows)} packages, {len(unknown)} without a stated licence {unknown or ''}: {bill}")


def _licence(part: dict[str, object]) -> str:
    found = []
    for entry in part.get("licenses", ()):  # type: ignore[attr-defined] # JSON
        stated = entry.get("expression") or entry.get("license", {}).get("id") or entry.get("license", {}).get("name")
        if stated:
            found.append(" ".join(str(stated).split())[:80])
    return ", ".join(dict.fromkeys(found))


main(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
