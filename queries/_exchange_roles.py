"""Who was given the rights to read or export the mail of others, and who took them away again (Exchange)."""

from __future__ import annotations

import polars as pl

from hunt.cmdlet_parameters import value
from hunt.model import Case

from ._exchange import commands, false, is_cmdlet, leaf, nearest, who, window

# By what is found in the name of a role, or of a role group that has it from the beginning.
ROLES = {
    "Mailbox Import Export": r"mailbox ?import ?export",
    "ApplicationImpersonation": r"application ?impersonation",
    "Mailbox Search": r"mailbox ?search|discovery ?management",
}
_ASSIGNED = "New-ManagementRoleAssignment"
_DERIVED = "New-ManagementRole"
_MEMBERS = ("Add-RoleGroupMember", "Update-RoleGroupMember")
GIVEN = (_ASSIGNED, "Set-ManagementRoleAssignment", "New-RoleGroup", *_MEMBERS, _DERIVED)
_TAKEN = ("Remove-ManagementRoleAssignment", "Remove-RoleGroupMember", "Remove-RoleGroup", "Remove-ManagementRole")
_SET = (_DERIVED, _ASSIGNED, "New-RoleGroup")  # what makes names for these rights


def grants(case: Case) -> pl.DataFrame:
    """One row for each cmdlet that gives such rights, attempts too: columns of `commands`, and

    row, who, `role` (of ROLES), `assignee`, `name` (of the assignment or group, lower case), `taken`: the row of the
    removal of the same rights by the same caller, within the window; of `removals`.
    """
    rows = commands(case, *GIVEN).collect()
    found = given(rows)
    known = _made(rows.with_columns(asked=_asked(), name=_name()))
    return found.join(_taken(case, found, removals(case), known), on="row", how="left", maintain_order="left")


def given(cmdlets: pl.DataFrame) -> pl.DataFrame:
    """As `grants`, of the cmdlets GIVEN wherever they were recorded, without `taken`."""
    rows = cmdlets.with_columns(asked=_asked(), name=_name())
    named = rows.with_columns(role=_role(pl.col("asked"), _made(rows)), assignee=_assignee(), who=who())
    return named.filter(pl.col("role").is_not_null(), ~false("Enabled")).with_row_index("row")


def removals(case: Case) -> pl.DataFrame:
    """One row for each cmdlet that takes rights away: columns of `commands`, and row, who, `name`."""
    taken = commands(case, *_TAKEN).with_columns(name=_name(), member=leaf(value("Member")), who=who())
    return taken.collect().with_row_index("row")


def _name() -> pl.Expr:
    """What is made, changed or removed."""
    return pl.coalesce(value("Name"), value("Identity")).str.to_lowercase().str.extract(r"([^\\/]*)$")


def _asked() -> pl.Expr:
    """The roles, or the group, that somebody is to have."""
    return (
        pl.when(is_cmdlet(_DERIVED))
        .then(value("Parent"))
        .when(is_cmdlet("New-RoleGroup"))
        .then(value("Roles"))
        .when(is_cmdlet(_ASSIGNED))
        .then(value("Role"))
        .otherwise(value("Identity"))
    )


def _assignee() -> pl.Expr:
    named = ("User", "SecurityGroup", "Computer", "Policy", "Member", "Members", "Delegate")
    return pl.coalesce(*(value(name) for name in named))


def _role(text: pl.Expr, known: dict[str, str]) -> pl.Expr:
    """Which of ROLES is meant: by its name, or by that of a role or group that was given it."""
    low = text.str.to_lowercase()
    named = [pl.when(low.str.contains(pattern)).then(pl.lit(role)) for role, pattern in ROLES.items()]
    last = low.str.extract(r"([^\\/]*)$")
    return pl.coalesce(*named, last.replace_strict(known, default=None, return_dtype=pl.String))


def _made(rows: pl.DataFrame) -> dict[str, str]:
    """Roles, groups and assignments by names of one's own, and which of ROLES they stand for.

    A copy of a role may be copied, and given to a group: as many steps are followed as there are such cmdlets in order
    of time, three at most.
    """
    known: dict[str, str] = {}
    made = rows.filter(is_cmdlet(*_SET), ~pl.col("attempt"))
    own = pl.when(is_cmdlet(_ASSIGNED)).then(value("SecurityGroup").str.to_lowercase().str.extract(r"([^\\/]*)$"))
    for _ in range(3):
        named = made.select(
            pl.when(is_cmdlet(_ASSIGNED)).then(own).otherwise("name").alias("name"),
            _role(pl.col("asked"), known).alias("role"),
        )
        known = dict(named.drop_nulls().unique("name", keep="first", maintain_order=True).iter_rows())
    return known


def _taken(case: Case, given: pl.DataFrame, taken: pl.DataFrame, known: dict[str, str]) -> pl.DataFrame:
    """row, taken: by the name of the assignment, by the group and its member, or by the role in the name."""
    within = window(case)
    members = given.filter(is_cmdlet(*_MEMBERS)).with_columns(member=leaf(pl.col("assignee")))
    left = taken.filter(is_cmdlet("Remove-RoleGroupMember"))
    others = taken.filter(~is_cmdlet("Remove-RoleGroupMember")).with_columns(role=_role(pl.col("name"), known))
    whole = given.filter(~is_cmdlet(*_MEMBERS))
    met = [
        nearest(members, left, ["who", "name", "member"], within),
        nearest(whole, others, ["who", "name"], within),
        nearest(whole, others, ["who", "role"], within),
    ]
    return pl.concat(met).unique("row", keep="first", maintain_order=True).rename({"other": "taken"})
