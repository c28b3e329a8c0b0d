"""ECS fields of PowerShell's channels: script blocks (4104), modules (4103) and the classic log (400 to 800)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial

import polars as pl

from hunt import schema
from hunt.ecs import arguments, users
from hunt.ecs.common import MESSAGE
from hunt.ecs.fields import Field, Fields, made
from hunt.ecs.sysmon_events import Event
from hunt.ecs.values import extension_of, folder_of, name_of, number, present, qualified, text

# event.action: the names of the events' tasks, which agents take.
OPERATIONAL: Mapping[int, Event] = {
    4103: Event(("process",), ("info",), ("Executing Pipeline",)),
    4104: Event(("process",), ("info",), ("Execute a Remote Command",)),
    4105: Event(("process",), ("start",), ("Starting Command",)),
    4106: Event(("process",), ("end",), ("Stopping Command",)),
}
CLASSIC: Mapping[int, Event] = {
    400: Event(("process",), ("start",), ("Engine Lifecycle",)),
    403: Event(("process",), ("end",), ("Engine Lifecycle",)),
    600: Event(("process",), ("info",), ("Provider Lifecycle",)),
    800: Event(("process",), ("info",), ("Pipeline Execution Details",)),
}

# By ECS name: the key in 4103's ContextInfo, and in the classic log's text. They are those of an English PowerShell.
_KEYS: Mapping[str, tuple[str, str]] = {
    "process.command_line": ("Host Application", "HostApplication"),
    "process.title": ("Host Name", "HostName"),
    "file.path": ("Script Name", "ScriptName"),
    "powershell.process.executable_version": ("Host Version", "HostVersion"),
    "powershell.engine.version": ("Engine Version", "EngineVersion"),
    "powershell.engine.new_state": ("", "NewEngineState"),
    "powershell.engine.previous_state": ("", "PreviousEngineState"),
    "powershell.provider.name": ("", "ProviderName"),
    "powershell.provider.new_state": ("", "NewProviderState"),
    "powershell.pipeline_id": ("Pipeline ID", "PipelineId"),
    "powershell.runspace_id": ("Runspace ID", "RunspaceId"),
    "powershell.id": ("Shell ID", ""),
    "powershell.command.name": ("Command Name", "CommandName"),
    "powershell.command.type": ("Command Type", "CommandType"),
    "powershell.command.path": ("Command Path", "CommandPath"),
    "powershell.command.value": ("", "CommandLine"),
}
_DETAILS = {400: 3, 403: 3, 600: 3, 800: 2}  # which of the unnamed Data holds them
_Value = Callable[..., pl.Expr]  # of columns


def operational(event_id: int) -> Fields:
    """Of Microsoft-Windows-PowerShell/Operational and PowerShellCore/Operational."""
    found: dict[str, Field] = {"user.id": made(text, "System.UserID")}
    if event_id == 4103:
        found.update(_told(("ContextInfo",), 0, lambda key: partial(_context, key), "Host ID", "User"))
    if event_id == 4104:
        found["powershell.file.script_block_text"] = made(text, "ScriptBlockText")
        found["powershell.file.script_block_id"] = made(text, "ScriptBlockId")
        found["powershell.sequence"] = made(number, "MessageNumber", type="number")
        found["powershell.total"] = made(number, "MessageTotal", type="number")
        found.update(_path(("Path",), text))
    return found


def classic(event_id: int) -> Fields:
    """Of Windows PowerShell."""
    which = _DETAILS.get(event_id)
    if which is None:
        return {}
    columns = (schema.DATA, MESSAGE)
    return dict(_told(columns, 1, lambda key: partial(_detail, which, key), "HostId", "UserId"))


def _told(
    columns: tuple[str, ...], side: int, of_key: Callable[[str], _Value], host: str, user: str
) -> Iterator[tuple[str, Field]]:
    for name, keys in _KEYS.items():
        if keys[side] and name != "file.path":
            yield name, made(of_key(keys[side]), *columns)
    yield from _path(columns, of_key(_KEYS["file.path"][side]))
    yield "process.entity_id", made(lambda *c: qualified(pl.col("host"), of_key(host)(*c)), *columns)
    yield from arguments.fields("process", *columns, line=of_key(_KEYS["process.command_line"][side]))
    yield "user.domain", made(lambda *c: users.domain_of(of_key(user)(*c)), *columns)
    yield "user.name", made(lambda *c: users.name_of(of_key(user)(*c)), *columns)


def _path(columns: tuple[str, ...], path: _Value) -> Iterator[tuple[str, Field]]:
    yield "file.path", made(path, *columns)
    yield "file.name", made(lambda *c: name_of(path(*c)), *columns)
    yield "file.directory", made(lambda *c: folder_of(path(*c)), *columns)
    yield "file.extension", made(lambda *c: extension_of(path(*c)), *columns)


def _context(key: str, column: str) -> pl.Expr:
    return present(pl.col(column).str.extract(rf"(?m)^[ \t]*{re.escape(key)} = (.*?)\s*$"))


def _detail(which: int, key: str, column: str, message: str) -> pl.Expr:
    """Some collectors keep the rendered message alone, which repeats the details."""
    told = pl.coalesce(pl.col(column).list.get(which - 1, null_on_oob=True), pl.col(message))
    return present(told.str.extract(rf"(?m)^[ \t]*{re.escape(key)}=(.*?)\s*$"))
