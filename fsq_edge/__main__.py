"""``python -m fsq_edge`` is the same program as ``fsq-edge``."""

from fsq_edge.cli.main import main

if __name__ == "__main__":
    main()
