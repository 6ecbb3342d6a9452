"""Writes the Keras networks of the table: ``python -m tests.survey.keras_exporting FOLDER`` where TensorFlow is."""

from __future__ import annotations

import argparse
from pathlib import Path

import tensorflow
import tf2onnx

from tests.survey.truth import read_networks


def main() -> None:
    """Write what is missing, with the input as NCHW, which Hailo's parser asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="where the exports are kept")
    parser.add_argument("names", nargs="*", help="networks or families whose names begin so (default all)")
    arguments = parser.parse_args()
    folder = arguments.folder
    meant = [network for network in read_networks() if network.package == "keras" and network.is_meant(arguments.names)]
    for network in meant:
        tensorflow.keras.utils.set_random_seed(0)
        model = getattr(tensorflow.keras.applications, network.model)(weights=None, **network.options)
        signature = [tensorflow.TensorSpec((1, *model.input_shape[1:]), tensorflow.float32, name="input")]
        call = tensorflow.function(lambda image, model=model: model(image, training=False))
        for spelling in network.exports:
            target = network.path(spelling, folder)
            target.parent.mkdir(parents=True, exist_ok=True)
            if not target.exists():
                opset = int(spelling.partition("-")[2])
                written, _ = tf2onnx.convert.from_function(
                    call, signature, opset=opset, inputs_as_nchw=["input:0", "input"]
                )
                target.write_bytes(written.SerializeToString())
                print(f"{network.name:<28} {spelling:<10} {target.stat().st_size / 1e6:.1f} MB", flush=True)


if __name__ == "__main__":
    main()
