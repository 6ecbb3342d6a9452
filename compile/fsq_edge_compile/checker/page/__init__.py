"""The report as one HTML page with the graph drawn; nothing is fetched, and no other package is needed."""

from __future__ import annotations

from fsq_edge_compile.checker.page.page import render_page

__all__ = ["render_page"]
