"""``fsq-edge completion``: completion of verbs and options in a shell."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from fsq_edge_runtime.errors import InternalError

PROGRAM, VARIABLE = "fsq-edge", "_FSQ_EDGE_COMPLETE"  # click derives the variable from the name


@click.command(
    "completion",
    epilog="""\b
In ~/.bashrc:                    eval "$(fsq-edge completion bash)"
In ~/.zshrc:                     eval "$(fsq-edge completion zsh)"
In ~/.config/fish/config.fish:   fsq-edge completion fish | source""",
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(shell: str) -> None:
    """Print the script that completes verbs and options in SHELL."""
    from fsq_edge.cli.main import cli

    kind = get_completion_class(shell)
    if kind is None:
        raise InternalError(f"click has no completion for {shell}")
    made = kind(cli, {}, PROGRAM, VARIABLE)
    # Not made.source(): it starts a bash to ask for its version, which a minimal image may not have.
    click.echo(made.source_template % made.source_vars())
