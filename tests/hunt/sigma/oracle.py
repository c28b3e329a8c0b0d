"""Sigma rules row by row in plain Python, from what pySigma parses: the slow way, to compare the fast one with.

Shares nothing with hunt.sigma: its own log sources, its own fields, its own idea of each test.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from functools import cache
from typing import Any

import polars as pl
from sigma import conditions, types
from sigma.rule import SigmaRule

from hunt.model import EventType

Record = dict[str, Any]  # field -> text, list of texts; absent fields are not there

SYSMON, SECURITY = "microsoft-windows-sysmon/operational", "security"
_SYSMON_IDS = {
    "process_creation": (1,), "file_change": (2,), "network_connection": (3,), "sysmon_status": (4, 16),
    "process_termination": (5,), "driver_load": (6,), "image_load": (7,), "create_remote_thread": (8,),
    "raw_access_thread": (9,), "process_access": (10,), "file_event": (11,), "registry_add": (12,),
    "registry_delete": (12,), "registry_set": (13,), "registry_rename": (14,), "registry_event": (12, 13, 14),
    "create_stream_hash": (15,), "pipe_created": (17, 18), "wmi_event": (19, 20, 21), "dns_query": (22,),
    "file_delete": (23, 26), "clipboard_capture": (24,), "process_tampering": (25,),
    "file_executable_detected": (29,), "sysmon_error": (255,),
}  # fmt: skip
_SECURITY_IDS = {
    "process_creation": 4688, "network_connection": 5156, "registry_set": 4657, "registry_delete": 4657,
    "registry_event": 4657, "process_termination": 4689,
}  # fmt: skip
_POWERSHELL = {"ps_script": 4104, "ps_module": 4103}
_CLASSIC = {"ps_classic_start": 400, "ps_classic_provider_start": 600, "ps_classic_script": 800}
_SERVICES = {
    "security": "^security$", "system": "^system$", "application": "^application$", "sysmon": f"^{SYSMON}$",
    "powershell": r"^(microsoft-windows-powershell|powershellcore)/operational$",
    "powershell-classic": "^windows powershell$", "windefend": "windows defender/operational$",
    "taskscheduler": "taskscheduler/operational$", "bits-client": "bits-client/operational$",
    "msexchange-management": "^msexchange management$", "applocker": "applocker/", "wmi": "wmi-activity/operational$",
    "dns-client": r"dns[- ]client( events)?/operational$", "codeintegrity-operational": "codeintegrity/operational$",
    "appxdeployment-server": "appxdeploymentserver/operational$", "firewall-as": "advanced security/firewall$",
    "capi2": "capi2/operational$", "iis-configuration": "^microsoft-iis-configuration/",
    "security-mitigations": "security-mitigations/", "shell-core": "shell-core/operational$",
    "smbclient-security": "smbclient/security$", "smbserver-connectivity": "smbserver/connectivity$",
}  # fmt: skip


def of_source(rule: SigmaRule, fields: set[str], kind: EventType, record: Record) -> bool:
    """Whether an event is of a rule's log source; `fields`: those that the rule asks for."""
    channel, event_id = kind.key
    category, service = rule.logsource.category, rule.logsource.service
    if service and not re.search(_SERVICES[service], channel):
        return False
    if not category:
        return True
    if channel == SYSMON:
        wanted = event_id in _SYSMON_IDS.get(category, ())
    elif channel == SECURITY:
        wanted = event_id == _SECURITY_IDS.get(category)
    elif channel in ("microsoft-windows-powershell/operational", "powershellcore/operational"):
        wanted = event_id == _POWERSHELL.get(category)
    else:
        wanted = channel == "windows powershell" and event_id == _CLASSIC.get(category)
    if not wanted or "EventType" in fields:
        return wanted
    verb = record.get("EventType")
    if category == "registry_add":
        return verb in ("CreateKey", "AddKey")
    if category == "registry_delete":
        return verb in ("DeleteKey", "DeleteValue")
    return not (category == "registry_set" and channel == SECURITY) or verb == "SetValue"


def _fields(rule: SigmaRule) -> set[str]:
    found: set[str] = set()

    def walk(detection: Any) -> None:
        for item in detection.detection_items:
            if hasattr(item, "detection_items"):
                walk(item)
            elif item.field:
                found.add(item.field)

    for detection in rule.detection.detections.values():
        walk(detection)
    return found


