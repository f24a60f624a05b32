"""Whose call it is: the API key of HTTP Basic (RFC 7617), and sign-ins that failed counted beside those of SMTP."""

from __future__ import annotations

import base64
import binascii

from envol import db_role
from envol.accounts import api_keys
from envol.accounts.models import ApiKey
from envol.accounts.workspaces import check_api_key
from envol.outbound import relay, rolls


def key_of(authorization: str) -> ApiKey | None:
    """The key that opens with this ``Authorization``, paused or over or not; None when it opens nothing.

    A failure is counted by key where the key exists, whoever typed it; a paused one is a failure too.
    """
    scheme, _, value = authorization.partition(" ")
    try:
        public, _, secret = base64.b64decode(value.strip(), validate=True).decode("ascii").partition(":")
    except (binascii.Error, UnicodeDecodeError):
        public = secret = ""
    if scheme.lower() != "basic" or not public:
        return None
    with db_role.as_owner():  # whose key it is says which workspace this is about
        row = check_api_key(public, secret)
        if row is None or api_keys.closed(row):
            known = (row.pk, row.workspace_id) if row else relay.whose(public)
            if known is not None:
                rolls.count("auth_key", str(known[0]), f"http: {'shut' if row else 'refused'}", workspace=known[1])
    return row
