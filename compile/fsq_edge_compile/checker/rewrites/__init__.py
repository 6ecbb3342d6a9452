"""Safe rewrites: each a small pass, each proven equal on the whole model before it is kept."""

from __future__ import annotations

from fsq_edge_compile.checker.rewrites.fixing import FixResult, fix
from fsq_edge_compile.checker.rewrites.rewrite import Change, Rejection

__all__ = ["Change", "FixResult", "Rejection", "fix"]
