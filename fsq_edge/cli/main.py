"""The root command: lazy verbs, exit codes, one line and a hint for every error."""

from __future__ import annotations

import contextlib
import errno
import importlib
import importlib.util
import io
import os
import re
import sys
import traceback
from collections.abc import Sequence

import click
from click.shell_completion import CompletionItem

from fsq_edge import __version__
from fsq_edge_runtime.errors import (
    EXIT_INTERNAL,
    EXIT_INTERRUPTED,
    EXIT_UNAVAILABLE,
    EXIT_USAGE,
    FsqEdgeError,
    UnavailableError,
    did_you_mean,
)

# What a disk, a quota or a broken device answers; the error of a standard stream has no file name.
_CANNOT_WRITE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO}
_WHOLE = f"on a workstation: pip install 'fsq-edge[all]=={__version__}'"
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]+")
# The headings of --help, in the order in which a project meets them, with the line of each verb. The module
# ``fsq_edge.cli.VERB`` defines a click command named ``command``.
GROUPS: dict[str, dict[str, str]] = {
    "Begin": {
        "init": "a commented project folder from which train to run work",
        "demo": "the whole chain on real data, with a report",
        "docs": "the pages that come with the package, read and searched",
    },
    "Data": {
        "data": "import, label, inspect and quality-check recordings",
    },
    "Train": {
        "train": "train a Conv2d-FSQ classifier",
        "evaluate": "score a run on its held-out subjects",
        "sweep": "search training settings, on one machine or many",
    },
    "Deploy": {
        "export": "graphs, host tail and preprocessing of a run",
        "check": "will Hailo's compiler take this ONNX file, and where to cut",
        "calibrate": "make and audit a calibration set",
        "quantize": "int8 preview of the device graph",
        "parity": "torch to HEF: where do they part",
        "preprocess": "describe what a network takes that was trained elsewhere",
        "compile": "drive Hailo's compiler, or write all it needs",
        "hef": "read a HEF without HailoRT",
        "bundle": "build, verify, inspect and install the deployment package",
        "tune": "fit the decision settings on recordings",
        "personalize": "make a bundle one wearer's own, from minutes of motion",
    },
    "Run": {
        "run": "stream a source through a bundle",
        "score": "score an archive of recordings, on this machine or a cluster",
        "metrics": "what run says to Prometheus; a Grafana dashboard and alert rules",
        "service": "a stream as a service of systemd",
    },
    "Look": {
        "budget": "how long each behaviour lasted, from the decisions of run",
        "alerts": "the alerts that rules would have raised on the log of a run",
        "bench": "latency, throughput and stages, with a baseline gate",
        "picture": "a report as a PNG picture",
        "explain": "a compiler or HailoRT log in plain words",
        "doctor": "what is wrong on this machine, and the line that fixes it",
    },
    "Around": {
        "schema": "JSON Schemas of the files that are read and written",
        "completion": "completion of verbs and options in bash, zsh or fish",
        "wheelhouse": "a folder from which a device installs without a network",
    },
}
BEGIN = "Begin with `fsq-edge init my-project`, or look at `fsq-edge demo`."
BEGIN_ON_DEVICE = "Begin with `fsq-edge doctor`, then `fsq-edge run --help`. This is the device's part of the package."
# verb -> (module, line)
VERBS: dict[str, tuple[str, str]] = {
    verb: (f"fsq_edge.cli.{verb}", line) for verbs in GROUPS.values() for verb, line in verbs.items()
}


class LazyGroup(click.Group):
    """A group whose verbs are imported when called, so ``--help`` stays quick and needs no extra."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the verbs in the order of the headings."""
        return [verb for verbs in grouped_verbs().values() for verb in verbs]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one verb's module and return its command."""
        if cmd_name not in VERBS:
            return None
        if cmd_name not in self.list_commands(ctx):
            raise UnavailableError(f"this is the device's part of fsq-edge, without `{cmd_name}`", hint=_WHOLE)
        module = importlib.import_module(VERBS[cmd_name][0])
        command: click.Command = module.command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Refuse a verb that does not exist with the verb that was meant."""
        verbs = self.list_commands(ctx)
        if args and args[0] not in VERBS and not args[0].startswith("-") and not ctx.resilient_parsing:
            meant = did_you_mean(args[0], verbs)
            ctx.fail(f"there is no verb '{args[0]}'" + (f"; {meant}" if meant else ""))
        return super().resolve_command(ctx, args)

    def format_help_text(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write what the program is for, and where to begin with the verbs that are there."""
        formatter.write_paragraph()
        with formatter.indentation():
            formatter.write_text(f"{self.help}\n\n{BEGIN if has_verb('init') else BEGIN_ON_DEVICE}")

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the verbs under their headings without importing any of them."""
        widest = max(map(len, VERBS))
        for heading, verbs in grouped_verbs().items():
            with formatter.section(heading):
                formatter.write_dl([(verb.ljust(widest), VERBS[verb][1]) for verb in verbs])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete verbs with their lines of help, without importing any of them."""
        verbs = [verb for verb in self.list_commands(ctx) if verb.startswith(incomplete)]
        found = [CompletionItem(verb, help=VERBS[verb][1]) for verb in verbs]
        return [*found, *click.Command.shell_complete(self, ctx, incomplete)]


