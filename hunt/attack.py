"""MITRE ATT&CK (Enterprise, v17): the techniques that queries of ours name, and the matrix of what they cover.

See: https://attack.mitre.org/
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

# In the order of the matrix.
TACTICS = (
    "Initial Access",
    "Execution",
    "Persistence",
    "Privilege Escalation",
    "Defense Evasion",
    "Credential Access",
    "Discovery",
    "Lateral Movement",
    "Collection",
    "Command and Control",
    "Exfiltration",
    "Impact",
)
ELSEWHERE = "Not in our list of techniques"

_COLLECTION, _EVASION, _PERSISTENCE = "Collection", "Defense Evasion", "Persistence"
_EXECUTION, _LATERAL, _EXFILTRATION = "Execution", "Lateral Movement", "Exfiltration"
_CONTROL, _CREDENTIALS, _ESCALATION = "Command and Control", "Credential Access", "Privilege Escalation"
_ACCESS, _DISCOVERY = "Initial Access", "Discovery"
_EVERYWHERE = (_ACCESS, _PERSISTENCE, _ESCALATION, _EVASION)

_NAMES: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "T1005": ("Data from Local System", (_COLLECTION,)),
    "T1006": ("Direct Volume Access", (_EVASION,)),
    "T1021": ("Remote Services", (_LATERAL,)),
    "T1021.003": ("Distributed Component Object Model", (_LATERAL,)),
    "T1021.006": ("Windows Remote Management", (_LATERAL,)),
    "T1027": ("Obfuscated Files or Information", (_EVASION,)),
    "T1036": ("Masquerading", (_EVASION,)),
    "T1036.003": ("Rename Legitimate Utilities", (_EVASION,)),
    "T1039": ("Data from Network Shared Drive", (_COLLECTION,)),
    "T1041": ("Exfiltration Over C2 Channel", (_EXFILTRATION,)),
    "T1047": ("Windows Management Instrumentation", (_EXECUTION,)),
    "T1048": ("Exfiltration Over Alternative Protocol", (_EXFILTRATION,)),
    "T1059": ("Command and Scripting Interpreter", (_EXECUTION,)),
    "T1059.001": ("PowerShell", (_EXECUTION,)),
    "T1059.005": ("Visual Basic", (_EXECUTION,)),
    "T1070": ("Indicator Removal", (_EVASION,)),
    "T1070.001": ("Clear Windows Event Logs", (_EVASION,)),
    "T1070.004": ("File Deletion", (_EVASION,)),
    "T1070.008": ("Clear Mailbox Data", (_EVASION,)),
    "T1071": ("Application Layer Protocol", (_CONTROL,)),
    "T1071.001": ("Web Protocols", (_CONTROL,)),
    "T1074": ("Data Staged", (_COLLECTION,)),
    "T1074.001": ("Local Data Staging", (_COLLECTION,)),
    "T1078": ("Valid Accounts", _EVERYWHERE),
    "T1078.002": ("Domain Accounts", _EVERYWHERE),
    "T1078.004": ("Cloud Accounts", _EVERYWHERE),
    "T1087": ("Account Discovery", (_DISCOVERY,)),
    "T1087.003": ("Email Account", (_DISCOVERY,)),
    "T1098": ("Account Manipulation", (_PERSISTENCE, _ESCALATION)),
    "T1098.002": ("Additional Email Delegate Permissions", (_PERSISTENCE, _ESCALATION)),
    "T1098.003": ("Additional Cloud Roles", (_PERSISTENCE, _ESCALATION)),
    "T1105": ("Ingress Tool Transfer", (_CONTROL,)),
    "T1110": ("Brute Force", (_CREDENTIALS,)),
    "T1112": ("Modify Registry", (_EVASION, _PERSISTENCE)),
    "T1114": ("Email Collection", (_COLLECTION,)),
    "T1114.001": ("Local Email Collection", (_COLLECTION,)),
    "T1114.002": ("Remote Email Collection", (_COLLECTION,)),
    "T1114.003": ("Email Forwarding Rule", (_COLLECTION,)),
    "T1119": ("Automated Collection", (_COLLECTION,)),
    "T1137": ("Office Application Startup", (_PERSISTENCE,)),
    "T1137.001": ("Office Template Macros", (_PERSISTENCE,)),
    "T1137.003": ("Outlook Forms", (_PERSISTENCE,)),
    "T1137.004": ("Outlook Home Page", (_PERSISTENCE,)),
    "T1137.005": ("Outlook Rules", (_PERSISTENCE,)),
    "T1137.006": ("Add-ins", (_PERSISTENCE,)),
    "T1204": ("User Execution", (_EXECUTION,)),
    "T1204.002": ("Malicious File", (_EXECUTION,)),
    "T1213": ("Data from Information Repositories", (_COLLECTION,)),
    "T1505": ("Server Software Component", (_PERSISTENCE,)),
    "T1505.003": ("Web Shell", (_PERSISTENCE,)),
    "T1528": ("Steal Application Access Token", (_CREDENTIALS,)),
    "T1530": ("Data from Cloud Storage", (_COLLECTION,)),
    "T1534": ("Internal Spearphishing", (_LATERAL,)),
    "T1537": ("Transfer Data to Cloud Account", (_EXFILTRATION,)),
    "T1550": ("Use Alternate Authentication Material", (_EVASION, _LATERAL)),
    "T1550.001": ("Application Access Token", (_EVASION, _LATERAL)),
    "T1559": ("Inter-Process Communication", (_EXECUTION,)),
    "T1559.001": ("Component Object Model", (_EXECUTION,)),
    "T1560": ("Archive Collected Data", (_COLLECTION,)),
    "T1560.001": ("Archive via Utility", (_COLLECTION,)),
    "T1562": ("Impair Defenses", (_EVASION,)),
    "T1562.001": ("Disable or Modify Tools", (_EVASION,)),
    "T1562.002": ("Disable Windows Event Logging", (_EVASION,)),
    "T1562.008": ("Disable or Modify Cloud Logs", (_EVASION,)),
    "T1564": ("Hide Artifacts", (_EVASION,)),
    "T1564.008": ("Email Hiding Rules", (_EVASION,)),
    "T1566": ("Phishing", (_ACCESS,)),
    "T1566.001": ("Spearphishing Attachment", (_ACCESS,)),
    "T1567": ("Exfiltration Over Web Service", (_EXFILTRATION,)),
    "T1567.002": ("Exfiltration to Cloud Storage", (_EXFILTRATION,)),
}


class Cell(NamedTuple):
    """A technique of the matrix and what covers it."""

    tactic: str
    technique: str
    name: str  # of a sub-technique: with that of its technique; "" if it is none of ours
    queries: tuple[str, ...]


def tactics(technique: str) -> tuple[str, ...]:
    return _NAMES.get(technique, ("", (ELSEWHERE,)))[1]


def name(technique: str) -> str:
    """`Email Collection: Local Email Collection`; "" if it is none of ours."""
    above, dot, _ = technique.partition(".")
    own = _NAMES.get(technique, ("", ()))[0]
    whole = _NAMES.get(above, ("", ()))[0] if dot and own else ""
    return f"{whole}: {own}" if whole else own


def matrix(covered: Iterable[tuple[str, Iterable[str]]]) -> list[Cell]:
    """The techniques that are covered, by tactic in the matrix' order; a technique of several tactics in each.

    `covered`: queries and the techniques that they name.
    """
    found: dict[tuple[str, str], list[str]] = {}
    for query, techniques in covered:
        for technique in techniques:
            for tactic in tactics(technique):
                found.setdefault((tactic, technique), []).append(query)
    order = {tactic: place for place, tactic in enumerate((*TACTICS, ELSEWHERE))}
    cells = (Cell(tactic, technique, name(technique), tuple(sorted(q))) for (tactic, technique), q in found.items())
    return sorted(cells, key=lambda cell: (order[cell.tactic], cell.technique))
