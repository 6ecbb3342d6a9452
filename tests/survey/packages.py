"""How each package makes its networks, with weights drawn at random: nothing is downloaded."""

from __future__ import annotations

import contextlib
import functools
import operator
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

Example = tuple[torch.Tensor, ...]
Built = tuple[nn.Module, Example]


def torchvision(model: str, input: list[int] | None = None, **options: Any) -> Built:
    """A torchvision network; ``model`` is a path below ``torchvision.models``."""
    from torchvision import models

    weightless = {"weights": None} | ({"weights_backbone": None} if model.startswith("segmentation") else {})
    extra = {"init_weights": False, "aux_logits": False} if model in ("googlenet", "inception_v3") else {}
    if model.startswith("detection"):
        weightless = {"weights": None, "weights_backbone": None}
    network = operator.attrgetter(model)(models)(**weightless, **extra, **options)
    whole = _Heads(network.backbone, network.head) if model.startswith("detection") else _first_output(network)
    return whole, (torch.randn(input or [1, 3, 224, 224]),)


def timm(model: str, fused: bool = True, fused_blocks: bool = False, **options: Any) -> Built:
    """A timm network; without ``fused`` the attention is written out, ``fused_blocks`` merges training branches."""
    import timm as package
    from timm.layers import set_fused_attn
    from timm.utils.model import reparameterize_model

    set_fused_attn(fused)
    network = package.create_model(model, exportable=True, **options)
    size = network.default_cfg["input_size"]
    return reparameterize_model(network) if fused_blocks else network, (torch.randn(1, *size),)


def segmentation_models(model: str, size: int = 256, **options: Any) -> Built:
    """A network of segmentation-models-pytorch, such as ``Unet``."""
    import segmentation_models_pytorch as package

    return getattr(package, model)(encoder_weights=None, **options), (torch.randn(1, 3, size, size),)


def spandrel(model: str, input: list[int], **options: Any) -> Built:
    """A super-resolution or denoising network; ``model`` is a path below ``spandrel.architectures``."""
    import importlib

    module, _, name = model.rpartition(".")
    network = getattr(importlib.import_module(f"spandrel.architectures.{module}"), name)(**options)
    return network, (torch.randn(input),)


def transformers(
    model: str, config: dict[str, Any], input: list[int], output: str, tokens: int = 0, embedded: bool = False
) -> Built:
    """A small network of transformers.

    Args:
        model: its class.
        config: settings that differ from the usual ones.
        input: sizes of the input.
        output: the field of the result to keep.
        tokens: size of the vocabulary; 0 when the input is no text.
        embedded: the input takes the place of the embedded tokens.
    """
    import transformers as package

    network = getattr(package, model)
    settings = network.config_class(**config)
    settings._attn_implementation = config.get("attn_implementation", "eager")
    example = torch.randint(0, tokens, input) if tokens else torch.randn(input)
    return _Field(network(settings).eval(), output, "inputs_embeds" if embedded else ""), (example,)


def pytorchcv(model: str, input: list[int] | None = None, **options: Any) -> Built:
    """A network of pytorchcv."""
    from pytorchcv.model_provider import get_model

    return get_model(model, pretrained=False, **options), (torch.randn(input or [1, 3, 224, 224]),)


def effdet(model: str) -> Built:
    """A detector of effdet; the boxes are left to the host."""
    import effdet as package

    config = package.get_efficientdet_config(model)
    network = package.create_model_from_config(config, pretrained=False, pretrained_backbone=False)
    return network, (torch.randn(1, 3, *config.image_size),)


def open_clip(model: str) -> Built:
    """The image encoder of an open_clip network."""
    import open_clip as package

    return package.create_model(model).visual, (torch.randn(1, 3, 224, 224),)


def plain(model: str, input: list[int] | None = None, keywords: dict[str, Any] | None = None) -> Built:
    """A class, or a function that returns a network, by its path; ``keywords`` are its arguments."""
    import importlib

    module, _, name = model.rpartition(".")
    return getattr(importlib.import_module(module), name)(**(keywords or {})), (torch.randn(input or [1, 3, 224, 224]),)


def yolov5(model: str, size: int = 640) -> Built:
    """A detector or segmenter of the first YOLOv5 code, with anchors, as its own export script prepares it."""
    import yolov5 as package
    from yolov5.models import yolo

    build = yolo.SegmentationModel if model.endswith("-seg") else yolo.DetectionModel
    network = build(str(Path(package.__file__).parent / "models" / f"{model}.yaml")).eval().fuse()
    network.model[-1].export = True
    return network, (torch.zeros(1, 3, size, size),)


def yolov6(model: str, size: int = 640) -> Built:
    """A detector of Meituan's YOLOv6, its training branches merged."""
    import yolov6.configs
    from yolov6.layers.common import RepVGGBlock
    from yolov6.models.yolo import Model
    from yolov6.utils.config import Config

    config = Config.fromfile(str(Path(yolov6.configs.__file__).parent / f"{model}.py"))
    config.training_mode = "repvgg"
    network = Model(config, num_classes=80).eval()
    for module in network.modules():
        if isinstance(module, RepVGGBlock):
            module.switch_to_deploy()
    return _Call(network.detect, network.neck, network.backbone), (torch.zeros(1, 3, size, size),)


