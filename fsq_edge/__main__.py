"""``fsq-edge`` and ``python -m fsq_edge``: the program starts here."""

import sys

INTERRUPTED = 130  # fsq_edge_runtime.errors has it, too; here nothing is loaded yet


def main() -> None:
    """Load the command line and run it; Ctrl-C ends in one line while the libraries load, too."""
    try:
        from fsq_edge.cli.main import main as run
    except KeyboardInterrupt:
        sys.stderr.write("error: interrupted\n")
        sys.exit(INTERRUPTED)
    run()


if __name__ == "__main__":
    main()
