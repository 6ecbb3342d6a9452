"""``python -m fsq_edge`` runs the program ``fsq-edge``."""

from fsq_edge.cli.main import main

if __name__ == "__main__":
    main()
