"""Row-level security: which rows ``envol_page``, the role of pages and API, can see at all (`envol.db_role`).

`apply` brings the database to what is written here; ``migrate`` ends with it. A table that has ``workspace_id`` is
held to the workspace of the request without another word. For a new table that has none there is one line to write
here: in `HANGS` when its rows belong to a row of another table, in `FREE` when they are nobody's in particular, in
`CLOSED` when no page reads it. A table that is not named is closed, and tests/run/test_row_lock.py says so.

PostgreSQL does not bind the owner of a table by its policies: migrations, workers, couriers and bulk writing by COPY go
on as before.
"""

from __future__ import annotations

import hashlib
from typing import NamedTuple

from django.db import connection, transaction

from envol.db import execute, rows, value
from envol.db_role import PAGE


class Parent(NamedTuple):
    """``column`` of a table holds the ``id`` of a row of ``table``, which is held by its own policy."""

    column: str
    table: str


HANGS = {
    "accounts_key_use": Parent("key_id", "accounts_api_key"),
    "audience_follow": Parent("segment_id", "audience_segment"),
    "audience_segment_version": Parent("segment_id", "audience_segment"),
    "audience_size": Parent("segment_id", "audience_segment"),
    "audience_topic_article": Parent("topic_id", "audience_topic"),
    "campaigns_brake": Parent("campaign_id", "campaigns_campaign"),
    "campaigns_content_draft": Parent("campaign_id", "campaigns_campaign"),
    "collect_attempt": Parent("form_id", "collect_signup_form"),
    "collect_day": Parent("form_id", "collect_signup_form"),
    "consent_breach_line": Parent("breach_id", "consent_breach"),
    "consent_breach_told": Parent("breach_id", "consent_breach"),
    "consent_purpose_text": Parent("purpose_id", "consent_purpose"),
    "consent_request_step": Parent("request_id", "consent_request"),
    "contacts_bulk_person": Parent("bulk_id", "contacts_bulk_act"),
    "contacts_import_change": Parent("import_id", "contacts_import"),
    "contacts_import_refusal": Parent("import_id", "contacts_import"),
    "contacts_order_line": Parent("order_id", "contacts_order"),
    "content_attachment": Parent("version_id", "content_version"),
    "content_media_use": Parent("media_id", "content_media"),
    "outbound_chunk": Parent("sending_id", "outbound_sending"),
    "outbound_daily_reader": Parent("mailing_list_id", "outbound_mailing_list"),
    "outbound_digest_item": Parent("mailing_list_id", "outbound_mailing_list"),
    "outbound_dkim_key": Parent("domain_id", "outbound_domain"),
    "outbound_domain_report": Parent("domain_id", "outbound_domain"),
    "outbound_domain_report_row": Parent("report_id", "outbound_domain_report"),
    "outbound_emptied": Parent("sending_id", "outbound_sending"),
    "outbound_excluded": Parent("sending_id", "outbound_sending"),
    "outbound_habit": Parent("key_id", "accounts_api_key"),
    "outbound_moderator": Parent("mailing_list_id", "outbound_mailing_list"),
    "outbound_notice": Parent("sending_id", "outbound_sending"),
    "outbound_outcome": Parent("sending_id", "outbound_sending"),
    "outbound_post": Parent("mailing_list_id", "outbound_mailing_list"),
    "outbound_retry": Parent("sending_id", "outbound_sending"),
    "outbound_send": Parent("sending_id", "outbound_sending"),
    "outbound_tally": Parent("sending_id", "outbound_sending"),
}