def has_verb(verb: str) -> bool:
    """Whether this installation has a verb: the device's wheel leaves out those of a workstation."""
    return importlib.util.find_spec(VERBS[verb][0]) is not None


def grouped_verbs() -> dict[str, list[str]]:
    """Return heading -> verbs that this installation has."""
    there = [verb for verb in VERBS if has_verb(verb)]
    groups = {heading: [verb for verb in verbs if verb in there] for heading, verbs in GROUPS.items()}
    return {heading: verbs for heading, verbs in groups.items() if verbs}


@click.command(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 good, 1 and 2 a verb's negative answers, 64 usage, 65 bad data, 66 missing input, "
    "69 unavailable, 70 internal error, 130 interrupted.",
)
@click.version_option(__version__, prog_name="fsq-edge")
def cli() -> None:
    """From IMU recordings to a verified stream on a Hailo device."""


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code (never raises, never prints a traceback for a user's mistake).

    Args:
        arguments: the words after the program's name; ``None`` takes ``sys.argv``.
    """
    try:
        result = cli.main(args=None if arguments is None else list(arguments), standalone_mode=False)
        sys.stdout.flush()  # a full disk or a closed pipe shows here, not when the interpreter ends
    except FsqEdgeError as error:
        _report(error.message, error.hint)
        return error.exit_code
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        return EXIT_USAGE
    except click.UsageError as error:
        where = error.ctx.command_path.strip() if error.ctx else "fsq-edge"
        _report(error.format_message(), f"{where} --help")
        return EXIT_USAGE
    except click.ClickException as error:
        _report(error.format_message(), "")
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        _report("interrupted", "")
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        _drop_output()
        return 0
    except SystemExit as end:
        # Click ends so where the reader of standard output has gone (`run ... | head -1`), which is no failure.
        if not (isinstance(end.__context__, OSError) and end.__context__.errno == errno.EPIPE):
            raise
        _drop_output()
        return 0
    except Exception as error:  # noqa: BLE001 - the last boundary: a defect must end as one code, with its trace
        if isinstance(error, OSError) and error.filename is not None:
            _report(f"{error.filename}: {error.strerror}", "check the path, its owner and the free space")
            return EXIT_UNAVAILABLE
        if isinstance(error, OSError) and error.errno in _CANNOT_WRITE:
            _report(f"cannot write the output: {error.strerror}", "check the free space where the output goes")
            _drop_output()
            return EXIT_UNAVAILABLE
        if isinstance(error, ModuleNotFoundError) and (error.name or "").startswith("fsq_edge"):
            _report(f"this is the device's part of fsq-edge, without what this needs ({error.name})", _WHOLE)
            return EXIT_UNAVAILABLE
        traceback.print_exc()
        _report(f"internal error: {type(error).__name__}: {error}", "please report this with the lines above")
        return EXIT_INTERNAL
    return int(result or 0)


def _drop_output() -> None:
    """Send what standard output still holds to nowhere, so that the interpreter's last flush does not fail."""
    with contextlib.suppress(OSError, ValueError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)


def _replace_unprintable() -> None:
    """Print a character that the terminal's encoding lacks as an escape, in place of ending with an error."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _report(message: str, hint: str) -> None:
    # Messages quote names from files: whatever they hold, this stays one line and moves no cursor.
    click.echo(f"error: {_CONTROL.sub(' ', message)}", err=True)
    if hint:
        click.echo(f"hint: {_CONTROL.sub(' ', hint)}", err=True)


def main() -> None:
    """Console entry point."""
    # To look for plug-ins, pydantic reads the metadata of every installed package: 9 to 14 ms of each start.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "1")
    _replace_unprintable()
    sys.exit(run())
