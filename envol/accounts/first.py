"""The first minute of an installation: an owner and her workspace, by command or by the one-time link."""

from __future__ import annotations

import hmac
from typing import Any

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import connection, transaction
from django.utils.translation import gettext as _

from envol.accounts.journal import note
from envol.accounts.keys import derive
from envol.accounts.models import Member, Role, User, Workspace
from envol.accounts.workspaces import add_member, create_workspace, slug_of
from envol.db_role import as_owner
from envol.wire.address import AddressError, normalise

_ALONE = 0x454E564F  # advisory lock: two people with the link make one owner


class TooLate(Exception):
    """Somebody owns this installation already: the one-time link opens nothing any more."""


class Unusable(ValueError):
    """What was typed into ``field`` cannot be used; the sentence says why."""

    def __init__(self, field: str, sentence: str) -> None:
        super().__init__(sentence)
        self.field = field


def is_fresh() -> bool:
    """Is there nobody yet? Then whoever has the link may become the first owner."""
    return not User.objects.exists()


def token() -> str:
    """What the one-time link carries: 128 bits that only this installation can know, useless after its first use."""
    return derive("first run")[:16].hex()


def is_token(given: str) -> bool:
    return hmac.compare_digest(given.encode(), token().encode())


@as_owner()  # whoever founds a workspace is a member of none
def found(
    given: str, *, email: str, password: str, name: str, title: str, language: str, time_zone: str, postal_address: str
) -> Member:
    """The first owner and her workspace, by whoever holds the one-time link.

    Raises :class:`TooLate` when there is somebody already or the link is another's; :class:`Unusable` when
    address or password cannot be used.
    """
    if not is_token(given):
        raise TooLate
    try:
        address = normalise(email)
        validate_password(password, User(email=address.key, name=name))
    except AddressError as error:
        raise Unusable("email", error.told(_)) from None
    except ValidationError as error:
        raise Unusable("password", " ".join(error.messages)) from None
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_ALONE])
        if not is_fresh():
            raise TooLate
        user = _owner(address.key, password, name=name, language=language, time_zone=time_zone)
        made = create_workspace(title, title=title, language=language, time_zone=time_zone)
        if postal_address:
            Workspace.objects.filter(pk=made.pk).update(postal_address=postal_address)
        member = add_member(made, user, Role.OWNER)
        note(made, "member", "workspace.created", made, actor_id=member.pk)
    return member


def _owner(email: str, password: str, **about: Any) -> User:
    from allauth.account.models import EmailAddress

    user = User.objects.create_user(email, password, **about)
    EmailAddress.objects.create(user=user, email=email, primary=True, verified=True)
    return user


def setup(email: str, password: str, workspace: str) -> dict[str, Any]:
    """Make owner and workspace once; the second time nothing changes and ``made`` is False.

    Raises ValueError with a sentence when address or password cannot be used.
    """
    name = slug_of(workspace)
    existing = Workspace.objects.filter(name=name).first()
    if existing is not None:
        owners = Member.objects.filter(workspace=existing, role=Role.OWNER, user__email=email.strip().lower()).exists()
        sentence = f"The workspace {name!r} exists already" + (
            " and this person owns it; nothing was changed."
            if owners
            else "; nothing was changed. Invite people from its page Team."
        )
        return {"workspace": name, "made": False, "sentence": sentence}
    try:
        address = normalise(email)
        user = User.objects.filter(email=address.key).first()
        if user is None:
            validate_password(password, User(email=address.key))
    except AddressError as error:
        raise ValueError(error.told(_)) from None
    except ValidationError as error:
        raise ValueError("The password cannot be used: " + " ".join(error.messages)) from None
    with transaction.atomic():
        if user is None:
            user = _owner(address.key, password)
        made = create_workspace(workspace, title=workspace)
        add_member(made, user, Role.OWNER)
        note(made, "command", "workspace.created", made)
    return {
        "workspace": name,
        "made": True,
        "sentence": f"{workspace} is ready: sign in as {address.key}, then `envol up`.",
    }