FREE = {
    # Sign-in, before anybody's workspace is known: Django's and allauth's own tables, by user and session.
    "account_emailaddress",
    "account_emailconfirmation",
    "accounts_user",
    "auth_group",
    "auth_group_permissions",
    "auth_permission",
    "django_content_type",
    "django_migrations",
    "django_session",
    "mfa_authenticator",
    "accounts_sent_form",  # found by a digest that only its sender can make
    # Jobs: numbers of rows, which the job looks up again as the owner.
    "procrastinate_events",
    "procrastinate_jobs",
    "procrastinate_periodic_defers",
    "procrastinate_workers",
    # Of the installation and of the world outside: nobody's people are in them.
    "contacts_search_mark",
    "outbound_blocked_host",
    "outbound_listed",
    "outbound_look",
    "outbound_shape",
    "outbound_shape_hold",
    "outbound_site",
    "outbound_sts",
    "outbound_tls_count",
    "outbound_tls_reported",
    "outbound_total",
    "outbound_warmup",
}

CLOSED = {
    "outbound_dialogue",  # a pack holds several workspaces' dialogues; one is taken out by outbound/dialogues.py
}

_FUNCTIONS = """
CREATE OR REPLACE FUNCTION envol_workspace() RETURNS int LANGUAGE sql STABLE PARALLEL SAFE
    RETURN nullif(current_setting('envol.workspace', true), '')::int;
CREATE OR REPLACE FUNCTION envol_user() RETURNS bigint LANGUAGE sql STABLE PARALLEL SAFE
    RETURN nullif(current_setting('envol.user', true), '')::bigint;
GRANT USAGE ON SCHEMA public TO envol_page;
GRANT USAGE, SELECT, UPDATE ON ALL SEQUENCES IN SCHEMA public TO envol_page;
ALTER DEFAULT PRIVILEGES IN SCHEMA public REVOKE ALL ON TABLES FROM envol_page;
"""


def _policies(table: str) -> list[tuple[str, str, str]]:
    """Name, command and condition of what lets a page at a table's rows. The settings are read once a statement."""
    workspace = "(SELECT envol_workspace())"
    if table == "accounts_workspace":
        theirs = (
            "EXISTS (SELECT FROM accounts_member m WHERE m.workspace_id = accounts_workspace.id"
            " AND m.user_id = (SELECT envol_user()))"
        )
        return [("page", "ALL", f"id = {workspace}"), ("page_member", "SELECT", theirs)]
    if table in HANGS:
        column, parent = HANGS[table]
        return [("page", "ALL", f"EXISTS (SELECT FROM {parent} p WHERE p.id = {table}.{column})")]
    found = [("page", "ALL", f"workspace_id = {workspace}")]
    if table == "accounts_member":
        found.append(("page_member", "SELECT", "user_id = (SELECT envol_user())"))  # whoever signs in finds her own
    if table == "outbound_roll":
        found.append(("page_installation", "SELECT", "workspace_id = 0"))
    return found


_TABLES = """
SELECT c.relname::text, c.relispartition, c.relrowsecurity,
       EXISTS (SELECT FROM pg_attribute a
                WHERE a.attrelid = c.oid AND a.attname = 'workspace_id' AND NOT a.attisdropped)
  FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') ORDER BY 1
"""


def _wanted() -> str:
    """A digest of everything that `apply` would do, by table and rule."""
    parts = [_FUNCTIONS, *sorted(FREE)]
    for table, partition, _, held in rows(_TABLES):
        if _is_kept(table, partition, held):
            parts += [table, *(str(policy) for policy in _policies(table))]
    return hashlib.sha256("\n".join([*parts, table_names()]).encode()).hexdigest()


def table_names() -> str:
    return ",".join(name for name, partition, _, _ in rows(_TABLES) if not partition)


_DONE = "SELECT obj_description(to_regproc('envol_workspace'), 'pg_proc')"


_OPEN = """
SELECT c.relname::text FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')
   AND has_table_privilege(%s, c.oid, 'SELECT')
"""


def open_to_pages() -> set[str]:
    """Tables that a page may read at all."""
    return {name for (name,) in rows(_OPEN, [PAGE])}


def is_applied() -> bool:
    """Are the rules in the database those of this version? A restored one has the policies and no privileges yet."""
    return bool(value(_DONE) == _wanted()) and open_to_pages() == _readable()


