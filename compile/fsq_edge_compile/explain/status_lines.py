"""Status codes in the lines of a log: in HailoRT's own forms, so that another program's exit status is none."""

from __future__ import annotations

import re

from fsq_edge_runtime.status import STATUS

# "HAILO_TIMEOUT(4)", "74 (HAILO_OUT_OF_PHYSICAL_DEVICES)".
_NAME_AND_NUMBER = re.compile(r"\bHAILO_[A-Z0-9_]+?\s*\(\s*(\d{1,3})\s*\)|\b(\d{1,3})\s*\(\s*HAILO_[A-Z0-9_]+\s*\)")
# "libhailort failed with error: 8", "CHECK_SUCCESS failed with status=36", "HailoRTStatusException: 6": a number after
# HailoRT's own words. An exit status of another program, such as dpkg's, is none.
_NUMBER = re.compile(
    r"(?:libhailort failed with error:?\s*|\bstatus\s*[=:]\s*|\bwith status\s+|HailoRTStatusException:\s*)"
    r"(\d{1,3})\b(?!\s*\.)",
    re.I,
)
_NAME = re.compile(r"\bHAILO_[A-Z][A-Z0-9_]+\b")
_FROM_HAILORT = re.compile(r"HailoRT|libhailort|\bCHECK(?:_\w+)? failed|\bHAILO_[A-Z]|\bvstreams?\b|GstHailo", re.I)
_EXIT_STATUS = re.compile(r"exit (?:status|code)|returncode", re.I)

# Names of earlier releases.
_EARLIER = {
    "HAILO_PCIE_DRIVER_FAIL": 36,
    "HAILO_DRIVER_FAIL": 36,
    "HAILO_STREAM_ABORTED": 62,
    "HAILO_STREAM_ABORTED_BY_HW": 62,
    "HAILO_STREAM_ABORTED_BY_USER": 63,
    "HAILO_PCIE_DRIVER_NOT_INSTALLED": 64,
}
_BY_NAME = {status.name: code for code, status in STATUS.items()} | _EARLIER


def status_code(line: str) -> int:
    """Return the failure that a line of HailoRT names, by number or by name; 0 when it names none.

    Args:
        line: one line of a log.
    """
    if not _FROM_HAILORT.search(line):
        return 0
    both = _NAME_AND_NUMBER.search(line)
    if both:
        named = next((_BY_NAME[name] for name in _NAME.findall(both[0]) if name in _BY_NAME), 0)
        return named or int(both[1] or both[2])  # numbers have changed between releases, names have not
    number = _NUMBER.search(line)
    if number and not _EXIT_STATUS.search(line):
        return int(number[1])
    return next((_BY_NAME[name] for name in _NAME.findall(line) if name in _BY_NAME), 0)
