"""What every HailoRT status code means in practice: its cause on a real machine and the line that fixes it.

Errors, ``doctor`` and ``explain`` all read this one table, so a code is never explained in two ways.

Source: the code numbers and names are those of the public ``hailort.h`` (MIT) up to 5.x; causes come from runs of the
4.23 and 5.2 bindings without a device and from public reports. None was provoked on silicon by this project.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Status:
    """One status code.

    Args:
        code: HailoRT's number, 0 to 97 in the releases known here.
        name: HailoRT's newest name for it; ``UNKNOWN`` for a code this table does not have.
        cause: what usually brings it about, one or two sentences.
        fix: what to do, commands included.
    """

    code: int
    name: str
    cause: str
    fix: str

    def __str__(self) -> str:
        """Return ``74 HAILO_OUT_OF_PHYSICAL_DEVICES: cause``."""
        return f"{self.code} {self.name}: {self.cause}"


_SAME_VERSION = (
    "bring driver, library, firmware and Python binding to one release (sudo apt update && sudo apt full-upgrade, with "
    "the package hailo-all on 8/8L, hailo-h10-all on 10H), then power the board off and on"
)
_RESTART = "close every program that uses the device, power the board off and on, and run: sudo dmesg | grep -i hailo"
_REPORT = "keep the lines of: sudo dmesg | grep -i hailo, and report them to Hailo with the library version"
_REBUILD = "compile the HEF again for this device, or fetch the bundle again, then run: fsq-edge hef inspect FILE"
_ETHERNET = "choose the id of a PCIe device, or check the network that leads to this one with: ip address"

# Codes that ask for a cause of their own: code -> (name, cause, fix).
_EXPLAINED: dict[int, tuple[str, str, str]] = {
    0: ("SUCCESS", "no error", "nothing to fix"),
    2: (
        "INVALID_ARGUMENT",
        "a call got a value it does not accept: an unknown stream name, a buffer that is not there, a bad option",
        "compare the names and shapes of the HEF with the bundle: fsq-edge hef inspect FILE --bundle B",
    ),
    3: (
        "OUT_OF_HOST_MEMORY",
        "the host has no memory left for the buffers of the network",
        "free memory or add swap (free -m shows it), and open fewer networks at once",
    ),
    4: (
        "TIMEOUT",
        "the device did not answer in time: overload, a stalled device, or firmware that hangs",
        "lower the load; if it repeats, power the board off and on (a reboot may leave the firmware as it is)",
    ),
    6: (
        "INVALID_OPERATION",
        "the call does not fit the state: a buffer of the wrong byte size, or a network that is not configured",
        "give C-contiguous float32 buffers of the exact size and configure the network again after a failed launch",
    ),
    7: (
        "NOT_IMPLEMENTED",
        "the old VStreams interface was called on a Hailo-10H, which has InferModel only",
        "use the InferModel interface in the program that failed, or update that program",
    ),
    8: (
        "INTERNAL_FAILURE",
        "a check inside the library failed; on hosts with 16 KiB pages its log says max_desc_page_size given 16384",
        "for that text: echo 'options hailo_pci force_desc_page_size=4096' | sudo tee /etc/modprobe.d/hailo_pci.conf "
        "(hailo1x_pci on 10H), sudo update-initramfs -u, and reboot; otherwise report it to Hailo "
        "with sudo dmesg | grep -i hailo",
    ),
    13: (
        "OPEN_FILE_FAILURE",
        "the file cannot be opened: it is not there or may not be read",
        "check the path and its permissions: ls -l FILE",
    ),
    14: (
        "FILE_OPERATION_FAILURE",
        "the file is too short to be read, or the path is a directory",
        "fetch the file again and check it: fsq-edge hef inspect FILE",
    ),
    15: (
        "UNSUPPORTED_CONTROL_PROTOCOL_VERSION",
        "the firmware speaks another protocol version than the library",
        _SAME_VERSION,
    ),
    16: (
        "UNSUPPORTED_FW_VERSION",
        "the firmware's major.minor differs from the library's: the device can be identified but not configured",
        "update the firmware with the library's package, then power the board off and on: a reboot may not reload it",
    ),
    18: (
        "FW_CONTROL_FAILURE",
        "the firmware refused a control request; boards without current monitoring answer power requests like this",
        "leave the request out; if other requests fail too, power the board off and on",
    ),
    26: (
        "INVALID_HEF",
        "the file is not a valid HEF, or, up to HailoRT 4.20, it was built for another architecture",
        _REBUILD,
    ),
    36: (
        "DRIVER_OPERATION_FAILED",
        "the kernel driver refused the operation: no permission on the device file (error 13) or the device was "
        "unplugged (ENODEV, EIO)",
        "sudo dmesg | grep -i hailo; for error 13 allow your user to open the device file (ls -l /dev/hailo*, groups)",
    ),
    48: (
        "UNSUPPORTED_OPCODE",
        "the firmware does not know this request: firmware and library are of different releases",
        _SAME_VERSION,
    ),
    61: (
        "NOT_FOUND",
        "a stream, network or device id with that name does not exist",
        "list the names with: fsq-edge hef inspect FILE",
    ),
    62: (
        "COMMUNICATION_CLOSED",
        "the other side is gone: the device reset, overheated or was unplugged, or the HailoRT service ended",
        "check temperature and power supply, then power the board off and on; restart hailort.service if you use it",
    ),
    63: (
        "STREAM_ABORT",
        "the stream was ended while frames were on their way, by a shutdown, a reset or heat protection",
        "open the device again; check its temperature with: fsq-edge doctor",
    ),
    64: (
        "DRIVER_NOT_INSTALLED",
        "the kernel driver is not loaded or no device file exists",
        "sudo modprobe hailo_pci (8/8L) or sudo modprobe hailo1x_pci (10H/15); if missing, install hailo-all or "
        "hailo-h10-all",
    ),
    69: (
        "NETWORK_GROUP_NOT_ACTIVATED",
        "frames were sent to a network that is not active, because another network is or the scheduler is off",
        "open the device with the ROUND_ROBIN scheduler in every program that shares it",
    ),
    73: (
        "DEVICE_IN_USE",
        "another process holds the device with another group id or outside the service",
        "find it with: sudo fuser -v /dev/hailo* /dev/h1x-*, end it, or give both programs group_id SHARED",
    ),
    74: (
        "OUT_OF_PHYSICAL_DEVICES",
        "no device is free, or none is present at all",
        "run: fsq-edge doctor; it tells a missing device (PCIe, driver) from one that another process holds",
    ),
    76: (
        "INVALID_DRIVER_VERSION",
        "the kernel driver's version is not exactly the library's x.y.z, often after a system update",
        _SAME_VERSION,
    ),
    82: (
        "QUEUE_IS_FULL",
        "more frames are under way than the queue takes",
        "wait for results before sending more; configure the network again, since a failed launch shuts it down",
    ),
    85: ("DRIVER_INVALID_RESPONSE", "the driver's answer has another form than the library expects", _SAME_VERSION),
    86: (
        "DRIVER_INVALID_IOCTL",
        "the driver does not know the library's request",
        _SAME_VERSION,
    ),
    87: (
        "DRIVER_TIMEOUT",
        "the driver waited for the device in vain; the device may hang",
        "power the board off and on; on a Raspberry Pi 5 check the supply and the ribbon cable",
    ),
    89: (
        "CONNECTION_REFUSED",
        "the HailoRT service or the device's own server does not answer",
        "sudo systemctl restart hailort.service, or open the device without the service",
    ),
    91: ("HEF_FILE_CORRUPTED", "the HEF's checksum does not match its content", _REBUILD),
    92: (
        "HEF_NOT_SUPPORTED",
        "the file is no HEF, or it was made by a newer compiler than this library knows",
        "install the HailoRT release that pairs with the compiler, or compile again (DFC 3.33 pairs with HailoRT 4.23)",
    ),
    93: (
        "HEF_NOT_COMPATIBLE_WITH_DEVICE",
        "the HEF was compiled for another architecture than the device has",
        "add a HEF for this device to the bundle: fsq-edge bundle add-hef B FILE",
    ),
    96: (
        "DEVICE_NOT_CONNECTED",
        "the device vanished from the bus: unplugged, reset, or never answered after boot",
        "power the board off and on, check the cable, and look for it with: lspci -d 1e60:",
    ),
    97: (
        "DEVICE_TEMPORARILY_UNAVAILABLE",
        "the device cannot take the request now",
        "try again after a moment; if it lasts, power the board off and on",
    ),
}

# Codes that share a cause: ({code: name}, cause, fix).
_GROUPED: tuple[tuple[dict[int, str], str, str], ...] = (
    (
        {1: "UNINITIALIZED", 11: "INVALID_LOGGER_LEVEL", 12: "CLOSE_FAILURE"}
        | {34: "EVENT_CREATE_FAIL", 35: "READ_EVENT_FAIL", 46: "MUTEX_INIT_FAIL", 58: "THREAD_ALREADY_ACTIVATED"}
        | {59: "THREAD_NOT_ACTIVATED", 60: "THREAD_NOT_JOINABLE", 68: "INVALID_PIPELINE"}
        | {51: "ANSI_TO_UTF16_CONVERSION_FAILED", 52: "UTF16_TO_ANSI_CONVERSION_FAILED"},
        "a failure inside the library that its caller cannot bring about on purpose",
        _REPORT,
    ),
    (
        {5: "INSUFFICIENT_BUFFER", 9: "DATA_ALIGNMENT_FAILURE", 10: "CHUNK_TOO_LARGE"}
        | {83: "DMA_MAPPING_ALREADY_EXISTS", 84: "CANT_MEET_BUFFER_REQUIREMENTS"},
        "a buffer has the wrong size or alignment, or is mapped twice",
        "give C-contiguous buffers of the size that fsq-edge hef inspect FILE shows, one request each at a time",
    ),
    (
        {17: "INVALID_CONTROL_RESPONSE", 43: "CONTROL_RESPONSE_MD5_MISMATCH", 44: "GET_CONTROL_RESPONSE_FAIL"}
        | {45: "GET_D2H_EVENT_MESSAGE_FAIL"},
        "a control message to or from the firmware was damaged or lost",
        _RESTART,
    ),
    (
        {19: "ETH_FAILURE", 20: "ETH_INTERFACE_NOT_FOUND", 21: "ETH_RECV_FAILURE", 22: "ETH_SEND_FAILURE"}
        | {49: "USER_MODE_RATE_LIMITER_NOT_SUPPORTED", 50: "RATE_LIMIT_MAXIMUM_BANDWIDTH_EXCEEDED"}
        | {53: "UNEXPECTED_INTERFACE_INFO_FAILURE", 54: "UNEXPECTED_ARP_TABLE_FAILURE", 55: "MAC_ADDRESS_NOT_FOUND"}
        | {56: "NO_IPV4_INTERFACES_FOUND", 66: "TRAFFIC_CONTROL_FAILURE"},
        "an Ethernet-attached device cannot be reached or its traffic be shaped",
        _ETHERNET,
    ),
    (
        {23: "INVALID_FIRMWARE", 37: "INVALID_FIRMWARE_MAGIC", 38: "INVALID_FIRMWARE_CODE_SIZE"}
        | {39: "INVALID_KEY_CERTIFICATE_SIZE", 40: "INVALID_CONTENT_CERTIFICATE_SIZE"}
        | {41: "MISMATCHING_FIRMWARE_BUFFER_SIZES", 42: "INVALID_FIRMWARE_CPU_ID", 67: "INVALID_SECOND_STAGE"},
        "the firmware file is damaged or belongs to another device",
        _SAME_VERSION,
    ),
    (
        {24: "INVALID_CONTEXT_COUNT", 94: "INVALID_HEF_USE"},
        "the HEF cannot be used in this way by this library",
        _REBUILD,
    ),
    (
        {25: "INVALID_FRAME", 80: "NMS_BURST_INVALID_DATA"},
        "part or all of the result is not valid data",
        "drop the frame; if it repeats, " + _RESTART,
    ),
    (
        {27: "PCIE_NOT_SUPPORTED_ON_PLATFORM", 79: "NOT_SUPPORTED", 65: "NOT_AVAILABLE"},
        "this device, board or build of the library does not offer the operation",
        "check the device and the library release with: fsq-edge doctor",
    ),
    (
        {28: "INTERRUPTED_BY_SIGNAL", 57: "SHUTDOWN_EVENT_SIGNALED", 88: "DRIVER_INTERRUPTED"}
        | {90: "DRIVER_WAIT_CANCELED", 95: "OPERATION_ABORTED"},
        "the operation was ended from outside: a signal, or a shutdown under way",
        "nothing to fix when the program was stopping; otherwise open the device again",
    ),
    (
        {29: "START_VDMA_CHANNEL_FAIL", 30: "SYNC_VDMA_BUFFER_FAIL", 31: "STOP_VDMA_CHANNEL_FAIL"}
        | {32: "CLOSE_VDMA_CHANNEL_FAIL", 33: "ATR_TABLES_CONF_VALIDATION_FAIL"},
        "a data transfer channel between host and device failed",
        _RESTART,
    ),
    (
        {47: "OUT_OF_DESCRIPTORS", 71: "OUT_OF_FW_MEMORY"},
        "the device has no room left for this network beside the others that are open",
        "close other programs on the device, or open fewer networks at once",
    ),
    (
        {81: "OUT_OF_HOST_CMA_MEMORY"},
        "the kernel's contiguous memory area is used up",
        "free it by closing programs, or enlarge it (cma= on the kernel command line; grep Cma /proc/meminfo)",
    ),
    (
        {70: "VSTREAM_PIPELINE_NOT_ACTIVATED", 72: "STREAM_NOT_ACTIVATED"},
        "a stream was used while its network was not active: several networks share the device without a scheduler, or "
        "it was used before it was started or after it was stopped",
        "open the device with scheduling_algorithm ROUND_ROBIN in every program that shares it, or activate the "
        "network group before its streams are used",
    ),
    (
        {75: "INVALID_DEVICE_ARCHITECTURE"},
        "the device is of another architecture than the call expects",
        "compare fsq-edge doctor with fsq-edge hef inspect FILE",
    ),
    (
        {77: "RPC_FAILED", 78: "INVALID_SERVICE_VERSION"},
        "the HailoRT service did not answer or is of another release than the library",
        _SAME_VERSION + "; then: sudo systemctl restart hailort.service",
    ),
)


def _build() -> dict[int, Status]:
    table = {code: Status(code, f"HAILO_{name}", cause, fix) for code, (name, cause, fix) in _EXPLAINED.items()}
    for names, cause, fix in _GROUPED:
        table |= {code: Status(code, f"HAILO_{name}", cause, fix) for code, name in names.items()}
    return dict(sorted(table.items()))


STATUS: dict[int, Status] = _build()
"""Every code of HailoRT 4.x and 5.x known here, by number."""


def describe(code: int) -> Status:
    """Return what a status code means; an unknown one comes back as such and never as a guess.

    Args:
        code: HailoRT's number.
    """
    known = STATUS.get(code)
    if known is not None:
        return known
    return Status(
        code,
        "UNKNOWN",
        f"HailoRT status {code} is not in this table (0 to {max(STATUS)}); it may be newer than this project",
        "read the library's own text: sudo dmesg | grep -i hailo, and the HailoRT release notes",
    )