def _readable() -> set[str]:
    return {name for name, partition, _, held in rows(_TABLES) if _is_kept(name, partition, held) or name in FREE}


def _is_kept(table: str, partition: bool, held: bool) -> bool:
    return not partition and (held or table == "accounts_workspace" or table in HANGS)


_ROLE = """
SELECT CASE WHEN current_setting('server_version_num')::int >= 160000 THEN pg_has_role(r.oid, 'SET')
            ELSE pg_has_role(r.oid, 'MEMBER') END,
       pg_has_role(r.oid, 'MEMBER WITH ADMIN OPTION')
       OR me.rolcreaterole AND current_setting('server_version_num')::int < 160000
  FROM pg_roles r, pg_roles me WHERE r.rolname = %s AND me.rolname = current_user
"""


def lacking(role: str = PAGE) -> str:
    """What a superuser has to do before Envol can start, as a sentence; empty when nothing."""
    found = rows(_ROLE, [role])
    owner = value("SELECT quote_ident(current_user)")
    if not found:
        if value("SELECT rolcreaterole OR rolsuper FROM pg_roles WHERE rolname = current_user"):
            return ""
        return (
            f"The role {role}, as whom the pages act, is missing, and {owner} may not create it. As a superuser:"
            f" CREATE ROLE {role}; GRANT {role} TO {owner}; then start again."
        )
    if any(found[0]):
        return ""
    return f"{owner} may not act as the role {role}. As a superuser: GRANT {role} TO {owner}; then start again."


def apply() -> None:
    """Bring grants and policies to what is written here; what is so already is left alone, unlocked."""
    with transaction.atomic():
        execute("SELECT pg_advisory_xact_lock(hashtext('envol row-level security'))")
        if not rows(_ROLE, [PAGE])[0][0]:  # since PostgreSQL 16 who made a role may grant it, no more
            execute(f"GRANT {PAGE} TO CURRENT_USER")
        execute(_FUNCTIONS)
        there = {(table, name): known for table, name, known in rows(_KNOWN)}
        for table, partition, secured, held in rows(_TABLES):
            kept = _is_kept(table, partition, held)
            if kept:
                _hold(table, secured, {name: known for (of, name), known in there.items() if of == table})
            if kept or table in FREE:
                execute(f'GRANT SELECT, INSERT, UPDATE, DELETE ON "{table}" TO {PAGE}')
            else:
                execute(f'REVOKE ALL ON "{table}" FROM {PAGE}')  # also a partition: it is reached by its parent
        with connection.cursor() as cursor:
            cursor.execute(f"COMMENT ON FUNCTION envol_workspace() IS '{_wanted()}'")


_KNOWN = """
SELECT c.relname::text, p.polname::text, obj_description(p.oid, 'pg_policy')
  FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid WHERE c.relnamespace = 'public'::regnamespace
"""


def _hold(table: str, secured: bool, there: dict[str, str]) -> None:
    if not secured:
        execute(f'ALTER TABLE "{table}" ENABLE ROW LEVEL SECURITY')
    wanted = _policies(table)
    for name in there.keys() - {name for name, _, _ in wanted}:
        execute(f'DROP POLICY "{name}" ON "{table}"')
    for name, command, condition in wanted:
        known = f"{command} {condition}"
        if there.get(name) == known:
            continue
        execute(f'DROP POLICY IF EXISTS "{name}" ON "{table}"')
        execute(f'CREATE POLICY "{name}" ON "{table}" FOR {command} TO {PAGE} USING ({condition})')
        execute(f'COMMENT ON POLICY "{name}" ON "{table}" IS \'{known}\'')


def unnamed() -> list[str]:
    """Tables that no rule speaks of: closed for pages until somebody says what they are."""
    named = HANGS.keys() | FREE | CLOSED | {"accounts_workspace"}
    return [table for table, partition, _, held in rows(_TABLES) if not (partition or held or table in named)]
