"""The deployment bundle: everything a device needs to run one model, verified when it is opened."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from fsq_edge_runtime.backends.onnx import FEATURES
from fsq_edge_runtime.bundle.agreement import check_agreement
from fsq_edge_runtime.bundle.archive import MANIFEST, encode_archive, read_files, write_folder
from fsq_edge_runtime.bundle.manifest import Manifest, Role
from fsq_edge_runtime.bundle.reference import SelfTest
from fsq_edge_runtime.decision import DecisionSettings
from fsq_edge_runtime.errors import BundleError, DataError
from fsq_edge_runtime.files import write_file
from fsq_edge_runtime.onnx_graph import DeviceOutput, read_cut_outputs, read_graph_ports
from fsq_edge_runtime.preprocess import PreprocessConfig
from fsq_edge_runtime.score_tails import Tail, read_tail
from fsq_edge_runtime.stream.settings import StreamSettings

if TYPE_CHECKING:
    from fsq_edge_runtime.bundle.event_report import EventReport
    from fsq_edge_runtime.bundle.fingerprint import Fingerprint
    from fsq_edge_runtime.feature_statistics import FeatureStatistics
    from fsq_edge_runtime.session import Session

INT8_BACKENDS: Final = ("hailo", "hailo-fake", "onnx-int8")


class Bundle:
    """An opened, verified bundle. All files are in memory; nothing of it is executable.

    Use :meth:`open`, or :meth:`from_files` for files already in memory.

    Attributes:
        manifest: what the bundle holds.
        files: by path, ``manifest.json`` first.
        origin: where it was read from.
        preprocess: as fitted, with the hop of ``stream.json`` where that names one; the manifest's hash is of the
            fitted one.
        stream: policies for imperfect input; the defaults where the bundle has none.
        tail: the float host tail.
        decision: the float decision settings.
        features: F, the values of the graph's output ``features``; 0 where it has none.
    """

    def __init__(self, manifest: Manifest, files: Mapping[str, bytes], origin: str) -> None:
        self.manifest = manifest
        self.files = dict(files)
        self.origin = origin
        fitted = PreprocessConfig.from_json(self.read("preprocess"), origin="preprocess.json")
        if fitted.digest() != manifest.preprocess_sha256:
            raise BundleError("preprocess.json is not the one that the manifest names (hash mismatch)")
        self.stream = self._read_stream()
        hop = self.stream.hop_samples
        self.preprocess = fitted if hop is None else fitted.model_copy(update={"hop_samples": hop})
        self.tail: Tail = read_tail(self.read("head"))
        self.decision = DecisionSettings.from_json(self.read("decision"), origin="decision.json")
        self.features = self._read_width()
        check_agreement(self)

    @classmethod
    def open(cls, path: str | Path) -> Bundle:
        """Read and verify a bundle, from its zip or folder form.

        Raises:
            MissingInputError: no such file.
            BundleError: damaged, incomplete, foreign, an unknown schema version, or parts that do not fit together.
        """
        path = Path(path)
        files = read_files(path)
        bundle = cls.from_files(files, origin=str(path))
        if path.is_file() and list(files) != list(bundle.files):
            raise BundleError("the bundle is not in canonical form: its files are not in the manifest's order")
        return bundle

    @classmethod
    def from_files(cls, files: Mapping[str, bytes], *, origin: str = "memory") -> Bundle:
        """Verify files (``manifest.json`` first) and return the bundle.

        Raises:
            BundleError: as :meth:`open`.
        """
        if MANIFEST not in files:
            raise BundleError(f"the bundle has no {MANIFEST}")
        manifest = Manifest.from_json(files[MANIFEST], origin=MANIFEST)
        listed = [entry.path for entry in manifest.files]
        extra = sorted(set(files) - {MANIFEST, *listed})
        missing = sorted(set(listed) - set(files))
        if extra or missing:
            raise BundleError(f"the bundle's files are not those of its manifest: extra {extra}, missing {missing}")
        for entry in manifest.files:
            data = files[entry.path]
            if len(data) != entry.bytes or hashlib.sha256(data).hexdigest() != entry.sha256:
                raise BundleError(
                    f"the bundle's file {entry.path} does not match its SHA-256 in the manifest",
                    hint="fetch or build the bundle again",
                )
        return cls(manifest, {MANIFEST: files[MANIFEST], **{path: files[path] for path in listed}}, origin)

    @property
    def classes(self) -> tuple[str, ...]:
        """Labels in the order of the logits."""
        return self.manifest.classes

    @property
    def hef_architectures(self) -> tuple[str, ...]:
        """Architectures for which the bundle has a HEF."""
        return tuple(entry.arch for entry in self.manifest.files if entry.role == "hef" and entry.arch)

    @property
    def output_sizes(self) -> tuple[int, ...]:
        """Values of each output of the network on a device, as :attr:`device_outputs`."""
        return tuple(output.values for output in self.device_outputs)

    @cached_property
    def device_outputs(self) -> tuple[DeviceOutput, ...]:
        """Outputs of the network on a device: ``t``, its parts where a host graph takes several, then the features.

        Raises:
            DataError: the parts are not what the host graph takes.
        """
        parts = read_cut_outputs(self.read("encoder")) if self.has("host") else ()
        if parts and sum(part.values for part in parts) != self.device_width:
            sizes = " and ".join(str(part.values) for part in parts)
            raise DataError(f"encoder.onnx is cut into {sizes} values, host.onnx takes {self.device_width}")
        whole = parts or (DeviceOutput(self.device_width),)
        return (*whole, DeviceOutput(self.features)) if self.features else whole

    @cached_property
    def device_width(self) -> int:
        """D, the values of the device graph's output ``t``: what the head reads, or what the host graph does.

        Raises:
            DataError: the host graph has no input of one size.
        """
        if not self.has("host"):
            return self.tail.width
        sizes = [port.shape for port in read_graph_ports(self.read("host"))[0]]
        if len(sizes) != 1 or len(sizes[0]) != 2 or not sizes[0][1]:
            raise DataError(f"host.onnx takes {sizes}, expected t (1, D)")
        return sizes[0][1]

    @cached_property
    def fingerprint(self) -> Fingerprint:
        """Code counts of the training split."""
        from fsq_edge_runtime.bundle.fingerprint import Fingerprint

        return Fingerprint.from_json(self.read("fingerprint"), origin="fingerprint.json")

    @cached_property
    def selftest(self) -> SelfTest:
        """Windows with the reference's answers.

        Raises:
            BundleError: damaged, or not of this bundle's shapes.
        """
        test = SelfTest(self.read("selftest"))
        count = len(test.windows)
        window = (len(self.preprocess.channels), self.preprocess.window_samples)
        wanted = [(count, *window), (count, self.tail.width), (count,), (count,)]
        found = [array.shape for array in (test.windows, test.t, test.codes, test.labels)]
        if found != wanted:
            raise BundleError(f"selftest.npz has the shapes {found}, this bundle needs {wanted}")
        return test

    @cached_property
    def events(self) -> EventReport | None:
        """Event score of the decision settings, where they were tuned."""
        if not self.has("events"):
            return None
        from fsq_edge_runtime.bundle.event_report import EventReport

        return EventReport.from_json(self.read("events"), origin="events.json")

    @cached_property
    def statistics(self) -> FeatureStatistics | None:
        """Statistics of the training windows' features, which a personal head is fitted with; None without them.

        Raises:
            DataError: damaged, or not of this bundle's features and classes.
        """
        if not self.has("features"):
            return None
        from fsq_edge_runtime.feature_statistics import FeatureStatistics

        return FeatureStatistics.from_bytes(self.read("features"), self.features, len(self.classes))

    def tail_for(self, backend: str) -> Tail:
        """Return the host tail for a backend: the quantised graphs may have one of their own."""
        if backend in INT8_BACKENDS and self.has("head-int8"):
            return read_tail(self.read("head-int8"))
        return self.tail

    def decision_for(self, backend: str) -> DecisionSettings:
        """Return the decision settings for a backend: thresholds may have been fitted again after quantisation."""
        if backend in INT8_BACKENDS and self.has("decision-int8"):
            return DecisionSettings.from_json(self.read("decision-int8"), origin="decision-int8.json")
        return self.decision

    def has(self, role: Role) -> bool:
        """Return whether the bundle has a file of this role."""
        return any(entry.role == role for entry in self.manifest.files)

    def read(self, role: Role, arch: str | None = None) -> bytes:
        """Return the bytes of the file with this role (and architecture, for a HEF).

        Raises:
            BundleError: there is none.
        """
        for entry in self.manifest.files:
            if entry.role == role and (arch is None or entry.arch == arch):
                return self.files[entry.path]
        raise BundleError(f"the bundle has no {role}" + (f" for {arch}" if arch else ""))

    def open_session(self, backend: str = "auto", *, features: bool | None = None, **options: Any) -> Session:
        """Return a stream session on this bundle; its ``backend_reason`` says why it has this backend.

        Args:
            backend: ``auto``, ``hailo``, ``onnx`` or ``onnx-int8``.
            features: read the graph's second output, too. None reads it where the bundle has it and ``overlay`` or
                ``keep_features`` is given.
            options: passed to :class:`fsq_edge_runtime.session.Session`.

        Raises:
            UsageError: an unknown backend.
            BackendError: the backend cannot be opened and a fallback is not allowed.
        """
        from fsq_edge_runtime.backends.selection import select_backend
        from fsq_edge_runtime.session import Session

        if features is None:
            features = bool(self.features) and any(options.get(name) for name in ("overlay", "keep_features"))
        chosen = select_backend(self, backend, features=features)
        return Session(
            self, chosen.backend, backend_reason=chosen.reason, fallback=chosen.fallback, features=features, **options
        )

    def save(self, path: str | Path, *, replace: bool = False) -> None:
        """Write the bundle whole or not at all: as a folder if ``path`` is one or has no suffix, else as one file.

        Args:
            path: where to.
            replace: an existing folder form is replaced (a file always is).

        Raises:
            BundleError: the folder exists and ``replace`` is not set.
        """
        path = Path(path)
        if path.suffix and not path.is_dir():
            write_file(path, encode_archive(self.files))
        else:
            write_folder(self.files, path, replace=replace)

    def _read_width(self) -> int:
        """Return how many features the graph puts out; what else it puts out is judged by the agreement check."""
        ports = read_graph_ports(self.read("encoder"))[1]
        width = ports[1].shape[-1] if len(ports) == 2 and ports[1].name == FEATURES and ports[1].shape else 0
        return width or 0

    def _read_stream(self) -> StreamSettings:
        if not self.has("stream"):
            return StreamSettings()
        return StreamSettings.from_json(self.read("stream"), origin="stream.json")
