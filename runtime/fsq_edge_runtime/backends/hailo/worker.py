"""The device process: ``python -m fsq_edge_runtime.backends.hailo.worker``, started by :class:`.process.HailoProcess`.

It alone loads the vendor's library. Whatever that library does, hold the interpreter lock for ten seconds, abort, lose
a request for ever, happens here, and the stream goes on; its owner ends this process at will, which gives the device
back. It ends by itself when its owner is gone, and leaves signals to it: a drain still needs the device.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
from typing import NoReturn

from fsq_edge_runtime.backends.hailo.backend import HailoBackend
from fsq_edge_runtime.backends.hailo.binding import load_binding
from fsq_edge_runtime.backends.hailo.exchange import ASK, INFER, REQUEST, Job, Line, SharedFrames, failed, good
from fsq_edge_runtime.errors import BackendError

ASK_TIMEOUT_S = 60.0  # its owner waits less; this only ends what nobody waits for


def main(arguments: list[str]) -> NoReturn:
    """Open the device as the job says, serve until told to end or until the owner is gone, and end at once.

    Args:
        arguments: descriptors of the socket of inferences and of the socket of questions.
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    line, questions = (Line(socket.socket(fileno=int(text))) for text in arguments)
    message = line.receive()
    if message:
        _work(Job.decode(message), line, questions)
    os._exit(0)  # no destructor and no atexit of the vendor's library: the kernel takes the device back


def _work(job: Job, line: Line, questions: Line) -> None:
    try:
        backend = _open(job)
    except BackendError as error:
        line.send(failed(0, error))
        return
    shared = SharedFrames(job.frame_descriptor, job.frame_shape, job.output_size)
    line.send(
        good(
            0,
            name=backend.name,
            architecture=backend.architecture,
            device=backend.device_architecture,
            generation=backend.generation,
        )
    )
    threading.Thread(target=_answer, args=(questions, backend), name="hailo-questions", daemon=True).start()
    _serve(line, backend, shared)
    backend.close()


def _open(job: Job) -> HailoBackend:
    with os.fdopen(job.hef_descriptor, "rb") as file:
        file.seek(0)
        hefs = {name: file.read(size) for name, size in job.hefs.items()}
    binding = load_binding(request_timeout_s=None)
    return HailoBackend(
        hefs,
        job.frame_shape,
        job.output_size,
        binding=binding,
        depth=job.depth,
        open_timeout_s=job.open_timeout_s,
        outputs=job.outputs,
    )


def _serve(line: Line, backend: HailoBackend, shared: SharedFrames) -> None:
    """Infer until the owner says close or is gone."""
    while message := line.receive():
        kind, rows, deadline_ns, number = REQUEST.unpack(message)
        if kind != INFER:
            return
        try:
            if rows == 1:
                shared.answers[0] = backend.infer(shared.frames[:1], deadline_ns)
            else:
                shared.answers[:rows] = backend.infer_batch(shared.frames[:rows], deadline_ns)
        except BackendError as error:
            line.send(failed(number, error))
        else:
            line.send(good(number))


def _answer(questions: Line, backend: HailoBackend) -> None:
    """Ask the device for its state when the owner does; the binding holds the interpreter lock while it waits."""
    while message := questions.receive():
        kind, power, _, number = REQUEST.unpack(message)
        if kind != ASK:
            return
        try:
            state = backend.telemetry(power=bool(power)).result(ASK_TIMEOUT_S)
        except Exception as error:  # noqa: BLE001 - whatever a device raises, the owner hears that it said nothing
            questions.send(failed(number, BackendError(f"asking the device for its state failed: {error}")))
        else:
            questions.send(good(number, temperature_c=state.temperature_c, power_w=state.power_w))


if __name__ == "__main__":
    main(sys.argv[1:])
