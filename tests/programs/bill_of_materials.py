"""Write an SBOM (CycloneDX) and a licence list of the device install and of the workstation install.

Usage: ``python -m tests.programs.bill_of_materials PYTHON NAME OUT`` for the interpreter of an environment;
``make sbom`` runs it for both. Needs the package cyclonedx-bom.
"""

import json
import subprocess
import sys
from pathlib import Path


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
    components = json.loads(bill.read_text(encoding="utf-8"))["components"]
    rows = sorted((part["name"].lower(), part["version"], _licence(part)) for part in components)
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
    return ", ".join(dict.fromkeys(found)) or "not stated"


main(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
