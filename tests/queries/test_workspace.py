"""Google Workspace: exports, delegation, forwarding and grants; what is reported, and what is not."""

from __future__ import annotations

import pytest

from tests.queries.audited import ALICE, BOB, Record, activity, at, found_in_google

CASES: dict[str, list[tuple[Record, str | None]]] = {
    "workspace-mail-export": [
        (activity("takeout", "COMPLETED_USER_TAKEOUT", PRODUCTS_REQUESTED="Gmail", USER_EMAIL=ALICE), "medium"),
        (activity("takeout", "DOWNLOADED_USER_TAKEOUT", PRODUCTS_REQUESTED="Gmail", USER_EMAIL=ALICE), "high"),
        (
            activity("takeout", "STARTED_USER_TAKEOUT", PRODUCTS_REQUESTED="Gmail", TAKEOUT_DESTINATION="DROPBOX"),
            "high",
        ),
        (
            activity("takeout", "STARTED_USER_TAKEOUT", PRODUCTS_REQUESTED="Gmail", USER_EMAIL=BOB, INITIATED_BY=ALICE),
            "high",
        ),
        (activity("takeout", "STARTED_USER_TAKEOUT", PRODUCTS_REQUESTED="Photos"), "informational"),
        (activity("takeout", "COMPLETED_USER_TAKEOUT", PRODUCTS_REQUESTED="Gmail", TAKEOUT_STATUS="FAILED"), "low"),
        (activity("vault", "start_export", query="x"), "medium"),
        (activity("vault", "view_investigation"), None),
        (activity("admin", "CUSTOMER_TAKEOUT_CREATED"), "high"),
        (activity("admin", "CREATE_USER", USER_EMAIL=BOB), None),
    ],
    "workspace-mail-access": [
        (
            activity("user_accounts", "email_forwarding_out_of_domain", email_forwarding_destination_address="x@y"),
            "medium",
        ),
        (activity("admin", "MAIL_ROUTING_DESTINATION_ADDED", NEW_VALUE="x@y"), "high"),
        (activity("admin", "CREATE_GMAIL_SETTING", SETTING_NAME="EMAIL_ROUTE", NEW_VALUE="x"), "high"),
        (activity("admin", "CHANGE_GMAIL_SETTING", SETTING_NAME="MESSAGE_SECURITY_RULE"), "high"),
        (
            activity(
                "admin", "CHANGE_EMAIL_SETTING", SETTING_NAME="ENABLE_MAIL_DELEGATION_WITHIN_DOMAIN", NEW_VALUE="true"
            ),
            "medium",
        ),
        (
            activity("admin", "CHANGE_EMAIL_SETTING", SETTING_NAME="ENABLE_EMAIL_AUTOFORWARDING", NEW_VALUE="false"),
            None,
        ),
        (activity("admin", "CHANGE_GMAIL_SETTING", SETTING_NAME="SPAM_CONTROL", NEW_VALUE="true"), None),
        (activity("gmail", "add_delegate", delegate=BOB), "medium"),
        (activity("gmail", "remove_delegate", delegate=BOB), None),
        (activity("login", "login_success"), None),
    ],
    "workspace-oauth-grant": [
        (activity("token", "authorize", scope=["https://mail.google.com/", "openid"], app_name="A"), "medium"),
        (activity("token", "authorize", scope=["https://www.googleapis.com/auth/gmail.metadata"], app_name="A"), "low"),
        (activity("token", "authorize", scope=["openid"], app_name="A"), None),
        (activity("token", "revoke", scope=["https://mail.google.com/"], app_name="A"), None),
        (
            activity(
                "admin", "AUTHORIZE_API_CLIENT_ACCESS", API_SCOPES="https://mail.google.com/", API_CLIENT_NAME="1"
            ),
            "high",
        ),
    ],
}


@pytest.mark.parametrize("name", CASES)
def test_each_activity_has_its_weight(name: str) -> None:
    cases = CASES[name]
    rows = found_in_google(name, *(one | {"id": one["id"] | {"time": at(60 * n)}} for n, (one, _) in enumerate(cases)))
    told = {f"{row['start']:%Y-%m-%dT%H:%M:%S}": row["severity"] for row in rows}
    assert len(told) == len(rows)
    assert [told.get(at(60 * n)) for n in range(len(cases))] == [owed for _, owed in cases]


def test_events_of_one_activity_are_findings_of_their_own_and_many_end() -> None:
    one = activity("gmail", "add_delegate")
    events = [{"name": "add_delegate", "parameters": [{"name": "delegate", "value": f"{n}@x"}]} for n in range(500)]
    rows = found_in_google("workspace-mail-access", one | {"events": events}, one | {"events": events[::-1]})
    assert len({row["finding_id"] for row in rows}) == len(rows) == 500