def records(frame: pl.DataFrame, kind: EventType) -> Iterator[Record]:
    """Events as rules see them: what Windows prints, by Sigma's names."""
    for row in frame.iter_rows(named=True):
        own = {name: _printed(name, value, kind) for name, value in row.items() if value is not None}
        yield own | _also(own, kind)


_HEX_SYSMON = {"LogonId", "GrantedAccess"}
_HEX_SECURITY = {
    "SubjectLogonId", "TargetLogonId", "TargetLinkedLogonId", "NewProcessId", "ProcessId", "CallerProcessId",
}  # fmt: skip


def _printed(name: str, value: Any, kind: EventType) -> Any:
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S}.{value.microsecond // 1000:03d}"
    hexadecimal = _HEX_SYSMON if kind.key[0] == SYSMON else _HEX_SECURITY
    if isinstance(value, int) and not isinstance(value, bool):
        return f"0x{value:x}" if name in hexadecimal or name == "System.Keywords" else str(value)
    return value


def _account(own: Record, side: str) -> str | None:
    named = {
        "S-1-5-18": "NT AUTHORITY\\SYSTEM",
        "S-1-5-19": "NT AUTHORITY\\LOCAL SERVICE",
        "S-1-5-20": "NT AUTHORITY\\NETWORK SERVICE",
    }.get(own.get(f"{side}UserSid", ""))
    domain, user = (own.get(f"{side}{part}Name") for part in ("Domain", "User"))
    domain, user = (None if text in ("-", "") else text for text in (domain, user))
    return named or (f"{domain}\\{user}" if domain and user else user)


def _also(own: Record, kind: EventType) -> Record:
    """Names that an event does not have itself."""
    channel, event_id = kind.key
    more: Record = {"EventID": str(kind.event_id), "Channel": kind.channel}
    if own.get("provider"):
        more["Provider_Name"] = own["provider"]
        more.setdefault("SourceName", own.get("SourceName") or own.get("Source Name") or own["provider"])
    if "Data" not in own and "RenderingInfo.Message" in own:
        more["Data"] = own["RenderingInfo.Message"]
    if "RenderingInfo.Message" in own:
        more["Message"] = own["RenderingInfo.Message"]
    if channel.endswith("windows defender/operational"):
        more |= {name.replace(" ", ""): value for name, value in own.items() if " " in name}
    if channel == SYSMON and event_id == 15 and "Hash" in own:
        more["Hashes"] = own["Hash"]
    if (channel, event_id) == (SECURITY, 4688):
        target = own.get("TargetUserSid") not in (None, "S-1-0-0")
        label = own.get("MandatoryLabel")
        word = {"4096": "Low", "8192": "Medium", "8448": "Medium", "12288": "High", "16384": "System"}
        more |= {
            "Image": own.get("NewProcessName"),
            "ParentImage": own.get("ParentProcessName"),
            "User": (_account(own, "Target") if target else None) or _account(own, "Subject"),
            "IntegrityLevel": [label, word.get(label.rsplit("-", 1)[-1], "?")] if label else None,
        }
    if (channel, event_id) == (SECURITY, 4657):
        path = re.sub(r"(?i)^\\REGISTRY\\MACHINE\\", "HKLM\\\\", own.get("ObjectName", ""))
        path = re.sub(r"(?i)^\\REGISTRY\\USER\\", "HKU\\\\", path)
        path = re.sub(r"(?i)^(HKLM\\SYSTEM\\)ControlSet00\d\\", r"\1CurrentControlSet\\", path)
        verbs = {"%%1904": "SetValue", "%%1905": "SetValue", "%%1906": "DeleteValue"}
        more |= {
            "TargetObject": f"{path}\\{own.get('ObjectValueName', '')}",
            "EventType": verbs.get(own.get("OperationType", "")),
            "Image": own.get("ProcessName"),
            "Details": own.get("NewValue"),
        }
    if (channel, event_id) == (SECURITY, 5156):
        more |= {
            "Image": own.get("Application"),
            "SourceIp": own.get("SourceAddress"),
            "DestinationIp": own.get("DestAddress"),
            "DestinationPort": own.get("DestPort"),
            "Initiated": {"%%14592": "false", "%%14593": "true"}.get(own.get("Direction", "")),
            "Protocol": {"6": "tcp", "17": "udp"}.get(own.get("Protocol", ""), own.get("Protocol")),
        }
    return {name: value for name, value in more.items() if value is not None}


def matcher(rule: SigmaRule) -> Any:
    """What tells whether an event meets one of a rule's conditions."""
    parsed = [condition.parsed for condition in rule.detection.parsed_condition]
    return lambda record: any(_holds(one, record) for one in parsed)


def _holds(node: Any, record: Record) -> bool:
    if isinstance(node, conditions.ConditionAND):
        return all(_holds(arg, record) for arg in node.args)
    if isinstance(node, conditions.ConditionOR):
        return any(_holds(arg, record) for arg in node.args)
    if isinstance(node, conditions.ConditionNOT):
        return not _holds(node.args[0], record)
    if isinstance(node, conditions.ConditionValueExpression):
        return _anywhere(node.value, record)
    return _value(node.value, record.get(node.field), record)


_NOT_SAID = {"source", "offset", "sources", "recovered", "record_number", "time", "logged"}


def _anywhere(value: Any, record: Record) -> bool:
    if isinstance(value, types.SigmaExpansion):
        return any(_anywhere(one, record) for one in value.values)
    said = (text for name, text in record.items() if name not in _NOT_SAID)
    whole = "\n".join("\n".join(map(str, text)) if isinstance(text, list) else str(text) for text in said)
    return _text(types.SpecialChars.WILDCARD_MULTI + value + types.SpecialChars.WILDCARD_MULTI, whole)


def _value(value: Any, given: Any, record: Record) -> bool:
    if isinstance(value, types.SigmaExpansion):
        return any(_value(one, given, record) for one in value.values)
    there = given is not None and given != []
    if isinstance(value, types.SigmaNull):
        return not there
    if isinstance(value, types.SigmaExists):
        return there == value.exists
    if not there:
        return False
    if isinstance(value, types.SigmaFieldReference):
        other = record.get(value.field)
        return other is not None and str(given).lower() == str(other).lower()
    return any(_one(value, str(text)) for text in (given if isinstance(given, list) else [given]) if text is not None)


def _one(value: Any, text: str) -> bool:
    if isinstance(value, types.SigmaString):
        return _text(value, text)
    if isinstance(value, types.SigmaBool):
        return text.lower() == str(value.boolean).lower()
    if isinstance(value, types.SigmaNumber):
        return _number(text) == value.number
    if isinstance(value, types.SigmaRegularExpression):
        flags = sum(types.SigmaRegularExpression.sigma_to_python_flags[flag] for flag in value.flags)
        return _expression(value.regexp.to_plain(regex=True), flags).search(text) is not None
    if isinstance(value, types.SigmaCIDRExpression):
        try:
            return ipaddress.ip_address(text) in value.network
        except ValueError:
            return False
    if isinstance(value, types.SigmaCompareExpression):
        number = _number(text)
        low = number is not None and number < value.number.number
        same = number == value.number.number
        told = {"LT": low, "LTE": low or same, "GT": not low and not same, "GTE": not low}
        return number is not None and told[value.op.name]
    raise AssertionError(value)


def _number(text: str) -> float | None:
    text = text.strip().lower()
    try:
        return int(text, 16) if text.startswith("0x") else float(text)
    except ValueError:
        return None


def _text(value: types.SigmaString, text: str) -> bool:
    cased = isinstance(value, types.SigmaCasedString)
    return _pattern(tuple(value.s), cased).fullmatch(text if cased else text.lower()) is not None


_expression = cache(re.compile)


@cache
def _pattern(parts: tuple[Any, ...], cased: bool) -> re.Pattern[str]:
    wild = {types.SpecialChars.WILDCARD_MULTI: ".*", types.SpecialChars.WILDCARD_SINGLE: "."}
    written = [wild[part] if part in wild else re.escape(part if cased else part.lower()) for part in parts]
    return re.compile("".join(written), re.DOTALL)


def hits(
    rules: Mapping[str, SigmaRule], frames: Iterable[tuple[EventType, pl.DataFrame]]
) -> dict[tuple[str, EventType], list[int]]:
    """The rows of each frame that each rule matches."""
    ready = {name: (rule, matcher(rule), _fields(rule)) for name, rule in rules.items()}
    found: dict[tuple[str, EventType], list[int]] = {}
    for kind, frame in frames:
        for row, record in enumerate(records(frame, kind)):
            for name, (rule, meets, fields) in ready.items():
                if of_source(rule, fields, kind, record) and meets(record):
                    found.setdefault((name, kind), []).append(row)
    return found
