"""The command line. Results go to stdout, everything else to stderr; HuntErrors become one line here and only here.

The commands stand in hunt/commands, a file each.
"""

from __future__ import annotations

import gc
import importlib
import os
import pkgutil
import sys
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from typing import Any

import click

import hunt.commands
from hunt import __version__, legible, pulse
from hunt.commands._ends import BAD_REQUEST, INTERRUPTED, PIPE_CLOSED, drop_stdout
from hunt.errors import HuntError
from hunt.options import say

# Commands whose reading may be ended by what they read.
_WATCHED = frozenset({"run", "eql", "frame", "ingest", "coverage", "lineage", "show-finding", "timeline", "tree"})

_COMPLETE = "_HUNT_COMPLETE"  # what click asks for completions by


@cache
def commands() -> dict[str, str]:
    """The commands' names and those of their modules, found without importing them."""
    modules = (found.name for found in pkgutil.iter_modules(hunt.commands.__path__))
    return {name.replace("_", "-"): name for name in sorted(modules) if not name.startswith("_")}


class _Group(click.Group):
    """Turns what can't be served into one line and exit code 2; our own bugs stay tracebacks."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(commands())

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        module = commands().get(cmd_name)
        if module is None:
            return None
        command: click.Command = getattr(importlib.import_module(f"hunt.commands.{module}"), module)
        return command

    def main(self, args: Sequence[str] | None = None, *rest: Any, **named: Any) -> Any:
        _open_missing()
        watched = args is None and sys.argv[1:2] and sys.argv[1] in _WATCHED  # as a command, not as a function
        if watched:
            from hunt import supervisor

            supervisor.watch()
            gc.disable()  # what is imported stays: to look through it again and again takes a tenth of a short run
            os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # no linear algebra here: threads for it cost as much
        if _COMPLETE in os.environ:
            from hunt import shells

            shells.register()
        try:
            try:
                return super().main(args, *rest, **named)
            finally:
                pulse.finish()
        except SystemExit as ended:
            if watched and isinstance(ended.code, int):
                with suppress(OSError):  # what can't be printed is told as Python tells it
                    supervisor.leave(ended.code)
            raise

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except HuntError as error:
            say(f"hunt: {error}")
            ctx.exit(BAD_REQUEST)
        except KeyboardInterrupt:
            say("hunt: interrupted")
            ctx.exit(INTERRUPTED)
        except BrokenPipeError:  # `hunt ... | head`: whoever read has seen enough
            drop_stdout()
            ctx.exit(PIPE_CLOSED)


def _open_missing() -> None:
    """Streams that were closed by who started us (`hunt ... >&-`) lead nowhere.

    Else the next file that is opened would get their number, and all that is printed.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115, PTH123 - as long as we live


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="evtx-hunt")
def main() -> None:
    """Hunt offline in Windows event logs: which script hosts started Outlook, and whatever else the queries ask.

    Exit codes: 0 done, 1 findings at or above --fail-on, 2 bad request, 3 part of the evidence was unreadable,
    130 interrupted.
    """
    for stream in (sys.stdout, sys.stderr):  # a narrow code page shows \\u4e2d rather than failing
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure:
            reconfigure(errors=legible.ERRORS)


if __name__ == "__main__":
    main()
