"""One bundle measured: modes, statistics, comparison with a baseline, and the page."""
