"""Figures of the pages: where each was measured, and whether it still is what was measured."""
