"""Every suite that ``make bench`` runs, the timed ones first: training heats a machine up."""

from __future__ import annotations

from typing import Final

from fsq_edge_benchmarks.suites.suite import Figure, Suite
from fsq_edge_runtime.errors import UsageError

OURS: Final = "contenders/Conv2d-FSQ (ours)"

SUITES: Final = (
    Suite(
        "decision",
        "Decision",
        "One hop pushed into a session to its decision returned, against the bare network in onnxruntime, in turns.",
        (
            Figure("decision / bare onnxruntime, median", "first/ratio/value", "x", at_most=2.0),
            Figure("decision, median", "first/ours/p50", "µs"),
            Figure("decision, p99", "first/ours/p99", "µs"),
            Figure("bare onnxruntime, median", "first/bare/p50", "µs"),
            Figure("two runs: the ratios differ by", "repeat_difference", "%", at_most=0.05),
            Figure("int8 / fp32 decision, median", "int8_over_fp32/value", "x"),
            Figure("the same on a CPU with int8 dot products", "int8_over_fp32_with_dot", "x", at_most=1.0),
            Figure("layers that int8 leaves in float", "int8_layers_in_float", at_most=0),
        ),
    ),
    Suite(
        "peers",
        "Peers",
        "A window of watch, raw samples to class, by what one would write or pick instead; each in turns with ours.",
        (
            Figure("eager PyTorch, loops over channels / ours", "peers/torch_loops/ratio/value", "x", at_least=4.0),
            Figure("MiniRocket / ours", "peers/mini_rocket/ratio/value", "x", at_least=10.0),
            Figure("random forest / ours", "peers/random_forest/ratio/value", "x"),
            Figure("plain onnxruntime and numpy / ours", "peers/plain_onnxruntime/ratio/value", "x"),
        ),
    ),
    Suite(
        "preprocessing",
        "Preprocessing",
        "Raw windows to frames, against a z-score of the same windows written plainly in numpy.",
        (
            Figure("one window, in a session / plain z-score", "one/stream_ratio/value", "x"),
            Figure("one window, in a session", "one/stream/p50", "µs"),
            Figure("batch, a window / plain z-score", "batch/ratio/value", "x"),
            Figure("batch, a window", "batch/window_us", "µs"),
            Figure("filling gaps: loop over np.interp / ours", "gaps/loop_over_ours/value", "x"),
        ),
    ),
    Suite(
        "scale",
        "Archives",
        "200 hours of six channels at 50 Hz scored from files, against push_many on samples in memory, in turns.",
        (
            Figure("one worker / push_many", "one/of_push_many", "x", at_least=0.8),
            Figure("two workers / twice push_many", "two/of_push_many", "x", at_least=0.8),
            Figure("two workers / one", "two/scaling", "x", at_least=1.7),
            Figure("one worker / push_many, by processor time", "one/of_push_many_processor", "x", at_least=0.8),
            Figure("two workers / push_many, by processor time", "two/of_push_many_processor", "x", at_least=0.8),
            Figure("recorded hours an hour, one worker", "one/rate"),
            Figure("largest process", "peak_mb", "MB", at_most=500.0),
        ),
    ),
    Suite(
        "streaming",
        "Streaming",
        "Sessions from the sensor's samples to decisions on the fixed network, with one stream and with many.",
        (
            Figure("decision / bare onnxruntime, median", "single/counted/ratio_p50/value", "x", at_most=2.0),
            Figure("decision / bare onnxruntime, p99", "single/counted/ratio_p99", "x", at_most=2.0),
            Figure("with timestamps, median", "single/timestamped/ratio_p50/value", "x", at_most=2.0),
            Figure("with timestamps, p99", "single/timestamped/ratio_p99", "x", at_most=2.0),
            Figure("beyond the network, median", "single/counted/added_us_p50", "µs"),
            Figure("1,000 streams / onnxruntime's best batches", "many/ratio", "x", at_least=0.5),
            Figure("1,000 streams, windows a second", "many/windows_per_s"),
            Figure("core at 100 Hz beyond the network", "cpu/beyond_network", "%", at_most=0.02),
        ),
    ),
    Suite(
        "personal_cost",
        "Personal heads, cost",
        "Decisions with an overlay on the fixed network, one stream and a thousand with an overlay each; and the fit.",
        (
            Figure("decision with an overlay / bare onnxruntime, median", "single/ratio_p50/value", "x", at_most=1.7),
            Figure("the same without one", "single/ratio_p50_without/value", "x"),
            Figure("features that nobody reads / a graph without", "features_output/value", "x"),
            Figure("an overlay adds to a decision", "single/added_us", "µs"),
            Figure("1,000 streams, 1,000 overlays / best batches", "many/ratio", "x", at_least=0.45),
            Figure("fit, processor time", "fit_ms", "ms", at_most=100.0),
        ),
    ),
    Suite(
        "networks",
        "Networks",
        "What a decision adds to its network, on the fixed network and on a small one, each in turns with it.",
        (
            Figure("fixed network: decision / bare onnxruntime, median", "fixed/ratio_p50/value", "x", at_most=1.35),
            Figure("fixed network: decision / bare onnxruntime, p99", "fixed/ratio_p99", "x", at_most=1.5),
            Figure("fixed network: beyond it, median", "fixed/added_us_p50", "µs", at_most=40.0),
            Figure("small network: decision / bare onnxruntime, median", "small/ratio_p50/value", "x", at_most=1.9),
            Figure("small network: decision / bare onnxruntime, p99", "small/ratio_p99", "x", at_most=1.5),
            Figure("small network: beyond it, median", "small/added_us_p50", "µs", at_most=40.0),
        ),
    ),
    Suite(
        "watching",
        "Watching",
        "What drift, metrics and the live page, looked at from another process, cost a paced run; in turns with none.",
        (
            Figure(
                "all of it: decision / decision that nothing watches, median",
                "single/all/ratio_p50/value",
                "x",
                at_most=1.05,
            ),
            Figure("drift: decision / decision without, mean", "drift/mean", "x", at_most=1.1),
            Figure("resident memory after an hour of ten decisions a second", "memory_mb", "MB", at_most=60.0),
            Figure("engine time for 200 streams, watched / not", "many/ratio/value", "x", at_most=1.05),
        ),
    ),
    Suite(
        "receivers",
        "Receivers",
        "A paced decision whose record goes to a dead, silent or full receiver, in turns with one that goes nowhere.",
        (
            Figure(
                "worst receiver: decision / decision that goes nowhere, median", "worst/ratio_p50", "x", at_most=1.1
            ),
            Figure("worst receiver: decision / decision that goes nowhere, p99", "worst/ratio_p99", "x", at_most=1.5),
            Figure("worst receiver: memory that 50,000 records leave", "worst/memory_mb", "MB", at_most=20.0),
        ),
    ),
    Suite(
        "gateway",
        "Gateway",
        "`run --workers`: 128 streams through pipes to one and to two workers, at full speed, without their start.",
        (
            Figure("two workers / one", "ratio", "x", at_least=1.8),
            Figure("two workers, windows a second", "windows_per_s/2"),
        ),
    ),
    Suite(
        "overload",
        "Overload",
        "`run --workers 2` below and beyond its capacity: sensors of 50 Hz, a network too heavy for 4,096 of them.",
        (
            Figure("windows answered at 80 % of the capacity", "loads/80%/answered", "%", at_least=1.0),
            Figure("windows answered at 150 %, of which 67 % can be", "loads/150%/answered", "%", at_least=0.55),
            Figure("... one stream in twenty has fewer than", "loads/150%/p5", "%"),
            Figure("... one stream in twenty has more than", "loads/150%/p95", "%"),
            Figure("capacity, windows a second", "capacity"),
        ),
        minutes=10.0,
    ),
    Suite(
        "soak",
        "Soak",
        "A day of one sensor of 100 Hz with every fault a day has, at full speed.",
        (
            Figure("windows lost or doubled", "fault_count", at_most=0),
            Figure("memory grown after the warm-up", "growth_mb", "MB", at_most=2.0),
            Figure("descriptors grown", "descriptors_grown", at_most=0),
            Figure("times real time", "speed", "x"),
        ),
        timed=False,
    ),
    Suite(
        "checker",
        "Checker",
        "Compatibility of a ResNet-50 with its weights (102 MB), and of graphs with 1,000 and 10,000 nodes.",
        (
            Figure("first check in a process, after its imports", "first_check_s", "s", at_most=1.5),
            Figure("`fsq-edge check`, the whole process", "command_s", "s", at_most=4.0),
            Figure("10,000 nodes", "check_10000_nodes_s", "s", at_most=10.0),
            Figure("time of a node: 10,000 nodes / 1,000 nodes", "per_node_ratio", "x"),
        ),
    ),
    Suite(
        "hef",
        "HEF",
        "Reading a HEF of 800 kB without HailoRT, against hashing its bytes.",
        (
            Figure("inspect, median", "inspect_ms_p50", "ms"),
            Figure("inspect / read and hash", "ratio", "x"),
        ),
    ),
    Suite(
        "bundle",
        "Bundle",
        "Verifying and installing a bundle of 5 MB, against SHA-256 of its bytes.",
        (
            Figure("verify, median", "verify_ms_p50", "ms"),
            Figure("verify / SHA-256", "ratio", "x"),
            Figure("install with self-test and fsync, median", "install_ms_p50", "ms"),
        ),
    ),
    Suite(
        "hailo_overhead",
        "Hailo backend",
        "What our code adds around a device, on a stand-in: not a measurement of Hailo silicon.",
        (
            Figure("added / hand-off to a thread and back", "ratio", "x", at_most=4.0),
            Figure("library in a process of its own / in this one", "isolation_ratio", "x", at_most=2.5),
        ),
    ),
    Suite(
        "quality",
        "Quality control",
        "Families of quality measurements on 10,000 windows, against a z-score of the same array.",
        (Figure("slowest family / z-score", "worst_ratio", "x", at_most=1.5),),
    ),
    Suite(
        "importing",
        "Import",
        "`data import` of a CSV of 1 GB, against pandas' `read_csv` of it in turns, and of a cwa file of four hours.",
        (
            Figure("import / `read_csv`, wall", "csv/wall_ratio", "x", at_most=1.5),
            Figure("import / `read_csv`, CPU time", "csv/cpu_ratio", "x"),
            Figure("resident memory", "csv/most_mb", "MB", at_most=300.0),
            Figure("cwa of four hours", "cwa/seconds", "s", at_most=3.0),
        ),
    ),
    Suite(
        "startup",
        "Start-up",
        "Fresh processes: imports, and `fsq-edge run` until its first decision, the window being full.",
        (
            Figure("`import fsq_edge_runtime` / `import numpy, pydantic`", "import_ratio", "x", at_most=1.3),
            Figure("`Bundle` and `Session` / numpy and a pydantic model", "used_ratio", "x"),
            Figure("first decision", "cold/first_decision_s", "s"),
            Figure("CPU time of that process to its end", "cold/process_cpu_s", "s"),
            Figure("... beyond the imports of numpy and onnxruntime", "cold/added_s", "s", at_most=1.0),
        ),
    ),
    Suite(
        "calibration",
        "Calibration",
        "Choosing 1,024 of 100,000 memory-mapped windows.",
        (
            Figure("random", "seconds/random", "s", at_most=30.0),
            Figure("coverage, the slowest method", "seconds/coverage", "s", at_most=30.0),
            Figure("resident memory", "peak_mb", "MB", at_most=1024.0),
        ),
    ),
    Suite(
        "training",
        "Training",
        "One epoch on watch, against a bare loop of the same steps on tensors in memory.",
        (
            Figure("epoch / bare loop", "ratio", "x", at_most=1.3),
            Figure("epoch", "epoch_s", "s"),
        ),
    ),
    Suite(
        "demo_seeds",
        "Demo",
        "The demo on watch with subjects 5 and 6 held out, three seeds.",
        (
            Figure("accuracy, mean of the seeds", "accuracy_mean", "%", at_least=0.93),
            Figure("accuracy, worst seed", "accuracy_min", "%", at_least=0.9),
        ),
        minutes=60.0,
        timed=False,
    ),
    Suite(
        "events",
        "Events",
        "Tuned decisions against raw argmax on held-out subjects of watch, stitched to streams; five folds, two seeds.",
        (
            Figure("false events an hour, raw argmax", "pooled/raw_false_per_hour"),
            Figure("false events an hour, tuned", "pooled/tuned_false_per_hour"),
            Figure("tuned / raw, worst fold and seed", "pooled/worst_false_ratio", "x", at_most=0.5),
            Figure("events missed, raw argmax", "pooled/raw_missed"),
            Figure("events missed, tuned", "pooled/tuned_missed"),
            Figure("added delay, worst median", "pooled/worst_added_delay_median_s", "s", at_most=0.6),
        ),
        minutes=180.0,
        timed=False,
    ),
    Suite(
        "drift",
        "Drift",
        "Alarms on a clean day of watch, and minutes from each of eight computed faults to the first alarm.",
        (
            Figure("alarms in 24 clean hours", "clean/alarms", at_most=1),
            Figure("faults found within two hours, of eight", "faults_found"),
            Figure("slowest of them", "slowest_minutes", "min"),
        ),
        minutes=60.0,
        timed=False,
    ),
    Suite(
        "window_labels",
        "Mixed windows",
        "Training without and with windows of two labels, by events of raw argmax; synthetic quadruped, two folds.",
        (
            Figure("false events an hour, pure", "rules/pure/raw/false_per_hour"),
            Figure("false events an hour, majority", "rules/majority/raw/false_per_hour"),
            Figure("false events an hour, soft", "rules/soft/raw/false_per_hour"),
            Figure("events missed, pure", "rules/pure/raw/missed"),
            Figure("events missed, majority", "rules/majority/raw/missed"),
            Figure("events missed, soft", "rules/soft/raw/missed"),
        ),
        minutes=60.0,
        timed=False,
    ),
    Suite(
        "int8",
        "int8 preview",
        "Every subject of watch held out once, three seeds; onnxruntime on a CPU, not a device.",
        (
            Figure("macro-F1 lost", "mean/drop_points", "points", at_most=0.5),
            Figure("codes that flip", "mean/code_flip_rate", "%", at_most=0.035),
            Figure("labels that change", "mean/label_change_rate", "%", at_most=0.01),
            Figure("codes that flip, 16-bit output", "mean/code_flip_rate_16bit", "%", at_most=0.025),
            Figure("labels that change, 16-bit output", "mean/label_change_rate_16bit", "%", at_most=0.01),
        ),
        minutes=180.0,
        timed=False,
    ),
    Suite(
        "personal",
        "Personal heads",
        "Every subject of watch held out once, then personalised with seconds of each recording; three seeds.",
        (
            Figure("macro-F1 with 5 s a recording", "rows/5 s/personal/mean", "%", at_least=0.945),
            Figure("macro-F1 with 10 s a recording", "rows/10 s/personal/mean", "%", at_least=0.96),
            Figure("... the worst subject", "rows/10 s/personal/worst_subject", "%", at_least=0.9),
            Figure("macro-F1 with 20 s a recording", "rows/20 s/personal/mean", "%"),
            Figure("macro-F1 without an overlay, same windows", "rows/10 s/base/mean", "%"),
            Figure("fitted on one wrist, lost on the other", "other_wrist_loss", at_most=0.01),
            Figure("int8 preview / float, largest difference", "int8_difference", at_most=0.01),
        ),
        minutes=120.0,
        timed=False,
    ),
    Suite(
        "personal_new_class",
        "New classes",
        "Each class of watch left out of training, then enrolled by a held-out wearer; two seeds.",
        (
            Figure("windows of the new class that are told", "mean/recall", "%"),
            Figure("... of the class that does worst", "worst_recall", "%"),
            Figure("accuracy on the other classes, before", "mean/known_before", "%"),
            Figure("accuracy on the other classes, after", "mean/known_after", "%"),
            Figure("false alarms of the new class an hour", "mean/false_alarms_per_hour"),
        ),
        minutes=120.0,
        timed=False,
    ),
    Suite(
        "accuracy",
        "Accuracy",
        "Every subject of watch held out once; ours with three seeds.",
        (
            Figure("Conv2d-FSQ (ours), macro-F1", f"{OURS}/macro_f1", "%", at_least=0.9),
            Figure("MiniRocket, macro-F1", "contenders/MiniRocket/macro_f1", "%"),
            Figure("MultiRocket-Hydra, macro-F1", "contenders/MultiRocket-Hydra/macro_f1", "%"),
            Figure("random forest, macro-F1", "contenders/random forest/macro_f1", "%"),
        ),
        minutes=240.0,
        timed=False,
    ),
)


def suite_named(name: str) -> Suite:
    """Return the suite of this name.

    Raises:
        UsageError: there is none.
    """
    for suite in SUITES:
        if suite.name == name:
            return suite
    raise UsageError(f"no suite {name!r}", hint="there are " + ", ".join(suite.name for suite in SUITES))
