"""Run as a script under any version of the runtime: time decisions and print one JSON object.

``taken`` are their nanoseconds, ``waited`` is the share of the time in which the process had no core.

It uses only what every version has: ``Bundle.open``, ``open_session`` and ``push``.
"""

import json
import sys
import time

WARM_UP = 300


def main(path: str, backend: str, decisions: str) -> None:
    """Push hops of the self-test windows through one session."""
    import numpy as np

    from fsq_edge_runtime.bundle.bundle import Bundle

    bundle = Bundle.open(path)
    config = bundle.preprocess
    hop, count = config.hop_samples, WARM_UP + int(decisions)
    rows = np.concatenate([window.T for window in bundle.selftest.windows]).astype(np.float32)
    hops = np.resize(rows, (max(len(rows) // hop, 4), hop, rows.shape[1]))
    taken = []
    wall = cpu = 0.0
    with bundle.open_session(backend=backend) as session:
        session.push(np.resize(rows, (config.window_samples, rows.shape[1])))
        for index in range(count):
            if index == WARM_UP:
                wall, cpu = time.perf_counter(), time.process_time()
            piece = hops[index % len(hops)]
            started = time.perf_counter_ns()
            session.push(piece)
            taken.append(time.perf_counter_ns() - started)
        waited = 1.0 - (time.process_time() - cpu) / (time.perf_counter() - wall)
    print(json.dumps({"taken": taken[WARM_UP:], "waited": waited}))


if __name__ == "__main__":
    main(*sys.argv[1:])
