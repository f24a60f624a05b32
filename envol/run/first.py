"""The first minute of an installation: an owner and her workspace."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import transaction

from envol.accounts.journal import note
from envol.accounts.models import Member, Role, User, Workspace
from envol.accounts.workspaces import add_member, create_workspace, slug_of
from envol.wire.address import AddressError, normalise


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
        raise ValueError(str(error)) from None
    except ValidationError as error:
        raise ValueError("The password cannot be used: " + " ".join(error.messages)) from None
    with transaction.atomic():
        if user is None:
            user = User.objects.create_user(address.key, password)
            from allauth.account.models import EmailAddress

            EmailAddress.objects.create(user=user, email=address.key, primary=True, verified=True)
        made = create_workspace(workspace, title=workspace)
        add_member(made, user, Role.OWNER)
        note(made, "command", "workspace.created", made)
    return {
        "workspace": name,
        "made": True,
        "sentence": f"{workspace} is ready: sign in as {address.key}, then `envol up`.",
    }
