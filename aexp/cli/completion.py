"""``aexp completion``."""

import click


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the completion script of a shell.

    \b
    Example:
      aexp completion bash >> ~/.bashrc
    """
    from click.shell_completion import get_completion_class

    from aexp.cli.commands import cli

    kind = get_completion_class(shell)
    assert kind is not None
    click.echo(kind(cli, {}, "aexp", "_AEXP_COMPLETE").source())
