"""Values of audit events that Elastic's pipeline makes lists of, or spells out, under names in `winlog.event_data`."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import polars as pl

from hunt.ecs.event_data import PREFIX
from hunt.ecs.fields import Fields, made
from hunt.ecs.values import text

_LISTS = ("PrivilegeList", "EnabledPrivilegeList", "DisabledPrivilegeList", "AccessList", "UserAccountControl")

# [MS-SAMR] 2.2.1.12 and userAccountControl in the words of Elastic's pipeline.
_ACCOUNT = (
    "USER_ACCOUNT_DISABLED USER_HOME_DIRECTORY_REQUIRED USER_PASSWORD_NOT_REQUIRED USER_TEMP_DUPLICATE_ACCOUNT "
    "USER_NORMAL_ACCOUNT USER_MNS_LOGON_ACCOUNT USER_INTERDOMAIN_TRUST_ACCOUNT USER_WORKSTATION_TRUST_ACCOUNT "
    "USER_SERVER_TRUST_ACCOUNT USER_DONT_EXPIRE_PASSWORD USER_ACCOUNT_AUTO_LOCKED USER_ENCRYPTED_TEXT_PASSWORD_ALLOWED "
    "USER_SMARTCARD_REQUIRED USER_TRUSTED_FOR_DELEGATION USER_NOT_DELEGATED USER_USE_DES_KEY_ONLY "
    "USER_DONT_REQUIRE_PREAUTH USER_PASSWORD_EXPIRED USER_TRUSTED_TO_AUTHENTICATE_FOR_DELEGATION "
    "USER_NO_AUTH_DATA_REQUIRED USER_PARTIAL_SECRETS_ACCOUNT USER_USE_AES_KEYS"
)
_ACCOUNT_BITS = {1 << n: name for n, name in enumerate(_ACCOUNT.split())}
# RFC 4120 5.4.1 and [MS-KILE], as events 4768 and 4769 count them.
_TICKET_BITS = {
    0x40000000: "Forwardable",
    0x20000000: "Forwarded",
    0x10000000: "Proxiable",
    0x08000000: "Proxy",
    0x04000000: "Allow-postdate",
    0x02000000: "Postdated",
    0x01000000: "Invalid",
    0x00800000: "Renewable",
    0x00400000: "Initial",
    0x00200000: "Pre-authent",
    0x00100000: "Opt-hardware-auth",
    0x00080000: "Transited-policy-checked",
    0x00040000: "Ok-as-delegate",
    0x00020000: "Request-anonymous",
    0x00010000: "Name-canonicalize",
    0x00000020: "Disable-transited-check",
    0x00000010: "Renewable-ok",
    0x00000008: "Enc-tkt-in-skey",
    0x00000002: "Renew",
    0x00000001: "Validate",
}
# [MS-ADTS] 5.1.3.2; "Delete Treee" is how the pipeline, and so a rule, spells it.
_ACCESS_BITS = {
    0x00000001: "Create Child",
    0x00000002: "Delete Child",
    0x00000004: "List Contents",
    0x00000008: "SELF",
    0x00000010: "Read Property",
    0x00000020: "Write Property",
    0x00000040: "Delete Treee",
    0x00000080: "List Object",
    0x00000100: "Control Access",
    0x00010000: "DELETE",
    0x00020000: "READ_CONTROL",
    0x00040000: "WRITE_DAC",
    0x00080000: "WRITE_OWNER",
    0x00100000: "SYNCHRONIZE",
    0x01000000: "ADS_RIGHT_ACCESS_SYSTEM_SECURITY",
    0x10000000: "ADS_RIGHT_GENERIC_ALL",
    0x20000000: "ADS_RIGHT_GENERIC_EXECUTE",
    0x40000000: "ADS_RIGHT_GENERIC_WRITE",
    0x80000000: "ADS_RIGHT_GENERIC_READ",
}
_ENCRYPTION = {
    "0x1": "DES-CBC-CRC",
    "0x3": "DES-CBC-MD5",
    "0x11": "AES128-CTS-HMAC-SHA1-96",
    "0x12": "AES256-CTS-HMAC-SHA1-96",
    "0x17": "RC4-HMAC",
    "0x18": "RC4-HMAC-EXP",
    "0xffffffff": "FAIL",
}

# What the pipeline makes of tables that are not ours to copy; no event holds them, so no rule can see them.
_UNAVAILABLE = (
    "AccessListDescription AuditPolicyChangesDescription Category SubCategory DirectionDescription "
    "LayerNameDescription StatusDescription SidListDesc NewSdOwner NewSdGroup OldSdOwner OldSdGroup "
    "NewSdDacl0 NewSdDacl1 NewSdDacl2 NewSdSacl0 NewSdSacl1 NewSdSacl2 OldSdDacl0 OldSdDacl1 OldSdDacl2 "
    "OldSdSacl0 OldSdSacl1 OldSdSacl2"
)
_MADE = "NewUACList TicketOptionsDescription AccessMaskDescription TicketEncryptionTypeDescription"
# Names that no event has for a field of its own.
NOT_OWN = frozenset(PREFIX + name for name in f"{_UNAVAILABLE} {_MADE}".split())


def fields(event_id: int) -> Fields:
    """Of an audit event, by ECS name."""
    found = {name: made(_words, name, many=True) for name in _LISTS}
    if event_id in (4720, 4738, 4741, 4742):
        found["NewUACList"] = made(partial(_bits, _ACCOUNT_BITS), "NewUacValue", many=True)
    if event_id in (4768, 4769, 4770, 4771):
        found["TicketOptionsDescription"] = made(partial(_bits, _TICKET_BITS), "TicketOptions", many=True)
    if event_id in (4768, 4769, 4770):
        found["TicketEncryptionTypeDescription"] = made(_spelled, "TicketEncryptionType")
    if event_id in (4656, 4661, 4662, 4663, 5140, 5145):
        found["AccessMaskDescription"] = made(partial(_bits, _ACCESS_BITS), "AccessMask", many=True)
    return {PREFIX + name: one for name, one in found.items()}


def _bits(names: Mapping[int, str], column: str) -> pl.Expr:
    """The names of the bits of a number that stands as 0x11; null where there are none."""
    value = (
        text(column).str.extract(r"^0[xX]([0-9A-Fa-f]{1,16})$").str.to_integer(base=16, dtype=pl.UInt64, strict=False)
    )
    found = pl.concat_list(
        pl.when((value & pl.lit(bit, pl.UInt64)) != 0).then(pl.lit(name)) for bit, name in names.items()
    ).list.drop_nulls()
    return pl.when(found.list.len() > 0).then(found)


def _words(column: str) -> pl.Expr:
    """The text as it is, its words, and these without %%: rules were written for all of them."""
    whole = text(column)
    parts = whole.str.strip_chars().str.extract_all(r"\S+")
    bare = parts.list.eval(pl.element().str.strip_prefix("%%"))
    return pl.when(whole.is_not_null()).then(pl.concat_list(whole, parts, bare).list.unique(maintain_order=True))


def _spelled(column: str) -> pl.Expr:
    return text(column).str.to_lowercase().replace_strict(_ENCRYPTION, default=None, return_dtype=pl.String)
