"""The findings of a check in the forms that CI systems read: SARIF, JUnit XML, and the annotations of GitHub."""

from fsq_edge_compile.checker.formats.annotations import github_annotations
from fsq_edge_compile.checker.formats.junit import to_junit
from fsq_edge_compile.checker.formats.sarif import to_sarif

__all__ = ["github_annotations", "to_junit", "to_sarif"]
