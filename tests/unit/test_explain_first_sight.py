"""Public reports that `explain` met for the first time: what was right was written down before the run."""

from __future__ import annotations

import re

import pytest

from fsq_edge_compile.explain import explain_log

# name: (where it was reported, its lines, what cause and fix of the first finding must match, what none may match).
# Lines are as they were reported.
REPORTS: dict[str, tuple[str, str, tuple[str, ...], tuple[str, ...]]] = {
    "e01": (
        "community.hailo.ai/t/75",
        """\
[HailoRT] [warning] Got health monitor notification - temperature reached orange zone. sensor id=0, TS00=103.9\
8878c, TS01=103.634674c
[HailoRT] [warning] Got health monitor notification - System's clock has been changed from 400000000 to 350000\
000
[HailoRT] [critical] Got health monitor closed streams notification. temperature: TS00=119.97402 c, TS01=119.2\
65816 c, inputs bitfield:1, outputs bitfield:0
[HailoRT] [critical] Channel 0:2 was aborted by an external source!
[HailoRT] [error] CHECK_SUCCESS_AS_EXPECTED failed with status=HAILO_STREAM_ABORTED(62)
[HailoRT] [error] CHECK_EXPECTED failed with status=HAILO_STREAM_ABORTED(62)
ERROR: from element /GstPipeline:pipeline0/GstHailoNet:hailonet0/GstHailoSend:hailosend: Failed writing to inp\
ut vstream yolov5m_wo_spp_60p/input_layer1, status = 62
""",
        ("hot|heat|temperature", "cool|heatsink|heat sink|fan"),
        (),
    ),
    "e02": (
        "DeGirum/hailo_examples 9",
        """\
Error during inference: Failed to perform model 'yolov8n_relu6_coco' inference: Model inference failed: [CRITI\
CAL]Operation failed
HailoRT Runtime Agent: Failed to create VDevice: HAILO_INVALID_SERVICE_VERSION
hailo_model_context_manager.cpp: 232 [DG::HailoModelContextManager::acquireModel]
""",
        ("service", "release|version"),
        (),
    ),
    "e03": (
        "raspberrypi/rpicam-apps 749",
        """\
Reading post processing stage "hailo_yolo_inference"
ERROR: *** No such node (hef_file) ***
""",
        ("hef_file", "json|post-process"),
        (),
    ),
    "e04": (
        "public forum note, Rockchip Ubuntu 20.04, HailoRT 4.1x",
        """\
linux@linux:~$ hailortcli fw-control identify
[HailoRT] [error] Can't find hailo pcie class, this may happen if the driver is not installed (this may happen\
 if the kernel was updated), or if there is no connected Hailo board
[HailoRT] [error] CHECK_SUCCESS failed with status=HAILO_PCIE_DRIVER_NOT_INSTALLED(64) - Failed listing pcie d\
evices
[HailoRT CLI] [error] CHECK_SUCCESS failed with status=HAILO_PCIE_DRIVER_NOT_INSTALLED(64)
""",
        ("driver", "modprobe|dkms"),
        (),
    ),
    "e05": (
        "public notes of a bike monitor",
        """\
[HailoRT] [error] CHECK failed - Memory size of vstream yolov8n/input_layer1 does not match the frame count! (\
Expected 4915200, got 0)
[HailoRT] [error] CHECK_SUCCESS failed with status=HAILO_INVALID_ARGUMENT(2)
""",
        ("4915200", "numpy|array|contiguous|dtype"),
        ("unknown stream name",),
    ),
    "e06": (
        "community.hailo.ai/t/4962",
        """\
[HailoRT] [error] CHECK failed - Input buffer size 9830400 is different than expected 1228800 for input 'net_9\
conv/input_layer1'
[HailoRT] [error] CHECK_SUCCESS failed with status=HAILO_INVALID_OPERATION(6)
""",
        ("9830400", "1228800", "float64|uint8|type|dtype"),
        (),
    ),
    "e07": (
        "public notes of a Whisper server",
        """\
[] [] [HailoRT] [error] [infer_model.cpp:868] [validate_bindings] CHECK failed - Input buffer size 0 is differ\
ent than expected 320000 for input 'tiny-whisper-encoder-10s/input_layer1'
[] [] [HailoRT] [error] [infer_model.cpp:932] [run_async] CHECK_SUCCESS failed with status=HAILO_INVALID_OPERA\
TION(6)
[] [] [HailoRT] [info] [async_infer_runner.cpp:86] [shutdown] Pipeline was aborted. Shutting it down
[] [] [HailoRT] [error] [infer_model.cpp:651] [run_async] CHECK_SUCCESS failed with status=HAILO_INVALID_OPERA\
TION(6)
""",
        ("320000", "empty|0 bytes|no buffer|set_buffer|contiguous"),
        (),
    ),
    "e08": (
        "public notes of BenderPi, Hailo-10H",
        """\
[HailoRT] [error] CHECK failed - KV-Cache is already in use
[HailoRT] [error] CHECK_SUCCESS failed with status=HAILO_INVALID_OPERATION(6) - Failed to create VLM
hailo_platform.pyhailort.pyhailort.HailoRTException: libhailort failed with error: 6 (HAILO_INVALID_OPERATION)
""",
        ("KV|one (language|llm|vlm)|cache", "release|close|stop|unload"),
        (),
    ),
    "e09": (
        "public notes of a photo app, Hailo-10H 5.1.1",
        """\
[HailoRT] [error] [serializer.cpp:996] [deserialize_reply] CHECK_SUCCESS failed with status=HAILO_INVALID_OPER\
ATION(6) - Failed to create VLM
[error] VLM worker failed to boot: "6"
""",
        ("release|version", "HEF|model"),
        ("C-contiguous",),
    ),
    "e10": (
        "public vision code, HailoRT 4.20",
        """\
[HailoRT] [error] CHECK failed - Manually activate a core-op is not allowed when the core-op scheduler is acti\
ve!
[HailoRT] [error] CHECK_SUCCESS failed with status=HAILO_INVALID_OPERATION(6)
""",
        ("scheduler", "activate"),
        ("C-contiguous",),
    ),
    "e11": (
        "public blaze demo on Yocto, HailoRT 4.1x",
        """\
[HailoRT] [error] multi-process service requires service compilation with HAILO_BUILD_SERVICE
Traceback (most recent call last):
  File "/usr/lib/python3.9/site-packages/hailo_platform/pyhailort/pyhailort.py", line 2626, in _open_vdevice
    self._vdevice = _pyhailort.VDevice.create(self._params, device_ids)
hailo_platform.pyhailort._pyhailort.HailoRTStatusException: 6
""",
        ("HAILO_BUILD_SERVICE|service", "multi_process_service|without"),
        ("C-contiguous",),
    ),
    "e12": (
        "public notes of a face-spoof network, DFC 3.31",
        """\
[error] Failed to produce compiled graph
[error] BackendAllocatorException: Compilation failed: No format for fc1 -> conv33
""",
        ("fc1", "conv33", "1x1|convolution|dense|reshape|flatten"),
        (),
    ),
    "e13": (
        "public notes of DeepLab, DFC 3.3x",
        """\
[error] Mapping Failed (allocation time: 10m 11s)
microcode exceeded size for resize1_sd0 (cluster_index=0, layer_index=0)
[error] BackendAllocatorException: Compilation failed
""",
        ("resize1", "smaller steps|host|end"),
        (),
    ),
    "e14": (
        "public notes of a radio classifier, DFC 5.x",
        """\
compiler: ../src/network_graph/racehorse.cpp:1682:
Assertion `pyramid_output->output_shapes().size() > index' failed.
[error] BackendAllocatorException: Compilation failed with unexpected crash
""",
        ("crash|assertion|fault of the compiler|own check", "release|report"),
        (),
    ),
    "e15": (
        "public notes of SigLIP 2 on Hailo-8",
        """\
hailo_model_optimization.acceleras.utils.acceleras_exceptions.NegativeSlopeExponentNonFixable: Quantization fa\
iled in layer siglip/ne_activation_mul_and_add78 due to unsupported required slope. Desired shift is 16.0, but\
 op has only 8 data bits. This error raises when the data or weight range are not balanced. Mostly happens whe\
n using random calibration-set/weights, the calibration-set is not normalized properly or batch-normalization \
was not used during training.
""",
        ("ne_activation_mul_and_add78|layer", "calibration", "normal|range|real"),
        (),
    ),
    "e16": (
        "public report on a 10H, 5.x",
        """\
[HailoRT] [error] CHECK failed - Waiting for async job to finish has failed with timeout (5000ms)
[HailoRT] [error] Ioctl HAILO_VDMA_LAUNCH_TRANSFER failed with 5
[HailoRT] [error] CHECK_SUCCESS failed with status=HAILO_DRIVER_OPERATION_FAILED(36)
[  812.1] hailo1x 0001:01:00.0: Timeout waiting for soc control (timeout_ms=1000)
[  812.2] hailo1x 0001:01:00.0: soc_close failed with err=-110
""",
        ("did not answer|stand|stall|timed out|hang", "power"),
        (),
    ),
    "e17": (
        "public troubleshooting page, Hailo-10H",
        """\
[  101.2] hailo1x_pci: Failed reading device BARs, device may be disconnected
[  101.3] hailo1x_pci: D3cold to D0 transition failed
""",
        ("power state|wake|vanish|bus", "power|aspm"),
        (),
    ),
    "e18": (
        "public notes, RPi 5",
        """\
[HailoRT] [error] Failed waiting for threads with status HAILO_TIMEOUT(4)
[HailoRT] [error] Ioctl HAILO_FW_CONTROL failed with 19. Read dmesg log for more info
[HailoRT] [error] CHECK_SUCCESS failed with status=HAILO_DRIVER_OPERATION_FAILED(36) - Failed in fw_control
[HailoRT] [error] CHECK_SUCCESS failed with status=HAILO_DRIVER_OPERATION_FAILED(36) - Failed to send fw contr\
ol
""",
        ("no such device|gone|vanish|disconnect|lost", "power|dmesg"),
        (),
    ),
    "e19": (
        "hailo-rpi5-examples 179",
        """\
ERROR: Could not find a version that satisfies the requirement aioice==0.10.1
ERROR: No matching distribution found for aioice==0.10.1
""",
        ("aioice", "python"),
        (),
    ),
    "e20": (
        "hailo-rpi5-examples 109 and 153",
        """\
  error: subprocess-exited-with-error
  x python setup.py egg_info did not run successfully.
  | exit code: 1
      ERROR:__main__:Hailo python package not found. Please make sure you're in the Hailo virtual environment.\
 Run 'source setup_env.sh' and try again.
error: metadata-generation-failed
hint: See above for details.
""",
        ("setup_env|virtual environment", "hailo"),
        (),
    ),
    "e21": (
        "hailo-rpi5-examples 140",
        """\
      Found pkg-config: /usr/bin/pkg-config (0.29.2)
      Run-time dependency hailo-tappas-core found: NO (tried pkgconfig and cmake)
      ERROR:__main__:Failed to compile C++ code. Exit code: 2
""",
        ("hailo-tappas-core", "install"),
        (),
    ),
    "e22": (
        "Hailo-Application-Code-Examples 319",
        """\
/usr/bin/ld: plugins/libgsthailotools.so.3.30.0.p/gsthailotools.cpp.o: in function `plugin_init(_GstPlugin*)':
/home/ain/tappas/core/hailo/build.release/../plugins/gsthailotools.cpp:53: undefined reference to `gst_hailonv\
alve_get_type'
collect2: error: ld returned 1 exit status
ninja: build stopped: subcommand failed.
""",
        ("gst_hailonvalve_get_type", "empty build|clean|release"),
        (),
    ),
    "e23": (
        "Hailo-Application-Code-Examples 136",
        """\
Traceback (most recent call last):
  File "yolo_inference.py", line 5, in <module>
ModuleNotFoundError: No module named 'hailo_platform.pyhailort._pyhailort'
""",
        ("wheel|binding", "python version|this python|cp3"),
        (),
    ),
    "e24": (
        "public compose log of frigate-hailo",
        """\
frigate-hailo  | 2024-08-24 21:51:44.836919078      self._vdevice = _pyhailort.VDevice.create(self._params, de\
vice_ids)
frigate-hailo  | 2024-08-24 21:51:44.836928015  hailo_platform.pyhailort._pyhailort.HailoRTStatusException: 36
frigate-hailo  | 2024-08-24 21:51:44.837286139  The above exception was the direct cause of the following exce\
ption:
""",
        ("driver", "dmesg"),
        (),
    ),
    "e25": (
        "kyrikakis/hailo_tappas_ros2 25",
        """\
[face_recognition_node-1] [HailoRT] [error] HEF format is not compatible with device. Device arch: HAILO8L, HE\
F arch: HAILO8
[face_recognition_node-1] [HailoRT] [error] CHECK_SUCCESS failed with status=HAILO_INVALID_HEF(26)
[face_recognition_node-1] CHECK_EXPECTED failed with status=26
""",
        ("HAILO8L|8L", "compile|architecture"),
        (),
    ),
    "e26": (
        "public journal of a garage camera",
        """\
May 03 14:10:33 GarageCam bash[2468]: [HailoRT] [error] CHECK failed - Failed to create vdevice. there are not\
 enough free devices. requested: 1, found: 0
May 03 14:10:33 GarageCam bash[2468]: [HailoRT] [error] CHECK_SUCCESS failed with status=HAILO_OUT_OF_PHYSICAL\
_DEVICES(74)
""",
        ("another|other program|free", "lsof|fuser|stop"),
        (),
    ),
    "e27": (
        "public notes of a multi-camera service",
        """\
[HailoRT] [error] CHECK_SUCCESS failed with status=HAILO_DEVICE_IN_USE(73)
visiond: model refused: HailoRT could not open yolov8n.hef: error 73 (HAILO_DEVICE_IN_USE)
""",
        ("another|already|in use", "lsof|fuser|one|share|stop"),
        (),
    ),
    "e28": (
        "hailo-ai/hailort-drivers pull 52",
        """\
../vdma/monitor.c: In function 'hailo_vdma_monitor_stop':
../vdma/monitor.c:53:5: error: implicit declaration of function 'del_timer_sync' [-Wimplicit-function-declarat\
ion]
make[3]: *** [scripts/Makefile.build:287: monitor.o] Error 1
""",
        ("del_timer_sync", "older than the kernel|newer"),
        (),
    ),
    "e29": (
        "ankandrew/fast-plate-ocr 44",
        """\
[info] Simplified ONNX model for a parsing retry attempt (completion time: 00:00:01.24)
Parsing failed with recommendations for end node names: ['CCT/key_1/BiasAdd', 'CCT/transpose_1', 'CCT/Add'].
Would you like to parse again with the recommendation? (y/n)
n
""",
        ("end node", "CCT/key_1/BiasAdd"),
        (),
    ),
    "e30": (
        "public notes, DFC with 4-bit weights",
        """\
Traceback (most recent call last):
  File "hailo_model_optimization/acceleras/hailo_layers/base.py", line 9, in run
hailo_model_optimization.acceleras.utils.acceleras_exceptions.AccelerasImplementationError: 16-bit is unsuppor\
ted for layer pow/square1
""",
        ("16-bit|a16", "8.bit|a8|precision"),
        (),
    ),
    "s01": (
        "github.com/hailo-ai/hailo_model_zoo, issue 39",
        """\
hailomz -h
Illegal instruction (core dumped)
""",
        ("processor|cpu", "AVX"),
        (),
    ),
    "s02": (
        "github.com/hailo-ai/hailo_model_zoo, issue 58",
        """\
Traceback (most recent call last):
  File "/venv/lib/python3.8/site-packages/hailo_sdk_common/hailo_nn/hn_layers/layer.py", line 20, in update
hailo_sdk_common.hailo_nn.exceptions.UnsupportedModelError: Unexpected zero dimension in shape [-1, 19, 19, 0]\
 at conv layer ssd_mobilenet_v1/conv14 (translated from BoxPredictor_0/ClassPredictor/BiasAdd)
""",
        ("ssd_mobilenet_v1/conv14|BoxPredictor_0", "zero|empty|no channel|classes"),
        (),
    ),
    "s04": (
        "github.com/hailo-ai/hailo-apps, issue 110",
        """\
x HTTP Error 403: https://hailo-csdata.s3.eu-west-2.amazonaws.com/resources/hefs/h8l/stereonet.hef
Download attempt 1/3 failed for https://hailo-model-zoo.s3.eu-west-2.amazonaws.com/ModelZoo/Compiled/v2.17.0/h\
ailo8l/yolov7x.hef: HTTP Error 403: Forbidden
""",
        ("403", "download|address|update"),
        (),
    ),
    "s05": (
        "notes of a greeting robot, Hailo-10H",
        """\
$ hailortcli scan
[HailoRT] [error] Hailo1X Devices are only supported in versions 5.0.0 and above
Hailo devices not found
""",
        ("10H|hailo1x", "5\\\\.|5\\.x|hailo-h10-all"),
        (),
    ),
    "s06": (
        "notes of a radar project, Hailo-8 M.2",
        """\
[HailoRT CLI] [error] CHECK failed - Power measurement not supported. Disable the power-measure option
[HailoRT CLI] [error] CHECK_SUCCESS failed with status=HAILO_INVALID_OPERATION(6)
""",
        ("power", "sensor|board|option|without"),
        ("float32",),
    ),
    "s07": (
        "notes of a balcony camera",
        """\
HailoNet Error: gst_pad_push failed with status = -1
""",
        ("pipeline|element|downstream|sink",),
        ("INVALID_ARGUMENT|UNINITIALIZED",),
    ),
    "s08": (
        "notes of a Frigate host",
        """\
[HailoRT] [error] CHECK failed - HEF file length does not match
[HailoRT] [error] CHECK_SUCCESS failed with status=HAILO_INVALID_HEF(26)
[HailoRT] [error] Failed parsing HEF file
""",
        ("HEF", "cut|incomplete|truncated|again|length", "fetch|download|release"),
        (),
    ),
    "s09": (
        "notes of hailo-apps' own skills",
        """\
[HailoRT] [error] Failed to create LLM with status HAILO_INVALID_HEF(26)
""",
        ("release|version", "HEF"),
        (),
    ),
    "s10": (
        "notes of a Frigate host, 4.17 and 4.20",
        """\
[HailoRT] [error] Failed to query driver info, errno 25
[HailoRT] [error] CHECK_SUCCESS failed with status=HAILO_DRIVER_FAIL(36)
""",
        ("driver", "release|version"),
        (),
    ),
    "s11": (
        "notes on Automotive Grade Linux",
        """\
[HailoRT] [error] CHECK failed - max_desc_page_size given 16384 is bigger than hw max desc page size 4096
[HailoRT] [error] CHECK_SUCCESS failed with status=HAILO_INTERNAL_FAILURE(8)
[HailoRT CLI] [error] Failed configure vdevice from hef
""",
        ("16384", "force_desc_page_size=4096"),
        (),
    ),
    "s12": (
        "system check of a home robot, Hailo-10H",
        """\
[HailoRT] [error] CHECK_SUCCESS failed with status=HAILO_CONNECTION_REFUSED(89)
hailo_platform.pyhailort.pyhailort.HailoRTException: libhailort failed with error: 89 (HAILO_CONNECTION_REFUSE\
D)
""",
        ("service|server", "hailort\\.service|restart"),
        (),
    ),
    "s13": (
        "https://community.hailo.ai/t/19218",
        """\
[  514.221] cma: cma_alloc: linux,cma: alloc failed, req-size: 256 pages, ret: -16
[HailoRT] [error] CHECK_SUCCESS failed with status=HAILO_OUT_OF_HOST_CMA_MEMORY(81)
""",
        ("contiguous|CMA", "cma=|free|close"),
        (),
    ),
    "s14": (
        "notes on 4-bit weights, DFC 3.3x",
        """\
Traceback (most recent call last):
  File "q.py", line 12, in <module>
    runner.optimize(calib)
  File "/venv/lib/python3.10/site-packages/hailo_sdk_client/runner/client_runner.py", line 2200, in optimize
    self._optimize(calib_data)
  File "/venv/lib/python3.10/site-packages/hailo_model_optimization/acceleras/utils/opt_utils.py", line 77, in\
 get_scale
    scale = span / (levels)
ZeroDivisionError: division by zero
""",
        ("optimi[sz]ation|quantiz", "calibration|precision|level"),
        (),
    ),
    "s15": (
        "notes after a kernel update, Ubuntu raspi",
        """\
$ hailortcli scan
Hailo devices not found
""",
        ("driver", "lspci|modprobe|dkms"),
        (),
    ),
    "u01": (
        "notes of a chat UI on Hailo-10H (multi-turn)",
        """\
[HailoRT] [error] CHECK failed - System role messages can only be provided on the first prompt
[HailoRT] [error] CHECK_SUCCESS failed with status=HAILO_INVALID_OPERATION(6)
""",
        ("system message", "first|clear"),
        (),
    ),
    "u02": (
        "notes on own LLM HEFs, hailortcli logs runtime",
        """\
[llm_inference_manager.cpp:31] [create] CHECK failed - Model doesnt have NG with name-suffix '__prefill'
[llm_server.cpp:201] [operator()] CHECK_SUCCESS failed with status=HAILO_INTERNAL_FAILURE(8)
""",
        ("__prefill", "network group|HEF|compil"),
        ("power off",),
    ),
    "u03": (
        "notes of a two-camera service",
        """\
[HailoRT] [error] CHECK_SUCCESS failed with status=HAILO_DEVICE_IN_USE(73)
visiond: model refused: HailoRT could not open /opt/yolov8n.hef: error 73 (HAILO_DEVICE_IN_USE)
""",
        ("in use|uses|holds|open", "group_id|share|stop|one VDevice|close"),
        (),
    ),
    "u04": (
        "ruvector ADR-167",
        """\
Traceback (most recent call last):
  File "compile.py", line 40, in <module>
    runner.optimize(calib)
  File "/venv/lib/python3.10/site-packages/hailo_sdk_client/runner/client_runner.py", line 2093, in optimize
  File "/venv/lib/python3.10/site-packages/hailo_model_optimization/algorithms/stats_collection.py", line 210,\
 in build
KeyError: 'minilm_encoder/input_layer1'
""",
        ("minilm_encoder/input_layer1", "calibration|input", "name|key"),
        (),
    ),
    "u05": (
        "ruvector ADR-167",
        """\
Traceback (most recent call last):
  File "/venv/lib/python3.10/site-packages/hailo_sdk_client/runner/client_runner.py", line 2093, in optimize
  File "/venv/lib/python3.10/site-packages/keras/src/saving/serialization_lib.py", line 800, in _retrieve_clas\
s_or_fn
TypeError: Could not locate class 'ElementwiseAddDirectOp'. Make sure custom classes are decorated with `@kera\
s.saving.register_keras_serializable()`.
""",
        ("ElementwiseAddDirectOp", "keras|tensorflow", "release|version|install"),
        (),
    ),
    "u06": (
        "notes on a plate reader, DFC 3.x",
        """\
pyparsing.ParseException: Expected end of text, found 'n'  (at char 0), (line:1, col:1)

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "/venv/lib/python3.10/site-packages/hailo_sdk_client/sdk_backend/script_parser/model_script_parser.py",\
 line 389, in parse_script
    raise BackendScriptParserException(f"Parsing failed at:\\n{e.markInputline()}")
hailo_sdk_client.sdk_backend.sdk_backend_exceptions.BackendScriptParserException: Parsing failed at:
>!<normalization([127.5,127.5,127.5],[127.5,127.5,127.5])
""",
        ("model script|\\.alls|script", "normalization\\(\\[127"),
        (),
    ),
    "u07": (
        "a bytetrack port, RTX 3070",
        """\
hailo_model_optimization.acceleras.utils.acceleras_exceptions.AccelerasResourceError: GPU memory has been exha\
usted. Please try to use Quantization-Aware Fine-Tuning with lower batch size or run on CPU.
""",
        ("GPU", "batch|CPU|CUDA_VISIBLE"),
        (),
    ),
    "u08": (
        "github.com/hailo-ai/hailo-apps, issue 140",
        """\
ninja: error: '/usr/lib/aarch64-linux-gnu/libgsthailometa.so.5.1.0', needed by 'cpp/libyolo_hailortpp_postproc\
ess.so', missing
""",
        ("libgsthailometa\\.so\\.5\\.1\\.0|TAPPAS", "tappas"),
        (),
    ),
    "u09": (
        "github.com/hailo-ai/hailo-rpi5-examples, issue 80",
        """\
Traceback (most recent call last):
  File "/home/guest/hailodfc/bin/hailomz", line 33, in <module>
    from hailo_model_zoo.main_driver import compile, evaluate, optimize, parse, profile
  File "/home/guest/hailo_model_zoo/hailo_model_zoo/core/infer/infer_factory.py", line 14, in <module>
ModuleNotFoundError: No module named 'hailo_platform'
""",
        ("Python binding", "HailoRT", "pip install|wheel|package"),
        (),
    ),
    "u10": (
        "github.com/hailo-ai/hailo-rpi5-examples, issue 63",
        """\
Could not load lib /home/pi/hailo-rpi5-examples/resources/libyolo_hailortpp_postprocess.so: cannot open shared\
 object file: No such file or directory
Cannot load symbol: /lib/aarch64-linux-gnu/gstreamer-1.0/libgsthailotools.so: undefined symbol: filter
Speicherzugriffsfehler
""",
        ("libyolo_hailortpp_postprocess\\.so", "install|compile|download|build"),
        (),
    ),
    "u11": (
        "github.com/hailo-ai/hailo-rpi5-examples, issue 3",
        """\
Error: gst-resource-error-quark: XVideo extension is not available (1), ../sys/xvimage/xvimagesink.c(1928): gs\
t_xv_image_sink_open (): /GstPipeline:pipeline0/GstFPSDisplaySink:hailo_display/GstXvImageSink:xvimagesink0
""",
        ("display|X server|screen|ssh|VNC", "sink"),
        (),
    ),
    "u12": (
        "notes on a convtas network",
        """\
hailo_sdk_common.hailo_nn.exceptions.UnsupportedModelError: Unsupported dimensions: layer convtas/conv12 (tran\
slated from /sep/PRelu) has shape [-1, 1, 1999, 262144]
""",
        ("PRelu", "C, 1, 1"),
        (),
    ),
}


