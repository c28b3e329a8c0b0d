"""Which events are written only if somebody asked for them: where they lack, nobody knows whether it happened.

Of all others a log of their channel that has none of them tells that nothing happened. Sources: Sysmon's configuration,
the advanced audit policy and the policies for PowerShell, NTLM and AppLocker in Microsoft's documentation.
"""

from __future__ import annotations

from hunt.model import ANY_CHANNEL, ANY_ID, SYSMON, EventType

_CHANNELS = frozenset(
    {SYSMON.lower(), "security", "microsoft-windows-powershell/operational", "powershellcore/operational"}
)
# Exports of cloud audit logs hold what whoever made them asked for, and what the licence allows.
_CLOUD = ("office365.", "googleworkspace.")
_BEGINNINGS = (*_CLOUD, "microsoft-windows-ntlm/", "microsoft-windows-applocker/")
# What the event log's own provider writes to Security, whatever the audit policy: shutdown, cleared, full, errors.
_OF_THE_LOG = frozenset({1100, 1101, 1102, 1104, 1105, 1108})
_MODULES = 800  # of Windows PowerShell: module logging, which is off by default


def family(channel: str) -> str:
    """Of which cloud a channel is, whose hosts are organisations and no computers; "": of none."""
    return next((cloud for cloud in _CLOUD if channel.lower().startswith(cloud)), "")


def is_configured(kind: EventType) -> bool:
    """Whether a log without such events does not tell that nothing happened."""
    channel, event_id = kind.key
    if event_id == ANY_ID or channel == ANY_CHANNEL:
        return True
    if channel == "security":
        return event_id not in _OF_THE_LOG
    if channel == "windows powershell":
        return event_id == _MODULES
    return channel in _CHANNELS or channel.startswith(_BEGINNINGS)
