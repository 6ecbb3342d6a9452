"""Bundles and overlays in an OCI registry: pushed as artefacts, pulled and verified before anything is written."""

from fsq_edge_runtime.registry.address import RegistryAddress
from fsq_edge_runtime.registry.transfer import Pulled, pull, push

__all__ = ["Pulled", "RegistryAddress", "pull", "push"]
