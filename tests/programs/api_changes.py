"""What of the public interface an earlier revision had and this one breaks: ``make api REF=v0.1.0``.

Usage: ``python -m tests.programs.api_changes REF`` for a tag, branch or commit. Needs griffe, which comes with the
extra docs. Public is what stands in the ``__all__`` of a package or of a package in it; exit code 1 where a call that
was possible no longer is. ``tests/unit/test_public_names.py`` holds the same against the record of the last release.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import griffe

ROOT = Path(__file__).parents[2]
PACKAGES = {
    "fsq_edge_runtime": "runtime",
    "fsq_edge_calibration": "calibration",
    "fsq_edge_compile": "compile",
    "fsq_edge": ".",
}


def changes(package: str, source: str, ref: str) -> list[str]:
    """Return a line for each break of one package, and for each public name that is gone."""
    old = griffe.load_git(package, ref=ref, repo=ROOT, search_paths=[source], resolve_aliases=True)
    new = griffe.load(package, search_paths=[ROOT / source], resolve_aliases=True)
    before, after = dict(_public(old)), dict(_public(new))
    lines = [f"{name}: is gone" for name in sorted(set(before) - set(after))]
    places = set(before.values())
    for breakage in griffe.find_breaking_changes(old, new):
        path = breakage.obj.canonical_path
        if any(path == place or path.startswith(f"{place}.") for place in places):
            lines.append(breakage.explain(griffe.ExplanationStyle.ONE_LINE))
    return lines


def _public(package: griffe.Module) -> Iterator[tuple[str, str]]:
    """Yield each public name with the place where it is defined."""
    modules = [package, *(found for found in package.modules.values() if found.is_init_module)]
    for module in modules:
        for name in module.exports or ():
            if str(name) in module.members:
                member = module[str(name)]
                try:
                    yield f"{module.path}.{name}", member.canonical_path
                except griffe.AliasResolutionError as error:  # what another package defines is compared there
                    yield f"{module.path}.{name}", error.alias.target_path


def main(ref: str) -> int:
    """Print the breaks of all packages; 1 where there are any."""
    found = [line for package, source in PACKAGES.items() for line in changes(package, source, ref)]
    print("\n".join(found) or f"nothing of the public interface of {ref} is broken")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
