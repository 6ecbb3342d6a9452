"""Whole networks for the checker, written small: the blocks, joins and heads of the real ones, few channels."""
