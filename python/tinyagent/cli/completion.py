"""``tinyagent completion SHELL``: a script that lets a shell complete commands and options."""

from __future__ import annotations

from typing import Annotated, Literal

from cyclopts import Parameter

from tinyagent.cli import application
from tinyagent.cli.answers import Completion
from tinyagent.cli.options import COMMON, Common
from tinyagent.cli.render import answer

Shell = Literal["bash", "zsh", "fish", "powershell"]


def run(
    shell: Annotated[
        Shell, Parameter(name="SHELL", help="then, in bash: . <(tinyagent completion bash)")
    ],
    /,
    *,
    common: Common = COMMON,
) -> int:
    """Print the script, which knows the commands of this release, and return 0."""
    script = application().generate_completion(prog_name="tinyagent", shell=shell)
    if common.json:
        answer(Completion(shell=shell, script=script))
    else:
        print(script)
    return 0
