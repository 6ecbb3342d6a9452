"""The root command: lazy verbs, exit codes, one line and a hint for every error."""

from __future__ import annotations

import importlib
import sys
import traceback
from collections.abc import Sequence

import click

from fsq_edge import __version__
from fsq_edge_runtime.errors import EXIT_INTERNAL, EXIT_INTERRUPTED, EXIT_USAGE, FsqEdgeError

# verb -> (module that defines a click command named `command`, one line for --help)
VERBS: dict[str, tuple[str, str]] = {
    "check": ("fsq_edge.cli.check", "Will the Hailo compiler take this network, and where to cut"),
}


class LazyGroup(click.Group):
    """A group whose verbs are imported when called, so ``--help`` stays quick and needs no extra."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the verbs in the order of the chain, as written in ``VERBS``."""
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one verb's module and return its command."""
        if cmd_name not in VERBS:
            return None
        module = importlib.import_module(VERBS[cmd_name][0])
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the verb table from ``VERBS`` without importing any of them."""
        with formatter.section("Verbs"):
            formatter.write_dl([(verb, text) for verb, (_, text) in VERBS.items()])


@click.command(
    cls=LazyGroup,
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
    except FsqEdgeError as error:
        _report(error.message, error.hint)
        return error.exit_code
    except click.UsageError as error:
        where = error.ctx.command_path if error.ctx else "fsq-edge"
        _report(error.format_message(), f"{where} --help")
        return EXIT_USAGE
    except click.ClickException as error:
        _report(error.format_message(), "")
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        _report("interrupted", "")
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        sys.stderr.close()
        return 0
    except Exception as error:  # noqa: BLE001 - the last boundary: a defect must end as one code, with its trace
        traceback.print_exc()
        _report(f"internal error: {type(error).__name__}: {error}", "please report this with the lines above")
        return EXIT_INTERNAL
    return int(result or 0)


def _report(message: str, hint: str) -> None:
    click.echo(f"error: {message}", err=True)
    if hint:
        click.echo(f"hint: {hint}", err=True)


def main() -> None:
    """Console entry point."""
    sys.exit(run())
