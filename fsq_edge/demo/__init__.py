"""The whole chain on data that ship with a package: every stage once, timed, and a page of what was measured."""