def yolox(model: str, size: int) -> Built:
    """A detector of YOLOX; as its export script does, the boxes are left to the host and SiLU is written out."""
    from yolox.exp import get_exp
    from yolox.models.network_blocks import SiLU
    from yolox.utils import replace_module

    network = replace_module(get_exp(exp_name=model).get_model().eval(), nn.SiLU, SiLU)
    network.head.decode_in_inference = False
    return network, (torch.zeros(1, 3, size, size),)


def torchreid(model: str) -> Built:
    """A network of torchreid that tells people apart."""
    from torchreid.reid.models import osnet

    return getattr(osnet, model)(num_classes=751, pretrained=False), (torch.randn(1, 3, 256, 128),)


def efficientnet_lite(model: str) -> Built:
    """EfficientNet-lite as a port of the TensorFlow code has it."""
    from efficientnet_lite_pytorch import EfficientNet

    return EfficientNet.from_name(model), (torch.randn(1, 3, 224, 224),)


def shipped_file(target: Path, model: str, **options: Any) -> None:
    """Copy an ONNX file out of an installed package."""
    import importlib.util
    import shutil

    package, _, path = model.partition("/")
    specification = importlib.util.find_spec(package)
    if specification is None or specification.origin is None:
        raise ModuleNotFoundError(package)
    shutil.copyfile(Path(specification.origin).parent / path, target)


def ultralytics(model: str, classes: int = 0, size: int = 640, end2end: bool = False, **options: Any) -> Built:
    """The module that Ultralytics hands to its exporter: fused, with the head in its export mode."""
    network = _yolo(model, classes).model.eval()
    if end2end or hasattr(network, "end2end"):
        network.end2end = end2end
    network.fuse(verbose=False)
    for module in network.modules():
        if hasattr(module, "export"):
            module.export, module.dynamic, module.format = True, False, "onnx"
    example = torch.zeros(1, 3, size, size)
    with torch.no_grad():
        network(example)  # makes the anchors, which the head keeps
    return network, (example,)


def ultralytics_file(
    target: Path, opset: int, model: str, classes: int = 0, size: int = 640, end2end: bool = False, **options: Any
) -> None:
    """Write the file that ``YOLO(...).export`` writes, for the older exporter; opset 11 is slimmed as for Hailo."""
    options = {"format": "onnx", "nms": False if end2end else None, "simplify": opset == 11} | options
    if options["format"] == "hailo":
        _ultralytics_semantic(target, opset, model, size)
        return
    with contextlib.chdir(target.parent):
        yolo = _yolo(model, classes)
        Path(yolo.export(imgsz=size, opset=opset, verbose=False, **options)).replace(target)


def _ultralytics_semantic(target: Path, opset: int, model: str, size: int) -> None:
    """What the Hailo export of a semantic network gives the compiler for Hailo-10 and 15: ArgMax in the graph."""
    network, example = ultralytics(model, size=size)
    network.model[-1].format, network.model[-1].bake_argmax = "hailo", True
    torch.onnx.export(network, example, str(target), opset_version=opset, dynamo=False, input_names=["images"])


def _yolo(model: str, classes: int) -> Any:
    os.environ.setdefault("YOLO_OFFLINE", "true")
    from ultralytics import RTDETR, YOLO
    from ultralytics.nn import tasks
    from ultralytics.utils import LOGGER

    LOGGER.setLevel("ERROR")
    yolo = (RTDETR if "rtdetr" in model else YOLO)(f"{model}.yaml")
    if classes:
        before = yolo.model
        yolo.model = type(before)(tasks.yaml_model_load(f"{model}.yaml"), nc=classes, verbose=False)
        yolo.model.args, yolo.model.task = before.args, before.task
    return yolo


class _Field(nn.Module):
    """Gives one field of a result that is not a tensor."""

    def __init__(self, network: nn.Module, field: str, keyword: str) -> None:
        super().__init__()
        self.network, self.field, self.keyword = network, field, keyword

    def forward(self, example: torch.Tensor) -> Any:
        result = self.network(**{self.keyword: example}) if self.keyword else self.network(example)
        return getattr(result, self.field)


class _Call(nn.Module):
    """Calls modules one after the other, the last one named ``detect`` as in the network that it came from."""

    def __init__(self, detect: nn.Module, neck: nn.Module, backbone: nn.Module) -> None:
        super().__init__()
        self.backbone, self.neck, self.detect = backbone, neck, detect

    def forward(self, example: torch.Tensor) -> Any:
        return self.detect(list(self.neck(self.backbone(example))))


class _Heads(nn.Module):
    """Backbone and heads of a torchvision detector, without its resizing and its boxes."""

    def __init__(self, backbone: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.backbone, self.head = backbone, head

    def forward(self, example: torch.Tensor) -> Any:
        return tuple(self.head(list(self.backbone(example).values())).values())


def _first_output(network: nn.Module) -> nn.Module:
    """Return the network; one for segmentation then gives its map instead of a dictionary."""
    if "segmentation" not in type(network).__module__:
        return network
    call = network.forward
    network.forward = functools.wraps(call)(lambda example: call(example)["out"])
    return network


BUILDERS: dict[str, Callable[..., Built]] = {
    "torchvision": torchvision,
    "timm": timm,
    "segmentation-models": segmentation_models,
    "spandrel": spandrel,
    "transformers": transformers,
    "ultralytics": ultralytics,
    "pytorchcv": pytorchcv,
    "yolov5": yolov5,
    "yolov6": yolov6,
    "yolox": yolox,
    "torchreid": torchreid,
    "efficientnet-lite": efficientnet_lite,
    "effdet": effdet,
    "open-clip": open_clip,
    "plain": plain,
}
