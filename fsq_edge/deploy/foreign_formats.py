"""Model files of other frameworks: refused with the one line that converts them to ONNX."""

from __future__ import annotations

from pathlib import Path
from shlex import quote

from fsq_edge_runtime.errors import DataError

OUTPUT = "--opset 17 --output model.onnx"


def require_onnx(path: Path) -> Path:
    """Return the path, unless it is a model of another framework.

    Raises:
        DataError: it is one; the hint is the line that converts it.
    """
    line = _conversion(path)
    if line:
        raise DataError(f"{path.name} is not an ONNX file", hint=line)
    return path


def _conversion(path: Path) -> str:
    if path.is_dir() or path.name == "saved_model.pb":
        folder = path if path.is_dir() else path.parent
        return f"python -m tf2onnx.convert --saved-model {quote(str(folder))} {OUTPUT}"
    suffix = path.suffix.lower()
    if suffix in (".tflite", ".lite"):
        return f"python -m tf2onnx.convert --tflite {quote(str(path))} {OUTPUT}"
    if suffix == ".pb":
        return f"python -m tf2onnx.convert --graphdef {quote(str(path))} --inputs INPUT:0 --outputs OUTPUT:0 {OUTPUT}"
    if suffix in (".keras", ".h5", ".hdf5"):
        # Keras exports a loaded network only after it was called once.
        return (
            f"python -c \"import keras; m = keras.saving.load_model('{path}'); "
            "m(keras.ops.zeros((1, *m.input_shape[1:]))); m.export('model.onnx', format='onnx')\""
        )
    if suffix in (".pt", ".pth", ".pt2", ".ckpt", ".safetensors"):
        return "in Python, with the network loaded: torch.onnx.export(model.eval(), (window,), 'model.onnx')"
    return ""
