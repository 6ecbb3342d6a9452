"""Public reports: the lines as they were reported, and what the report proved to be behind them."""

from __future__ import annotations

import re
from dataclasses import dataclass

import pytest

from fsq_edge_compile.explain import explain_log


@dataclass(frozen=True)
class Report:
    """A log of a public report.

    Attributes:
        source: where it was reported.
        log: its error lines, shortened.
        first: id of the row that must name the cause.
        words: what cause and fix must say.
        never: what no cause or fix may say.
    """

    source: str
    log: str
    first: str
    words: tuple[str, ...]
    never: tuple[str, ...] = ()


REPORTS = {
    "controllers": Report(
        "github.com/hailo-ai/hailo_model_zoo, issue 33",
        "[error] Error: Model uses too many reources: 136 Layer-Controllers, 109 Prepost LCUs\n"
        'Traceback (most recent call last):\n  File "hailomz", line 33, in <module>\n'
        "hailo_sdk_client.exceptions.BackendAllocatorException: Compilation failed\n",
        "resources-listed",
        ("136 Layer-Controllers", "several contexts"),
    ),
    "one-context": Report(
        "github.com/hailo-ai/hailo_model_zoo, issue 124",
        "[error] Mapping Failed (allocation time: 2s)\nContext switch is disabled, but model could not fit in single "
        "context. consider changing it and try again.\nDetailed error is: Failed to save enough resources to fit in "
        "the required parameters (in a recoverable manner): SCs: 326/384, APUs: 149/120, LCUs: 149/96\n",
        "resources-over",
        ("APUs: 149/120", "context_switch_param"),
    ),
    "conda-gflags": Report(
        "github.com/hailo-ai/hailo_model_zoo, issue 113",
        "lib/python3.8/site-packages/hailo_tools/build/compiler: symbol lookup error: lib/python3.8/site-packages/"
        "hailo_tools/build/compiler: undefined symbol: _ZN6gflags14FlagRegistererC1E\n"
        "BackendAllocatorException                 Traceback (most recent call last)\n",
        "compiler-libraries",
        ("virtual environment", "no Hailo device is needed"),
        ("libhailort",),
    ),
    "pcie-switch": Report(
        "github.com/raspberrypi/firmware, issue 1895",
        "[    3.446839] hailo 0000:05:00.0: Failed to enable MSI -28\n"
        "[    3.446849] hailo 0000:05:00.0: Failed Enabling interrupts -28\n"
        "[    3.446912] hailo 0000:05:00.0: Failed activating board -28\n",
        "msi",
        ("PCIe switch", "pciex1-compat-pi5"),
    ),
    "10h-under-4x": Report(
        "github.com/nerves-project/nerves_system_rpi5, issue 103",
        "[    9.2] hailo 0001:01:00.0: Timeout waiting for vDMA boot data completion\n"
        "[    9.2] hailo 0001:01:00.0: Failed writing SOC SECOND_STAGE firmware files over vDMA. err -110\n"
        "[    9.2] hailo 0001:01:00.0: Firmware load failed\n",
        "soc-boot",
        ("Hailo-10H", "hailo1x_pci"),
    ),
    "concat-agent": Report(
        "public compile log of a YOLO11n for the 8L",
        "[error] Mapping Failed\n[error] No successful assignments: concat21 errors: Agent infeasible\n",
        "alloc-layer",
        ("concat21", "before the concat"),
        ("too wide",),
    ),
    "softmax-apu": Report(
        "public compile log of a vision transformer for the 10H",
        "slice1 failed on kernel validation: slice1 has 2 APUs but max allowed is 1\n"
        "BackendAllocatorException: No successful assignments: ne_activation_ew_sub_softmax4\n",
        "alloc-apus",
        ("slice1", "2 APUs", "the most is 1"),
    ),
    "bias-16-bit": Report(
        "public notes on segmentation heads compiled without a GPU",
        "DW resources calculation failed: more than 1 subclusters are needed for 16bit L2 biases and contexts at "
        "activation2\nactivation2 failed on kernel validation: 16x4 is not supported\nAgent infeasible\n",
        "alloc-16bit",
        ("activation2", "16-bit", "GPU"),
    ),
    "no-partition": Report(
        "public compile log of an LSTM for the 8L",
        "[error] Mapping Failed (allocation time: 1m 44s)\nCompiler could not find a valid partition to contexts. Most "
        "commom error is: Automri finished with too many resources on context_2 with 62/184 failures.\n"
        "[error] Failed to produce compiled graph\n",
        "no-partition-count",
        ("context_2", "62 of 184"),
    ),
    "assertion": Report(
        "public notes on DeepLab at 640x480",
        "[info] Single context flow failed: Recoverable single context error\n"
        "compiler: ../src/allocator/network_graph_appender.cpp:402: Assertion `src_node.output_format() == "
        "(*first_succ)->input_format()' failed.\n"
        "[error] BackendAllocatorException: Compilation failed with unexpected crash\n",
        "alloc-shortcut",
        ("skip connection", "smaller input"),
    ),
    "expected-conv": Report(
        "public notes on YOLOv8 with nms_postprocess",
        "AllocatorScriptParserException: Error in the last layers of the model, expected conv but found "
        "LayerType.depth_to_space layer.\n",
        "nms-layer",
        ("convolutions of the detection heads", "end nodes"),
    ),
    "nms-file": Report(
        "public notes on the model zoo's wheel",
        "AllocatorScriptParserException: Post-process config file isn't found in "
        "../cfg/postprocess_config/yolov8n_nms_config.json\n",
        "nms-file",
        ("yolov8n_nms_config.json",),
    ),
    "nan": Report(
        "https://github.com/hailo-ai/hailo_model_zoo/issues/136",
        "hailo_sdk_client.sdk_backend.sdk_backend_exceptions.BackendValueError: Unsupported NaN values were found in "
        "params\n",
        "nan-params",
        ("NaN", "BatchNorm"),
    ),
    "meta-architecture": Report(
        "https://github.com/hailo-ai/hailo_model_zoo/issues/86",
        "ValueError: 'yolov8' is not a valid NMSMetaArchitectures\n",
        "nms-architecture",
        ("yolov8", "releases"),
    ),
    "zoo-choice": Report(
        "https://github.com/hailo-ai/hailo-rpi5-examples/issues/54",
        "hailomz compile: error: argument model_name: invalid choice: 'yolov8s' (choose from )\n",
        "zoo-choice",
        ("yolov8s", "repository"),
    ),
    "vdevice": Report(
        "https://github.com/blakeblackshear/frigate/issues/11961",
        "2024-11-15 00:51:01.368061656  Traceback (most recent call last):\n"
        '2024-11-15 00:51:01.368063064    File "/opt/frigate/plugins/hailo8l.py", line 72, in __init__\n'
        "2024-11-15 00:51:01.368069342  NameError: name 'VDevice' is not defined\n",
        "binding-missing",
        ("Python binding",),
    ),
    "hef-none": Report(
        "https://github.com/blakeblackshear/frigate-hass-addons/issues/206",
        "2025-01-19 10:00:20.301700612  [2025-01-19 12:00:20] frigate.detectors.plugins.hailo8l ERROR   : Failed to "
        "initialize Hailo device: HEF can only be created from a file path (str) or a buffer (bytes)\n",
        "hef-path-type",
        ("model path",),
    ),
    "haos-76": Report(
        "https://github.com/blakeblackshear/frigate-hass-addons/issues/241",
        "[HailoRT] [error] CHECK failed - Driver version (4.21.0) is different from library version (4.19.0)\n"
        "hailo_platform.pyhailort.pyhailort.HailoRTException: libhailort failed with error: 76 "
        "(HAILO_INVALID_DRIVER_VERSION)\n",
        "driver-library",
        ("4.21.0", "4.19.0", "container"),
    ),
    "packages-gone": Report(
        "https://github.com/theNetworkChuck/frigate-nvr-guide/issues/3",
        "Package hailort is not available, but is referred to by another package.\n"
        "Error: Unable to locate package hailo-dkms\nError: Version '4.19.0-3' for 'hailort' was not found\n",
        "package-gone",
        ("trixie", "apt-cache policy"),
    ),
    "firmware": Report(
        "https://github.com/nerves-project/nerves_system_rpi5/pull/39",
        "[ 2.256484] hailo 0000:01:00.0: Probing: mapped bar 0 - 0000000009aa613a 16384\n"
        "[ 2.256695] hailo 0000:01:00.0: Firmware file not found (/lib/firmware/hailo/hailo8_fw.bin), please upload "
        "the firmware manually\n",
        "firmware-missing",
        ("/lib/firmware/hailo",),
    ),
    "wrong-driver": Report(
        "https://github.com/hailo-ai/hailo-apps/issues/111",
        "[  172.770575] hailo1x 0000:02:00.0: Probing: Failed init pcie resources\n"
        "[  172.770617] hailo1x 0000:02:00.0: probe with driver hailo1x failed with error -22\n",
        "wrong-driver",
        ("10H", "4.x"),
    ),
    "headers": Report(
        "https://github.com/miskcoo/ugreen_leds_controller/issues/42 (the form of DKMS on Proxmox)",
        "Error! Your kernel headers for kernel 6.8.12-4-pve cannot be found at /lib/modules/6.8.12-4-pve/build\n",
        "kernel-headers",
        ("6.8.12-4-pve", "proxmox-headers"),
    ),
    "dkms-ubuntu": Report(
        "https://github.com/staralt/dxgkrnl-dkms/issues/10 (the form of DKMS on Ubuntu)",
        "Error! Bad return status for module build on kernel: 6.11.0-1012-azure (x86_64)\n"
        "Consult /var/lib/dkms/hailo_pci/4.20.0/build/make.log for more information.\n"
        "dpkg: error processing package hailort-pcie-driver (--configure):\n",
        "dkms-build",
        ("6.11.0-1012-azure", "older than the kernel"),
    ),
    "secure-boot": Report(
        "https://github.com/AdnanHodzic/displaylink-debian/issues/7 (the form of modprobe)",
        "modprobe: ERROR: could not insert 'hailo_pci': Required key not available\n",
        "module-signature",
        ("Secure Boot",),
    ),
    "hef-path": Report(
        "github.com/hailo-ai/Hailo-Application-Code-Examples, issue 356",
        '[HailoRT] [error] CHE[ 2621.94] audit: type=1701 audit(1709057382.388:40): pid=1255 comm="obj_det" res=1\n'
        "CK failed - Failed opening file, path:\n"
        "[HailoRT] [error] CHECK_SUCCESS failed with status=HAILO_OPEN_FILE_FAILURE(13)\n"
        "[HailoRT] [error] Failed parsing HEF file\n[HailoRT] [error] Failed creating HEF\n"
        "[HailoRT] [error] CHECK_SUCCESS failed with status=HAILO_OPEN_FILE_FAILURE(13)\n"
        "Failed to create infer model, status = 13\n"
        "terminate called after throwing an instance of 'std::runtime_error'\n  what():  No\nAborted (core dumped)\n",
        "hailort.13",
        ("cannot be opened", "check the path"),
        ("audit", "driver"),
    ),
    "hef-of-a-newer-compiler": Report(
        "github.com/hailo-ai/hailo_model_zoo, issue 29",
        "[HailoRT] [error] CHECK failed - Failed opening non-compatible HEF with the following unsupported extensions: "
        "KO Run ASAP (KO_RUN_ASAP)\n[HailoRT] [error] CHECK_SUCCESS failed with status=26\n"
        "[HailoRT] [error] Failed parsing HEF file\n[HailoRT] [error] CHECK_EXPECTED failed with status=26\n",
        "hef-extension",
        ("KO_RUN_ASAP", "different releases"),
        ("another architecture", "for this device"),
    ),
    "hef-without-a-field": Report(
        "github.com/hailo-ai/hailo_model_zoo, issue 81",
        "[HailoRT] [error] CHECK_AS_EXPECTED failed - Error, Could not find logical periph bytes per buffer value\n"
        "[HailoRT] [error] CHECK_EXPECTED failed with status=HAILO_INVALID_ARGUMENT(2) - \n"
        "[HailoRT CLI] [error] CHECK_EXPECTED failed with status=HAILO_INVALID_ARGUMENT(2)\n",
        "hef-extension",
        ("periph bytes", "HEF of an older release"),
        ("unknown stream name",),
    ),
    "headers-before-the-sources": Report(
        "github.com/hailo-ai/hailo-rpi5-examples, issue 87; github.com/hailo-ai/hailo-apps, issue 8",
        "FAILED: cpp/libyolo_hailortpp.so.p/yolo_hailortpp.cpp.o\n../cpp/hailo_nms_decode.hpp:68:78: error: "
        "\u2018HAILO_FORMAT_ORDER_HAILO_NMS_BY_CLASS\u2019 was not declared in this scope\nninja: build stopped\n",
        "hailort-headers",
        ("HAILO_FORMAT_ORDER_HAILO_NMS_BY_CLASS", "git tag"),
        ("kernel",),
    ),
    "module-built-at-first-use": Report(
        "github.com/hailo-ai/hailo_model_zoo, issue 78",
        'npy_1_7_deprecated_api.h:17:2: warning: #warning "Using deprecated NumPy API" [-Wcpp]\n'
        'Traceback (most recent call last):\n  File "_pyximport3.py", line 314, in create_module\n'
        "distutils.errors.DistutilsExecError: command 'gcc' failed with exit status 1\n\n"
        "During handling of the above exception, another exception occurred:\n\n"
        "ImportError: Building module hailo_model_zoo.cython_nms failed: [\"CompileError: command 'gcc' failed\"]\n",
        "python-build",
        ("C compiler", "python3-dev"),
    ),
    "package-of-another-release": Report(
        "github.com/hailo-ai/hailo_model_zoo, issue 89 (cut there; the last line is of the same form)",
        'Traceback (most recent call last):\n  File "hailomz", line 33, in <module>\n'
        "ImportError: cannot import name 'get_num_classes' from 'torchmetrics.utilities.data' (data.py)\n",
        "python-name",
        ("torchmetrics.utilities.data", "virtual environment"),
    ),
    "outputs-not-read": Report(
        "github.com/hailo-ai/Hailo-Application-Code-Examples, issue 143",
        "[HailoRT] [error] CHECK failed - Got HAILO_TIMEOUT while waiting for descriptors in write_buffer "
        "(channel_id=0:2)\n[HailoRT] [error] CHECK_SUCCESS failed with status=HAILO_TIMEOUT(4) - "
        "HwWriteElement3_yolov8m/input_layer1 (H2D) failed with status=HAILO_TIMEOUT(4)\n",
        "write-timeout",
        ("read every output stream",),
    ),
    "bad-alloc-with-memory-left": Report(
        "github.com/hailo-ai/hailo-apps, issue 146",
        "terminate called after throwing an instance of 'std::bad_alloc'\n  what():  std::bad_alloc\nAborted\n",
        "bad-alloc",
        ("out of proportion", "of one release"),
    ),
}


