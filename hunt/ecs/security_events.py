"""What Security's events are to ECS: category, type and action by event id, as Elastic's ingest pipeline has them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from hunt.ecs.sysmon_events import Event

# Per line: categories, types, then pairs of ids and action; ranges include both ends.
_TABLE = """
process | end | 1100 logging-service-shutdown; 4689 exited-process; 5025 windows-firewall-service-stopped
process | start | 4688 created-process; 5024 windows-firewall-service-started
driver | start | 5033 windows-firewall-driver-started
driver | end | 5034 windows-firewall-driver-stopped; 5037 windows-firewall-driver-error
authentication | start | 4624 logged-in; 4625 logon-failed; 4648 logged-in-explicit
authentication | start | 4768 kerberos-authentication-ticket-requested; 4769 kerberos-service-ticket-requested
authentication | start | 4770 kerberos-service-ticket-renewed; 4771 kerberos-preauth-failed; 4776 credential-validated
authentication | end | 4634,4647 logged-out
authentication session | start | 4778 session-reconnected
authentication session | end | 4779 session-disconnected
configuration | access | 4610 authentication-package-loaded; 4614 notification-package-loaded
configuration | access | 4622 security-package-loaded
configuration | change | 4611 trusted-logon-process-registered; 4616 system-time-changed
configuration | change | 4713 kerberos-policy-changed; 4714 encrypted-data-recovery-policy-changed
configuration | change | 4715 object-audit-policy-changed; 4716 trusted-domain-information-changed
configuration | change | 4739 domain-policy-changed; 4950 windows-firewall-setting-changed
configuration | change | 4954 windows-firewall-group-policy-changed
configuration | creation | 4706 domain-trust-added
configuration | deletion | 4707 domain-trust-removed
registry configuration | change | 4657 registry-value-modified
iam | admin change | 1102 audit-log-cleared
iam | admin | 1104 logging-full; 1105 auditlog-archieved; 1108 logging-processing-error
iam | admin | 4672 logged-in-special; 4673 privileged-service-called; 4674 privileged-operation
iam | admin group | 4964 logged-in-special
iam configuration | admin change | 4662 object-operation-performed; 4670 permissions-changed; 4697 service-installed
iam configuration | admin change | 4717 system-security-access-granted; 4719 changed-audit-config
iam configuration | admin change | 4817 object-audit-changed; 4904 security-event-source-added
iam configuration | admin change | 4906 crash-on-audit-changed; 4907 audit-setting-changed
iam configuration | admin change | 4908 special-group-table-changed; 4912 per-user-audit-policy-changed
iam configuration | admin change | 5136 directory-service-object-modified
iam configuration | admin creation | 4902 user-audit-policy-created
iam configuration | admin deletion | 4718 system-security-access-removed; 4905 security-event-source-removed
iam configuration | creation admin | 4698 scheduled-task-created
iam configuration | deletion admin | 4699 scheduled-task-deleted
iam configuration | change admin | 4700 scheduled-task-enabled; 4701 scheduled-task-disabled
iam configuration | change admin | 4702 scheduled-task-updated
iam | user creation | 4720 added-user-account
iam | user change | 4722 enabled-user-account; 4723 changed-password; 4724 reset-password; 4738 modified-user-account
iam | user change | 4740 locked-out-user-account; 4767 unlocked-user-account; 4781 renamed-user-account
iam | user deletion | 4725 disabled-user-account; 4726 deleted-user-account
iam | user info | 4797 query-existence-of-blank-password; 4798 group-membership-enumerated
iam | user info | 5379 credential-manager-credentials-were-read; 5380 vault-credential-find
iam | user info | 5381,5382 vault-credentials-were-read
iam | group info | 4799 user-member-enumerated
iam | group creation | 4727,4731,4754 added-group-account; 4744,4749,4759 added-distribution-group-account
iam | group change | 4728,4732,4756 added-member-to-group; 4729,4733,4757 removed-member-from-group
iam | group change | 4735,4737,4755 modified-group-account; 4745,4750,4760 changed-distribution-group-account
iam | group change | 4746,4751,4761 added-member-to-distribution-group; 4764 type-changed-group-account
iam | group change | 4747,4752,4762 removed-member-from-distribution-group
iam | group deletion | 4730,4734,4758 deleted-group-account; 4748,4753,4763 deleted-distribution-group-account
iam | creation admin | 4741 added-computer-account
iam | change admin | 4742 changed-computer-account
iam | deletion admin | 4743 deleted-computer-account
network file | info access | 5140 network-share-object-accessed; 5145 network-share-object-access-checked
"""

# The audit subcategory, which agents call the action of events that the pipeline does not name; older rules ask for it.
_SUBCATEGORIES = """
Logon: 4624 4625 4648
Logoff: 4634 4647
Special Logon: 4672 4964
Registry: 4657
Directory Service Access: 4662
Directory Service Changes: 5136 5137 5138 5139 5141
Process Creation: 4688
Process Termination: 4689
Token Right Adjusted Events: 4703
Security System Extension: 4610 4611 4614 4622 4697
Other Object Access Events: 4698 4699 4700 4701 4702
Audit Policy Change: 4719 4902 4904 4905 4906 4907 4912
User Account Management: 4720 4722 4723 4724 4725 4726 4738 4740 4767 4781 4794 4797 4798
Security Group Management: 4727 4728 4729 4730 4731 4732 4733 4734 4735 4737 4754 4755 4756 4757 4758 4764 4799
Computer Account Management: 4741 4742 4743
Kerberos Authentication Service: 4768 4771
Kerberos Service Ticket Operations: 4769 4770
Credential Validation: 4776
File Share: 5140 5142 5143 5144
Detailed File Share: 5145
Filtering Platform Connection: 5156 5157 5158
"""

# Others that rules ask for, of which Elastic's pipeline says nothing.
_OTHERS = (4627, 4656, 4658, 4660, 4661, 4663, 4826, 4886, 4887, 4898, 4899, 4985, 6416)


def ids(text: str) -> frozenset[int]:
    """Event ids out of a text like `4624 4672-4674`; ranges include both ends."""
    found: set[int] = set()
    for part in text.split():
        low, _, high = part.partition("-")
        found.update(range(int(low), int(high or low) + 1))
    return frozenset(found)


def _events() -> Iterator[tuple[int, Event]]:
    subcategories = dict(_named())
    listed = set()
    for line in _TABLE.strip().splitlines():
        category, types, actions = (part.split() if n < 2 else part for n, part in enumerate(line.split(" | ")))
        for pair in str(actions).split("; "):
            numbers, action = pair.split()
            for event_id in map(int, numbers.split(",")):
                listed.add(event_id)
                more = (subcategories[event_id],) if event_id in subcategories else ()
                yield event_id, Event(tuple(category), tuple(types), (action, *more))
    for event_id in (*subcategories, *_OTHERS):
        if event_id not in listed:
            yield event_id, Event((), (), (subcategories[event_id],) if event_id in subcategories else ())


def _named() -> Iterator[tuple[int, str]]:
    for line in _SUBCATEGORIES.strip().splitlines():
        name, _, numbers = line.partition(": ")
        yield from ((event_id, name) for event_id in ids(numbers))


EVENTS: Mapping[int, Event] = dict(_events())
