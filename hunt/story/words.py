"""An event in one line of text: what an analyst wants to know of it first. The rest stands in its fields."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

Fields = Mapping[str, Any]

_LONGEST = 400  # characters of a line

# "4624(S): An account was successfully logged on", Microsoft.
_LOGON_TYPES = {
    0: "system",
    2: "interactive",
    3: "network",
    4: "batch",
    5: "service",
    7: "unlock",
    8: "network, clear text",
    9: "new credentials",
    10: "remote interactive",
    11: "cached interactive",
    12: "cached remote interactive",
    13: "cached unlock",
}


def line(step: str, event_id: int, fields: str) -> str:
    """What an event of a step says; as it is in the evidence, so not yet safe to print."""
    known = json.loads(fields)
    return short(_WORDS.get((step, event_id), _anything)(known))


def short(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}… ({len(text)} characters)"


def _said(fields: Fields, name: str) -> str:
    value = fields.get(name)
    return "" if value is None or value == "-" else str(value)


def _connection(fields: Fields) -> str:
    called = _said(fields, "Initiated").lower() != "false"
    there, here = ("Destination", "Source") if called else ("Source", "Destination")
    port = _said(fields, "DestinationPort")
    name = _said(fields, f"{there}Hostname")
    place = f"{_said(fields, f'{there}Ip') or '?'}{f' ({name})' if name else ''}"
    port = " ".join(part for part in (port or "?", _said(fields, "Protocol")) if part)
    if called:
        return f"connected to {place} port {port}"
    return f"{place} connected to its port {port} at {_said(fields, f'{here}Ip') or '?'}"


def _query(fields: Fields) -> str:
    status, results = _said(fields, "QueryStatus"), _said(fields, "QueryResults")
    failed = f" (status {status})" if status not in ("", "0") else ""
    return f"asked for {_said(fields, 'QueryName') or '?'}: {results or 'no answer'}{failed}"


def _file(fields: Fields) -> str:
    return f"wrote {_said(fields, 'TargetFilename') or '?'}"


def _script(fields: Fields) -> str:
    parts = _said(fields, "parts")
    path = _said(fields, "Path")
    notes = [f"from {path}"] * bool(path) + [parts] * bool(parts)
    text = " ".join(_said(fields, "ScriptBlockText").split())
    about = f" ({'; '.join(notes)})" if notes else ""
    return f"script{about}: {text or 'without text'}"


_ENGINE = ("ProviderName", "HostName", "EngineVersion", "HostApplication")


def _engine(fields: Fields) -> str:
    said = "\n".join(str(text) for text in fields.get("Data") or ())
    # Not `^\s*`: it crosses lines, and takes the square of their number.
    known = dict(re.findall(rf"(?m)^[ \t]*({'|'.join(_ENGINE)})=(.*?)\r?$", said))
    told = (f"{name} {known[name]}" for name in _ENGINE if known.get(name))
    return f"PowerShell: {', '.join(told) or 'an engine or provider started'}"


def _logon(fields: Fields) -> str:
    kind = fields.get("LogonType")
    name = _LOGON_TYPES.get(kind, "unknown") if isinstance(kind, int) else "unknown"
    user = "\\".join(part for part in (_said(fields, "TargetDomainName"), _said(fields, "TargetUserName")) if part)
    address, station = _said(fields, "IpAddress"), _said(fields, "WorkstationName")
    source = f" from {address or station}" if address or station else ", no source address logged"
    also = f" ({station})" if address and station else ""
    by = _said(fields, "AuthenticationPackageName")
    return (
        f"{user or '?'} logged on, type {'?' if kind is None else kind} ({name}){source}{also}{f', {by}' if by else ''}"
    )


def _outlook(fields: Fields) -> str:
    return f"Outlook started, its add-ins: {_data(fields)}"


def _alert(fields: Fields) -> str:
    return f"Office showed: {_data(fields)}"


def _not_registered(fields: Fields) -> str:
    return f"COM: the server {_said(fields, 'param1') or '?'} did not register in time"


def _permission(fields: Fields) -> str:
    user = "\\".join(part for part in (_said(fields, "param6"), _said(fields, "param7")) if part)
    what = " ".join(_said(fields, name) for name in ("param1", "param2", "param3"))
    place = f" at {_said(fields, 'param9')}" if _said(fields, "param9") else ""
    return f"COM: {user or '?'} lacks permission ({what}) for {_said(fields, 'param4') or '?'}{place}"


def _data(fields: Fields) -> str:
    data = fields.get("Data")
    texts = [str(text) for text in data if text] if isinstance(data, list) else [f"{k} {v}" for k, v in fields.items()]
    return " ".join("; ".join(texts).split()) or "nothing more"


def _anything(fields: Fields) -> str:
    return ", ".join(f"{name} {value}" for name, value in fields.items())


_WORDS: Mapping[tuple[str, int], Callable[[Fields], str]] = {
    ("logon", 4624): _logon,
    ("network", 3): _connection,
    ("dns", 22): _query,
    ("file", 11): _file,
    ("script", 4104): _script,
    ("script", 400): _engine,
    ("script", 600): _engine,
    ("log", 45): _outlook,
    ("log", 300): _alert,
    ("log", 10010): _not_registered,
    ("log", 10016): _permission,
}