@pytest.mark.parametrize("name", REPORTS)
def test_a_public_report_is_explained(name: str) -> None:
    report = REPORTS[name]
    found = explain_log(report.log.splitlines())
    said = " ".join(f"{finding.cause} {finding.fix}" for finding in found.findings)
    assert found.findings[0].id == report.first
    assert all(word in said for word in report.words), said
    assert not any(word in said for word in report.never)
    assert found.unexplained == ()
    assert found.exit_code == 0


def test_what_follows_stands_behind_its_cause() -> None:
    log = (
        "[HailoRT] [error] Can't find hailort driver class.",
        "[HailoRT] [error] CHECK_SUCCESS failed with status=HAILO_DRIVER_NOT_INSTALLED(64)",
        "modprobe: FATAL: Module hailo_pci not found in directory /lib/modules/6.12.109+rpt-rpi-2712",
    )
    (finding,) = explain_log(log).findings
    assert (finding.id, finding.line, finding.consequences) == ("module-not-found", 3, (1, 2))
    assert "6.12.109+rpt-rpi-2712" in finding.cause
    assert finding.to_dict()["consequences"] == [1, 2]


@pytest.mark.parametrize(
    "line",
    [
        "dpkg: error: subprocess returned error exit status 10",
        "[ERROR] tool ended with exit status 4",
        "E: Sub-process returned an error code (1), status 26",
    ],
)
def test_an_exit_status_of_another_program_is_no_status_of_hailort(line: str) -> None:
    assert not any(finding.rule.startswith("hailort.") for finding in explain_log([line]).findings)


