"""Run as a script in a fresh interpreter: the moments from its start to its first decision, as one JSON object.

Nothing heavy is imported above the first moment, or it would be counted as the interpreter's.
"""

import json
import sys
import time

moments = {"interpreter": time.perf_counter_ns()}


def main(path: str, backend: str) -> None:
    """Open the bundle, answer its first self-test window, print perf_counter_ns (monotonic, system-wide) by phase."""
    from fsq_edge_runtime.bundle.bundle import Bundle
    from fsq_edge_runtime.session import Session  # noqa: F401 - the import is what is timed

    moments["import runtime"] = time.perf_counter_ns()
    bundle = Bundle.open(path)
    window = bundle.selftest.windows[0].T
    moments["open bundle"] = time.perf_counter_ns()
    import onnxruntime  # noqa: F401 - the import is what is timed

    moments["import onnxruntime"] = time.perf_counter_ns()
    with bundle.open_session(backend=backend) as session:
        moments["open session"] = time.perf_counter_ns()
        session.push(window)
        moments["first decision"] = time.perf_counter_ns()
    print(json.dumps(moments))


if __name__ == "__main__":
    main(*sys.argv[1:])
