"""`skadvisor completion`: what a shell needs to complete commands and options."""

from __future__ import annotations

from dataclasses import replace

import click

from skadvisor.commands.answering import Wish, answer_options, give
from skadvisor.text.messages import _

SHELLS = {
    "bash": 'eval "$(skadvisor completion bash)"',
    "zsh": 'eval "$(skadvisor completion zsh)"',
    "fish": "skadvisor completion fish | source",
}


@click.command("completion")
@click.argument("shell", type=click.Choice(list(SHELLS)))
@answer_options(".sh", ".fish")
def completion_command(shell: str, wish: Wish) -> None:
    """Print what completes commands and options in a shell; for good, write the line that follows into its start file.

    bash: eval "$(skadvisor completion bash)". zsh: the same with zsh. fish: skadvisor completion fish | source.
    """
    from click.shell_completion import get_completion_class

    from skadvisor.commands.lines import lines_answer

    wish.check()
    made = get_completion_class(shell)
    assert made is not None, "click knows these shells"
    root = click.get_current_context().find_root().command
    text = made(root, {}, "skadvisor", "_SKADVISOR_COMPLETE").source()
    answer = lines_answer(
        _("Lines that complete commands in your shell"), shell, text, {"shell": shell}, (".sh", ".fish")
    )
    give(replace(answer, next=(SHELLS[shell],)), wish)
