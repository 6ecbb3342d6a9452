"""Which networks there are, and what the verdict on each has to be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import nn

from fsq_edge.deploy.export import FullGraph
from fsq_edge.model import Conv2dFSQ
from tests.factories.networks import attention, classifiers, dense_prediction

IMAGE = (1, 3, 32, 32)


@dataclass(frozen=True)
class Network:
    """One network.

    Attributes:
        build: makes it.
        shape: of its input.
        verdict: what a check has to say, whichever exporter wrote it; empty where public reports do not decide, so
            that only a sound report is asked for.
        ends: operators of the end nodes where the verdict is a cut.
        heads: how many end nodes there are where the verdict is a cut.
        opset: the first that the TorchScript exporter can write it in.
    """

    build: Callable[[], nn.Module]
    shape: tuple[int, ...] = IMAGE
    verdict: str = "full"
    ends: tuple[str, ...] = ()
    heads: int = 1
    opset: int = 11


def _with(build: Callable[..., nn.Module], **options: Any) -> Callable[[], nn.Module]:
    return lambda: build(**options)


def _own() -> Conv2dFSQ:
    return Conv2dFSQ(6, 32, 5).eval()


def imu_encoder() -> nn.Module:
    """This project's device graph."""
    return _own().device_graph()


def imu_full() -> nn.Module:
    """This project's network with the host tail in the graph."""
    return FullGraph(_own())


_WIDE = (1, 3, 64, 64)
NETWORKS: dict[str, Network] = {
    name: Network(getattr(classifiers, name))
    for name in (
        "resnet18",
        "resnet50",
        "resnext",
        "regnet",
        "mobilenet_v1",
        "mobilenet_v2",
        "mobilenet_v3",
        "efficientnet",
        "efficientnet_lite",
        "shufflenet",
        "densenet",
        "inception",
        "squeezenet",
        "vgg",
        "repvgg",
    )
}
NETWORKS |= {
    "convnext": Network(attention.ConvNext),
    "vit": Network(attention.VisionTransformer),
    "vit-fused": Network(_with(attention.VisionTransformer, fused=True)),
    "vit-function": Network(_with(attention.VisionTransformer, function=True), verdict="", opset=14),
    "vit-class-token": Network(_with(attention.VisionTransformer, class_token=True)),
    "swin": Network(attention.Swin, verdict=""),
    "library-encoder": Network(attention.library_encoder, (1, 16, 32), verdict="", opset=14),
    "recurrent": Network(attention.Recurrent, verdict="", opset=14),
    "yolo-anchor-free": Network(dense_prediction.AnchorFree, _WIDE, "cut", ("Conv",), 4),
    "yolo-no-decoder": Network(_with(dense_prediction.AnchorFree, decode=False), _WIDE),
    "yolo-anchor-based": Network(dense_prediction.AnchorBased, _WIDE, "cut", ("Conv",), 2),
    "ssd": Network(dense_prediction.SingleShot, _WIDE, "cut", ("Conv",), 4),
    "centrenet": Network(dense_prediction.CentreNet, _WIDE),
    "unet": Network(dense_prediction.UNet),
    "unet-bilinear": Network(_with(dense_prediction.UNet, transposed=False)),
    "unet-argmax": Network(_with(dense_prediction.UNet, arg_max=True)),
    "deeplab": Network(dense_prediction.AtrousPyramid),
    "imu-encoder": Network(imu_encoder, (1, 12, 2, 50)),
    "imu-full": Network(imu_full, (1, 12, 2, 50), "cut", opset=13),
}
