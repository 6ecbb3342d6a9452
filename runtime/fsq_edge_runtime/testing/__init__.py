"""Stand-ins for what a test machine does not have: Hailo files and devices. Never chosen on their own."""

from fsq_edge_runtime.testing.fake_errors import FakeDeadlockError, FakeFatalError
from fsq_edge_runtime.testing.fake_hailo import FakePlatform, fake_hailo_platform, installed
from fsq_edge_runtime.testing.fake_package import FakePackage, write_fake_package
from fsq_edge_runtime.testing.faults import Fault, FaultScript, Silence
from fsq_edge_runtime.testing.hef_writer import TensorSpec, hef_bytes, write_hef

__all__ = [
    "FakeDeadlockError",
    "FakeFatalError",
    "FakePackage",
    "FakePlatform",
    "Fault",
    "FaultScript",
    "Silence",
    "TensorSpec",
    "fake_hailo_platform",
    "hef_bytes",
    "installed",
    "write_fake_package",
    "write_hef",
]