@pytest.mark.parametrize(
    "line",
    [
        "[error] something that nobody has reported",
        "<Hailo Model Zoo ERROR> no such thing",
        "[ 12.3] hailo 0001:01:00.0: frobnication failed",
        "[ 12.3] WARNING: CPU: 1 PID: 7 at kernel/time.c:3",
        "[HailoRT] [critical] the sky fell",
        "make: *** No rule to make target 'all'.  Stop.",
        "some_tool.errors.NobodyKnows: what",
        "Segmentation fault (core dumped)",
    ],
)
def test_an_error_line_is_explained_or_listed(line: str) -> None:
    report = explain_log(["[info] fine", line])
    assert report.findings or report.unexplained == ((2, line),)
    assert report.exit_code == (1 if report.unexplained else 0)


def test_an_exception_of_any_name_at_the_end_of_a_traceback_is_listed() -> None:
    log = ["Traceback (most recent call last):", '  File "a.py", line 1', "StrangeThingHappened: seven"]
    assert explain_log(log).unexplained == ((3, "StrangeThingHappened: seven"),)


def test_patterns_do_not_depend_on_case() -> None:
    (finding,) = explain_log(["NO SUCCESSFUL ASSIGNMENTS: Concat7 errors:"]).findings
    assert finding.layer == "Concat7"