@pytest.mark.parametrize("name", REPORTS)
def test_a_report_is_explained(name: str) -> None:
    _, log, words, never = REPORTS[name]
    report = explain_log(log.splitlines())
    first = " ".join((report.findings[0].cause, report.findings[0].fix, *report.end_nodes))
    assert all(re.search(word, first, re.IGNORECASE | re.DOTALL) for word in words), first
    said = " ".join(f"{finding.cause} {finding.fix}" for finding in report.findings)
    assert not any(re.search(word, said, re.IGNORECASE) for word in never), said
    assert (report.unexplained, report.exit_code) == ((), 0)


def test_an_exception_of_a_hailo_package_is_told_by_its_package() -> None:
    log = (
        "Traceback (most recent call last):",
        '  File "job.py", line 3, in <module>',
        '  File "/venv/hailo_model_optimization/flows/optimization_flow.py", line 9, in run',
        "WeirdNewError: nobody reported this at net/conv7",
    )
    (finding,) = explain_log(log).findings
    assert (finding.id, finding.stage, finding.layer, finding.confidence) == (
        "exception-optimise",
        "optimise",
        "net/conv7",
        "low",
    )
    assert "in run of hailo_model_optimization.flows.optimization_flow" in finding.cause


def test_a_general_row_follows_from_a_specific_one_of_its_stage() -> None:
    log = (
        "No successful assignments: net/concat4 errors:",
        "BackendAllocatorException: No place for net/concat4 at all",
    )
    (finding,) = explain_log(log).findings
    assert (finding.id, finding.consequences) == ("alloc-layer", (2,))


