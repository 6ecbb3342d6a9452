"""Print ``docs/hailort-status.md``: ``python -m tests.programs.status_page > docs/hailort-status.md``."""

from fsq_edge_runtime.status import STATUS


def markdown() -> str:
    """Return the table of HailoRT's status codes as Markdown."""
    cells = ((entry, entry.fix.replace("|", "\\|")) for entry in STATUS.values())
    rows = "".join(f"| {entry.code} | `{entry.name}` | {entry.cause} | {fix} |\n" for entry, fix in cells)
    return (
        "# HailoRT status codes\n\n"
        "Made by `python -m tests.programs.status_page`. Errors, `fsq-edge doctor` and `fsq-edge explain` read the "
        "same table. None of these was provoked on silicon by this project.\n\n"
        f"| code | name | usual cause | what fixes it |\n|---:|---|---|---|\n{rows}"
    )


if __name__ == "__main__":
    print(markdown(), end="")
