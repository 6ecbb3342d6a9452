"""``bench layers``: where a network's time, parameters and memory go, layer by layer."""

from __future__ import annotations

from pathlib import Path

import click

from fsq_edge.cli.bench_network import is_network
from fsq_edge.cli.output import Output, need, output_options, table
from fsq_edge_runtime.bundle.bundle import Bundle
from fsq_edge_runtime.errors import DataError


@click.command("layers")
@click.argument("network", metavar="BUNDLE|MODEL", type=click.Path(path_type=Path))
@output_options
def command(network: Path, output: Output) -> None:
    """Show what each layer costs on this CPU: time, multiply-accumulates, parameters, activations.

    BUNDLE gives its device graph in float, on its self-test windows; MODEL.onnx runs on random inputs. The layers are
    those that onnxruntime runs after its own optimisation. The times are estimates that add up to the measured time of
    the whole network.
    """
    need("onnx", "compile")
    from fsq_edge_benchmarks.bench.layers import cost_of_file, network_cost
    from fsq_edge_benchmarks.measure.machine import describe_machine
    from fsq_edge_runtime.preprocess import Preprocessor

    if is_network(network):
        cost = cost_of_file(network)
    else:
        bundle = Bundle.open(network)
        frames = Preprocessor(bundle.preprocess).usable_frames(bundle.selftest.windows)[0]
        if not len(frames):
            raise DataError(
                "every self-test window of the bundle has long gaps", hint="fsq-edge bench layers MODEL.onnx"
            )
        cost = network_cost(bundle.read("encoder"), frames)
    machine = describe_machine()
    rows = [
        (
            _short(layer.name),
            layer.op,
            f"{layer.us:.1f}",
            *map(_count, (layer.macs, layer.parameters, layer.activation)),
        )
        for layer in cost.layers
    ]
    output.print(table(str(network), ["layer", "op", "µs", "MACs", "parameters", "values"], rows))
    output.say(
        f"whole network: {cost.us:.1f} µs, {cost.macs:,} MACs, {cost.parameters:,} parameters, activations take "
        f"{cost.peak_activation_bytes:,} bytes at most"
    )
    output.say(f"on: {machine.text()}")
    output.write_json({"schema_version": 1, "machine": machine.model_dump(mode="json"), **cost.to_dict()})


def _short(name: str) -> str:
    """Return the last parts of a name as exporters make them, without what onnxruntime puts behind."""
    return "/".join(name.removesuffix("_nchwc").removesuffix("_output_0").split("/")[-2:])


def _count(value: int | None) -> str:
    return "-" if value is None else f"{value:,}" if value else ""
