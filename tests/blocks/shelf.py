"""The files that the pages speak of, made small: a run, a build, bundles, recordings, logger files, logs, models."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
from cryptography.hazmat.primitives import serialization as form
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from fsq_edge.cli.main import run
from fsq_edge.data import Dataset, Recording, write_folder
from fsq_edge.data.recording_file import write_recording
from fsq_edge_runtime import Bundle
from tests.blocks.finding import ROOT
from tests.factories.hailo_rig import hef_for
from tests.factories.labelled import flickering_bundle, labelled_dataset, with_provenance
from tests.factories.onnx_graphs import GraphFactory, fsq_model

SUBJECTS = 7
CLASSES = ("walk", "rest", "run", "trot", "stand", "drink", "eat")
MAP = """schema_version: 1
name: collars
rate_hz: 50.0
channels: {acc_x: g, acc_y: g, acc_z: g}
files:
  - pattern: "collar_{subject}.csv"
    time: {column: time, form: s}
    channels: {acc_x: {column: acc_x, unit: g}, acc_y: {column: acc_y, unit: g}, acc_z: {column: acc_z, unit: g}}
"""
EAF = """<?xml version="1.0" encoding="UTF-8"?>
<ANNOTATION_DOCUMENT AUTHOR="" DATE="2024-01-01T00:00:00+00:00" FORMAT="3.0" VERSION="3.0">
<HEADER MEDIA_FILE="" TIME_UNITS="milliseconds"/>
<TIME_ORDER><TIME_SLOT TIME_SLOT_ID="ts1" TIME_VALUE="1000"/>
<TIME_SLOT TIME_SLOT_ID="ts2" TIME_VALUE="9000"/></TIME_ORDER>
<TIER LINGUISTIC_TYPE_REF="default" TIER_ID="tom"><ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="a1"
TIME_SLOT_REF1="ts1" TIME_SLOT_REF2="ts2"><ANNOTATION_VALUE>walk</ANNOTATION_VALUE></ALIGNABLE_ANNOTATION></ANNOTATION>
</TIER><LINGUISTIC_TYPE LINGUISTIC_TYPE_ID="default" TIME_ALIGNABLE="true"/></ANNOTATION_DOCUMENT>
"""


def stand_in_for_watch() -> Dataset:
    """A data set of the form of `watch`, of which a training takes a second."""
    made = labelled_dataset(flickering_bundle(), subjects=SUBJECTS, blocks=10, name="watch")
    return replace(made, classes=CLASSES)


def fill(shelf: Path, dataset: Dataset) -> None:
    """Put everything into an empty folder, which has to be the working directory."""
    for words in (
        ["train", "--data", "watch", "--test-subjects", "5,6", "--out", "run"],
        ["export", "run", "--out", "build", "--features"],
        ["calibrate", "run", "--out", "build"],
        ["quantize", "build"],
        ["bundle", "build", "build", "--out", "dog.fsqb", "--force", "made small"],
    ):
        assert run([*words, "--quiet"]) in (0, 1), words
    shutil.copy("build/preprocess.json", "preprocess.json")
    for name in ("runs/watch", "runs/dog"):
        shutil.copytree("run", name)
    for name in ("build/watch", "build/dog", "BUILD"):
        shutil.copytree("build", f".copy/{name}", ignore=shutil.ignore_patterns("watch", "dog"))
    for name in ("build/watch", "build/dog", "BUILD"):
        shutil.move(f".copy/{name}", name)
    shutil.copy("dog.fsqb", "watch.fsqb")
    _tuned()
    shutil.copytree(ROOT / "examples", "examples")
    Path("dog").mkdir()  # as `fsq-edge init dog && make -C dog` leaves it
    shutil.copy("dog.fsqb", "dog/dog.fsqb")
    _recordings(shelf, dataset)
    _models(shelf)
    _texts(shelf)


def _tuned() -> None:
    """A bundle with decision settings of `tune`, and the quality that it measured."""
    bundle = flickering_bundle()
    dataset = labelled_dataset(bundle)
    write_folder(dataset, Path("flicker"))
    with_provenance(bundle, dataset, ["4"]).save("flicker.fsqb")
    assert run(["tune", "flicker.fsqb", "--recordings", "folder:flicker", "--out", "tuned.fsqb", "--quiet"]) in (0, 2)


def _recordings(shelf: Path, dataset: Dataset) -> None:
    named = dict(zip(dataset.subjects, ("rex", "bella", "tom", "kim", "ada", "max", "leo"), strict=True))
    dogs = replace(dataset, recordings=tuple(replace(r, subject=named[r.subject]) for r in dataset.recordings))
    for name in ("collar", "recordings"):
        write_folder(dogs, shelf / name)
    for name in ("walk.npz", "phone.csv"):
        write_recording(dataset, _longer(dataset), shelf / name)
    windows = np.concatenate([r.samples[:2000].reshape(20, 100, -1) for r in dataset.recordings])
    windows = windows.transpose(0, 2, 1).astype(np.float32)
    labels = np.concatenate([r.labels[:2000:100] for r in dataset.recordings]).astype(np.int64)
    subjects = np.repeat([r.subject for r in dataset.recordings], 20)
    write_recording(dataset, dataset.recordings[0], shelf / "dog/replay.npz")
    mine = replace(dogs, recordings=tuple(replace(r, subject="anna") for r in dogs.recordings[:2]))
    write_folder(mine, shelf / "mine")
    for name in ("W.npy", "X.npy"):
        np.save(shelf / name, windows[:, :3])
    np.savez(shelf / "W.npz", windows=windows[:, :3], labels=labels % 3)
    np.savez(shelf / "held.npz", windows=windows, labels=labels, subjects=subjects)
    words = ["personalize", "dog.fsqb", "--recordings", "folder:mine", "--subject", "anna", "--out", "rex.fsqo"]
    assert run([*words, "--quiet"]) == 0
    for name in ("everybody", "bella", "tom", "anna"):
        shutil.copy("rex.fsqo", f"{name}.fsqo")
    (shelf / "raw").mkdir()
    (shelf / "data").mkdir()
    shutil.copy("phone.csv", "data/phone.csv")
    draw = np.random.default_rng(0)
    for subject in ("rex", "tom", "kim", "bella"):
        rows = [f"{i / 50:.2f};" + ";".join(f"{v:.4f}" for v in draw.normal(0, 0.3, 3)) for i in range(6000)]
        (shelf / f"raw/collar_{subject}.csv").write_text("time;acc_x;acc_y;acc_z\n" + "\n".join(rows) + "\n")
    bouts = "".join(f"{s},{k * 10},{k * 10 + 10},{('rest', 'walk')[k % 2]}\n" for s in ("rex", "tom", "kim", "bella")
                    for k in range(11))  # fmt: skip
    (shelf / "labels.csv").write_text("subject,start,end,label\n" + bouts)
    (shelf / "rex.csv").write_text("start,stop,label\n0,10,rest\n10,20,walk\n")
    (shelf / "corrected.csv").write_text("start,end,label\n0,8,eat\n8,16,rest\n16,24,eat\n24,32,rest\n")
    (shelf / "tom.eaf").write_text(EAF)
    for name in ("collars.yaml", "map.yaml"):
        (shelf / name).write_text(MAP)


def _longer(dataset: Dataset) -> Recording:
    """The recordings of four subjects as one."""
    some = dataset.recordings[:4]
    samples, labels = (np.concatenate([getattr(r, name) for r in some]) for name in ("samples", "labels"))
    return replace(some[0], samples=samples, labels=labels)


def _models(shelf: Path) -> None:
    graph = GraphFactory("input", [1, 3, 100])
    lifted = graph.add("Unsqueeze", "input", graph.ints(2))
    x = graph.add("Relu", graph.conv(lifted, 8, (1, 5), inputs=3))
    onnx.save(
        graph.model(graph.gemm(graph.add("Flatten", graph.add("GlobalAveragePool", x)), 8, 3)), shelf / "model.onnx"
    )
    (shelf / "models").mkdir()
    for name in ("fixed.onnx", "other.onnx"):
        shutil.copy("model.onnx", name)
    onnx.save(fsq_model(), shelf / "models/fsq.onnx")
    shutil.copy(shelf / "build/encoder.onnx", shelf / "encoder.onnx")
    bundle = Bundle.open("dog.fsqb")  # the frame of a synthetic HEF is (channels, height, width)
    (shelf / "dog.hef").write_bytes(hef_for("hailo8l", bundle.preprocess.frame_shape, features=bundle.features))


def _texts(shelf: Path) -> None:
    clock = np.load("walk.npz")
    times = 1.7e9 + np.arange(len(clock["samples"])) / 50.0  # a log of a live run: seconds since 1970
    np.savez("clock.npz", samples=clock["samples"], timestamps=times)
    for bundle, log in (("dog.fsqb", "monday"), ("dog.fsqb", "tuesday"), ("dog.fsqb", "rex"), ("dog.fsqb", "wild"),
                        ("dog.fsqb", "labelled")):  # fmt: skip
        assert run(["run", bundle, "--source", "npz:clock.npz", "--sink", f"jsonl:{log}.jsonl", "--quiet"]) == 0
    key = Ed25519PrivateKey.generate()
    private = form.Encoding.PEM, form.PrivateFormat.PKCS8, form.NoEncryption()
    (shelf / "key.pem").write_bytes(key.private_bytes(*private))
    public = form.Encoding.PEM, form.PublicFormat.SubjectPublicKeyInfo
    (shelf / "key.pub").write_bytes(key.public_key().public_bytes(*public))
    error = "[HailoRT] [error] CHECK failed - Failed to open device file /dev/hailo0 with error 6\n"
    for name in ("hailort.log", "hailo_sdk.client.log", "apt-output.txt"):
        (shelf / name).write_text(error)
    (shelf / "alerts.yaml").write_text(
        "schema_version: 1\nrules:\n  - {name: silent, kind: silence, longer_than_s: 60}\n"
    )
    (shelf / "config.yaml").write_text("training: {max_epochs: 1, refit_epochs: 1}\n")
    for name in ("before", "after"):
        assert run(["bench", "dog.fsqb", "--quick", "--json", f"{name}.json", "--quiet"]) == 0


def arrange(page: str, folder: Path) -> None:
    """Make a copy of the shelf fit a page that means another thing by a name."""
    if page != "README.md":
        shutil.rmtree(folder / "dog")  # there, a reader has made it already
    if page == "budget.md":  # what one stream did, not the label file of four subjects
        (folder / "labels.csv").write_text("start,end,label\n1700000000,1700000100,eat\n")
    if page == "own-network.md":  # its BUILD is of another network
        shutil.rmtree(folder / "BUILD")
    if page == "calibration.md":  # all channels of the network that was trained
        np.save(folder / "W.npy", np.load(folder / "held.npz")["windows"])
