"""The fake as a package in a folder, for programs that import ``hailo_platform`` in a process of their own.

:func:`write_fake_package` writes a folder to be put on the import path. What would kill or hang the process does so
there: nobody in another process could look at :attr:`FakeChip.fatal`.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fsq_edge_runtime.files import read_bounded, write_file
from fsq_edge_runtime.testing.fake_hailo import fake_hailo_platform
from fsq_edge_runtime.testing.faults import Fault, FaultScript, Silence

_MODULE = '''"""A stand-in for the vendor's package, made by fsq_edge_runtime.testing."""

from fsq_edge_runtime.testing.fake_package import become_fake

become_fake(__name__, __path__[0])
'''
MAX_SETTINGS, MAX_GRAPH = 1 << 20, 64 << 20


@dataclass(frozen=True, slots=True)
class FakePackage:
    """A folder in which ``import hailo_platform`` finds the fake.

    Attributes:
        folder: to be put on the import path.
        silence: which calls the device does not answer; may be changed at any time, for every process.
    """

    folder: Path
    silence: Silence

    @property
    def lives(self) -> int:
        """How many processes have imported it so far."""
        file = _inside(self.folder) / "lives"
        return file.stat().st_size if file.exists() else 0


def write_fake_package(
    folder: Path,
    generation: int = 4,
    *,
    graph: bytes | None = None,
    zeros: int = 0,
    devices: Sequence[str] | None = None,
    lives: Sequence[Mapping[int, Fault]] = (),
    opens: Sequence[int] = (),
    temperature_c: float = 45.0,
    quantized: bool = False,
) -> FakePackage:
    """Write a package ``hailo_platform`` whose device computes a graph.

    Args:
        folder: where to; made if needed.
        generation: 4 (Hailo-8, 8L) or 5 (Hailo-10H, 15).
        graph: encoder.onnx, as :func:`~fsq_edge_runtime.testing.fake_hailo_platform` takes it.
        zeros: without a graph the device answers so many zeros, which costs no computing.
        devices: architectures that are there; None takes the generation's.
        lives: for each process that imports the package, in order, its faults by number of inference; later ones
            have none.
        opens: statuses of the first openings of each process.
        temperature_c: what the chip says.
        quantized: as :func:`~fsq_edge_runtime.testing.fake_hailo_platform` takes it.
    """
    package = _inside(folder)
    settings = {
        "generation": generation,
        "zeros": zeros,
        "devices": None if devices is None else list(devices),
        "lives": [{number: dataclasses.asdict(fault) for number, fault in life.items()} for life in lives],
        "opens": list(opens),
        "temperature_c": temperature_c,
        "quantized": quantized,
    }
    if graph is not None:
        write_file(package / "graph.onnx", graph)
    write_file(package / "settings.json", json.dumps(settings).encode())
    write_file(package / "__init__.py", _MODULE.encode())
    return FakePackage(folder, Silence(package / "silence.json"))


def become_fake(name: str, folder: str) -> None:
    """Fill a module that is being imported with the fake that its folder describes.

    Args:
        name: of the module.
        folder: of the package.
    """
    package = Path(folder)
    settings = json.loads(read_bounded(package / "settings.json", MAX_SETTINGS))
    with (package / "lives").open("ab") as file:
        file.write(b".")
        life = file.tell() - 1
    faults = settings["lives"][life] if life < len(settings["lives"]) else {}
    script = FaultScript(
        {int(number): Fault(**fault) for number, fault in faults.items()},
        opens=settings["opens"],
        temperature_c=settings["temperature_c"],
        silence=Silence(package / "silence.json"),
    )
    graph = package / "graph.onnx"
    fake = fake_hailo_platform(
        settings["generation"],
        graph=read_bounded(graph, MAX_GRAPH) if graph.exists() else None,
        devices=settings["devices"],
        faults=script,
        quantized=settings["quantized"],
    )
    fake.chip.lethal = True
    if settings["zeros"]:
        answer = np.zeros(settings["zeros"], dtype=np.float32)
        fake.chip.compute_with(lambda frame: answer)
    module = sys.modules[name]
    for key, value in {**vars(fake), "fake": True}.items():
        if not key.startswith("__") or key == "__version__":
            setattr(module, key, value)


def _inside(folder: Path) -> Path:
    return folder / "hailo_platform"
