"""The suites of make bench: each module measures one thing and prints it beside its target."""
