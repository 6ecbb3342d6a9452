"""Every shell and Python block of README, docs and docstrings, found, sorted and run."""
