"""Errors of the stand-in."""