@pytest.mark.parametrize("line", ["[info] Single context flow failed: Recoverable", "[debug] No successful assignment"])
def test_what_the_compiler_only_notes_is_no_error(line: str) -> None:
    report = explain_log([line])
    assert (report.findings, report.unexplained) == ((), ())


def test_advice_depends_on_the_kind_of_layer() -> None:
    fixes = {
        name: explain_log([f"No successful assignments: net/{name} errors:"]).findings[0].fix
        for name in ("conv3", "concat4", "matmul5", "fc2", "slice1", "whatever9")
    }
    assert len(set(fixes.values())) == len(fixes)


# Reports that were looked at after the table was written: (log, pattern that cause or fix must match). Sources:
# threads of github.com/hailo-ai (hailo-rpi5-examples 189 and 193, Hailo-Application-Code-Examples 143 and 353), of
# github.com/DeGirum/hailo_examples (12), and notes in public repositories.
LATER_REPORTS = {
    "system-role": (
        (
            "[HailoRT] [error] CHECK failed - System role messages can only be provided on the first prompt",
            "[HailoRT] [error] CHECK_SUCCESS failed with status=HAILO_INVALID_OPERATION(6)",
        ),
        "system",
    ),
    "vstream-activate": (
        (
            "[HailoRT] [error] CHECK failed - Trying to write to vstream before its network group is activated",
            "HailoRTStatusException: 69",
        ),
        "activat",
    ),
    "async-timeout": (
        (
            "[HailoRT] [error] CHECK failed - Waiting for async job to finish has failed with timeout (10000ms)",
            "[HailoRT] [error] CHECK_SUCCESS failed with status=HAILO_TIMEOUT(4)",
            "[HailoRT] [error] Non-recoverable Async Infer Pipeline error. status error code: HAILO_TIMEOUT(4)",
            "[HailoRT] [error] Shutting down the pipeline with status HAILO_TIMEOUT(4)",
        ),
        "did not answer|in time",
    ),
    "rpc": (
        ("[HailoRT] [critical] Executing pipeline terminate failed with status HAILO_RPC_FAILED(77)",),
        "service",
    ),
    "soc-driver": (
        (
            "[ 7.1] hailo1x 0001:01:00.0: Mismatch Driver version pcie driver 5:4:0 pci_ep driver 5:3:0",
            "[ 7.2] hailo1x 0001:01:00.0: hailo_soc_get_driver_info has failed with err -22",
            "[HailoRT] [error] CHECK failed - Driver version (5.4.0) is different from library version (5.3.0)",
        ),
        "5\\.4\\.0.*5\\.3\\.0",
    ),
    "gpu-exhausted": (
        (
            "hailo_model_optimization.acceleras.utils.acceleras_exceptions.AccelerasResourceError: GPU "
            "memory has been exhausted. Please try to use Quantization-Aware Fine-Tuning with lower bat"
            "ch size or run on CPU.",
        ),
        "GPU.*batch",
    ),
    "probe-5": (
        ("[ 3.1] hailo: probe of 0001:01:00.0 failed with error -5",),
        "cable|power",
    ),
    "slice": (
        (
            "hailo_sdk_client.model_translator.exceptions.ParsingWithRecommendationException: Parsing f"
            "ailed. The errors found in the graph are:",
            " UnsupportedLSTMLayerError in op LSTM__159: activation types ['Sigmoid', 'Tanh', 'Tanh', '"
            "Sigmoid', 'Tanh', 'Tanh'] are not supported",
            " UnsupportedSliceLayerError in op Slice__166: Failed to create slice layer at vertex Slice"
            "__166. Slice on axis 1 is not supported",
        ),
        "bidirectional.*[Ss]lice",
    ),
    "bilstm-shape": (
        (
            "      hailo_model_optimization.acceleras.utils.acceleras_exceptions.BadInputsShape: Data s"
            "hape (5, 1) for layer bilstm_model/input_layer1 doesn't match network's input shape (1, 5,"
            " 1)",
        ),
        "shape",
    ),
    "apt-space": (
        ("E: You don't have enough free space in /var/cache/apt/archives/",),
        "disk|space",
    ),
    "calib-permission": (
        ("PermissionError: [Errno 13] Permission denied: 'frame_00001.npy'",),
        "permission|read",
    ),
    "no-vstreams": (
        ("AttributeError: 'ConfiguredNetwork' object has no attribute 'create_input_vstreams'",),
        "release|InferModel|attribute",
    ),
    "descriptors": (
        (
            "[HailoRT] [error] CHECK failed - Got HAILO_TIMEOUT while waiting for descriptors in write_"
            "buffer (channel_id=0:2)",
            "[HailoRT] [error] CHECK_SUCCESS failed with status=HAILO_TIMEOUT(4) - HwWriteElement3_yolo"
            "v8m/input_layer1 (H2D) failed with status=HAILO_TIMEOUT(4)",
        ),
        "did not answer|in time",
    ),
    "undefined-symbol": (
        (
            "ImportError: /usr/lib/python3/dist-packages/hailo_platform/pyhailort/_pyhailort.so: undefi"
            "ned symbol: _ZN7hailort20ConfiguredInferModel20get_async_queue_sizeEv",
        ),
        "release",
    ),
    "probe -2": (
        ("[ 3.1] hailo 0001:01:00.0: probe with driver hailo failed with error -2",),
        "firmware",
    ),
    "ioctl": (
        (
            "[HailoRT] [error] Ioctl HAILO_QUERY_DRIVER_INFO failed due to inappropriate ioctl for devi"
            "ce (can happen due to version mismatch or unsupported feature)",
            "[HailoRT] [error] Failed to query driver info with HAILO_DRIVER_INVALID_IOCTL(86)",
            "[HailoRT] [error] CHECK_SUCCESS failed with status=HAILO_DRIVER_INVALID_IOCTL(86)",
        ),
        "release",
    ),
    "ioctl dmesg": (
        ("[ 8.1] hailo 0001:01:00.0: Invalid general ioctl code 0x400c6701 (nr: 1)",),
        "release",
    ),
    "no hailo module": (
        (
            "Traceback (most recent call last):",
            '  File "detection.py", line 7, in <module>',
            "ModuleNotFoundError: No module named 'hailo'",
        ),
        "tappas",
    ),
    "tappas version": (
        ("TAPPAS_VERSION is 3.31.0 not in the list of required versions 3.29.1 3.30.0.",),
        "release|version",
    ),
    "post-process library": (
        (
            "Could not load lib /home/pi/resources/libyolo_hailortpp_postprocess.so: cannot open shared object file",
            "Cannot load symbol: /lib/aarch64-linux-gnu/gstreamer-1.0/libgsthailotools.so: undefined symbol: filter",
        ),
        r"\(libyolo_hailortpp_postprocess\.so\)(?!.*libhailort)",
    ),
    "tappas library": (
        (
            "Traceback (most recent call last):",
            '  File "detection.py", line 11, in <module>',
            "ImportError: libgsthailometa.so.3: cannot open shared object file: No such file or directory",
        ),
        r"libgsthailometa\.so\.3 of Hailo's TAPPAS.*hailo-tappas-core",
    ),
    "tappas linker": (
        (
            "/usr/bin/ld: cannot find -lgsthailometa: No such file or directory",
            "/usr/bin/ld: cannot find -lhailo_tracker: No such file or directory",
            "collect2: error: ld returned 1 exit status",
            "ninja: build stopped: subcommand failed.",
        ),
        "gsthailometa of Hailo's TAPPAS.*hailo-tappas-core",
    ),
    "tappas header": (
        (
            "FAILED: plugins/hailo.cpython-311-aarch64-linux-gnu.so.p/python_hailo_python_api.cpp.o",
            "../plugins/python/hailo_python_api.cpp:8:10: fatal error: gst_hailo_meta.hpp: No such file or directory",
            "compilation terminated.",
        ),
        r"gst_hailo_meta\.hpp of Hailo's TAPPAS",
    ),
    "library of the other chip": (
        (
            "[2025-12-26 14:20:34] [DEBUG]   System package h10-hailort is not installed.",
            "[2025-12-26 14:20:34] [ERROR] Post-installation failed (exit code: 1)",
        ),
        "h10-hailort.*5.x library of a Hailo-10H.*hailo-all",
    ),
    "pip dependencies": (
        (
            "ERROR: pip's dependency resolver does not currently take into account all the packages tha"
            "t are installed. This behaviour is the source of the following dependency conflicts.",
            "hailort 4.23.0 requires contextlib2, which is not installed.",
        ),
        "contextlib2|environment",
    ),
}


@pytest.mark.parametrize("name", LATER_REPORTS)
def test_a_later_report_is_explained(name: str) -> None:
    log, wanted = LATER_REPORTS[name]
    found = explain_log(log)
    said = " ".join(f"{finding.cause} {finding.fix}" for finding in found.findings)
    assert re.search(wanted, said), said
    assert found.exit_code == 0