def test_a_choice_of_a_text_is_left_out_where_the_line_lacks_its_words() -> None:
    (bare,) = explain_log(["HEF format is not compatible with device"]).findings
    assert bare.cause == "the HEF was compiled for another chip"


def test_a_severity_word_before_a_bar_is_no_name_of_a_container() -> None:
    line = "ERROR | Group 'retrain' not found in config"  # github.com/hailo-ai/hailo-apps, issue 159
    assert explain_log([line]).unexplained == ((1, line),)


def test_the_source_of_a_raise_statement_is_no_error_of_its_own() -> None:
    log = (
        "Traceback (most recent call last):",
        '  File "job.py", line 3, in <module>',
        '    raise RuntimeError(f"status = HAILO_TIMEOUT(4) {why}")',
        "RuntimeError: nothing that a table knows",
    )
    report = explain_log(log)
    assert [finding.id for finding in report.findings] == ["traceback"]
    assert report.unexplained == ((4, log[3]),)


@pytest.mark.parametrize("prefix", ["web  | ", "[node-1] ", "Feb  3 04:05:06 host prog[7]: ", "[] [] "])
def test_what_other_programs_put_before_a_line_is_no_part_of_it(prefix: str) -> None:
    log = (f"{prefix}[HailoRT] [error] CHECK failed - the sky fell", f"{prefix}CHECK_SUCCESS failed with status=8")
    (finding,) = explain_log(log).findings
    assert finding.cause == 'HailoRT says: "the sky fell"; its status is 8 HAILO_INTERNAL_FAILURE'
