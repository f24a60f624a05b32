"""Where programs want to be told: declared, changed, gated. Pages and the dialect's resources both come here.

People's data leave with every event, so an address is a recipient in the sense of the law: nothing is declared, and
nothing is sent, where the verdict on the transfer is red (GDPR art. 44).
"""

from __future__ import annotations

import base64
import secrets
from datetime import UTC, datetime, timedelta
from urllib.parse import unquote, urlsplit, urlunsplit

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, gettext_noop

from envol.accounts.journal import note
from envol.accounts.keys import seal, unseal
from envol.accounts.models import ApiKey, Workspace
from envol.consent import transfers
from envol.events import outbox
from envol.events.models import Endpoint, EndpointState, Kind
from envol.net import NotFetched, Poster

SEAL = "webhook"
MOST = 50  # endpoints of one workspace
SECONDS = 10.0
BOTH_SIGN = timedelta(hours=24)

# The dialect's events, each with what it is here.
DIALECT = {
    "sent": (Kind.DELIVERED,),
    "open": (Kind.OPENED,),
    "click": (Kind.CLICKED,),
    "bounce": (Kind.BOUNCED, Kind.EXPIRED),
    "blocked": (Kind.SUPPRESSED, Kind.CANCELLED),
    "spam": (Kind.COMPLAINED,),
    "unsub": (Kind.UNSUBSCRIBED,),
}
# Ours, by their type.
STANDARD = {
    "message.delivered": (Kind.DELIVERED, gettext_lazy("delivered")),
    "message.deferred": (Kind.DEFERRED, gettext_lazy("put off by the receiver, tried again")),
    "message.bounced": (Kind.BOUNCED, gettext_lazy("came back")),
    "message.expired": (Kind.EXPIRED, gettext_lazy("given up after all tries")),
    "message.suppressed": (Kind.SUPPRESSED, gettext_lazy("not sent: the person may not be written to")),
    "message.cancelled": (Kind.CANCELLED, gettext_lazy("not sent: stopped by somebody")),
    "message.opened": (Kind.OPENED, gettext_lazy("opened, where she agreed to be measured")),
    "message.clicked": (Kind.CLICKED, gettext_lazy("clicked, where she agreed to be measured")),
    "message.complained": (Kind.COMPLAINED, gettext_lazy("reported as unwanted")),
    "person.unsubscribed": (Kind.UNSUBSCRIBED, gettext_lazy("unsubscribed or objected")),
}
TYPE_OF = {kind: name for name, (kind, _) in STANDARD.items()}
EVENT_OF = {kind: name for name, kinds in DIALECT.items() for kind in kinds}


# What `envol.net` says of an address; it knows no languages.
_SAID = (
    gettext_noop("An address begins with https:// and names a host."),
    gettext_noop("An address has no blanks and no control characters."),
    gettext_noop("People's data go over https only."),
    gettext_noop("The port is 443, 80, or one above 1023."),
)


class Refused(ValueError):
    """Not declared; the sentence says what to do."""


class Taken(Refused):
    """There is one already."""


def poster() -> Poster:
    return Poster(seconds=SECONDS, allow_private=settings.ENVOL.webhooks_inside)


def _split(url: str) -> tuple[str, str]:
    """An address and the ``user:password`` that stood in it."""
    try:
        parts = urlsplit(url.strip())
        login = f"{unquote(parts.username)}:{unquote(parts.password or '')}" if parts.username is not None else ""
    except ValueError:
        raise Refused(_("This is no address: write it as https://host/path.")) from None
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], fragment="")), login


def check(workspace: Workspace, url: str) -> tuple[str, str]:
    """The address without its login, and the login. Raises Refused."""
    plain, login = _split(url)
    if len(plain) > 2000:
        raise Refused(_("The address is too long: 2000 characters at most."))
    try:
        parts = poster().check(plain)
    except NotFetched as error:
        raise Refused(_(str(error))) from None
    verdict = transfers.may_lead_to(workspace, "webhook", parts.hostname or "")
    if verdict.colour == transfers.RED:
        raise Refused(f"{verdict.why} {' '.join(verdict.ways)}".strip())
    return plain, login


def declare(
    workspace: Workspace,
    url: str,
    *,
    form: str = "dialect",
    event: str = "",
    kinds: list[int] | None = None,
    backup: bool = False,
    grouped: bool = False,
    address: str = "",
    key: ApiKey | None = None,
    member_id: int | None = None,
) -> tuple[Endpoint, str]:
    """A new endpoint, and its signing secret where it is signed: shown once. Raises Refused."""
    plain, login = check(workspace, url)
    if Endpoint.objects.filter(workspace=workspace).count() >= MOST:
        raise Refused(_("A workspace has %(most)s addresses at most: remove one first.") % {"most": MOST})
    secret = _new_secret() if form == "standard" else ""
    try:
        with transaction.atomic():
            made = Endpoint.objects.create(
                workspace=workspace,
                form=form,
                event=event,
                kinds=[int(one) for one in (DIALECT[event] if form == "dialect" else kinds or [])],
                backup=backup,
                grouped=grouped,
                address=address.lower(),
                url=plain,
                login_sealed=seal(login.encode(), SEAL) if login else None,
                secret_sealed=seal(secret.encode(), SEAL) if secret else None,
                key_id=key.pk if key else None,
            )
    except IntegrityError:
        raise Taken(_("There is an address for this already: change that one.")) from None
    actor, actor_id = ("key", key.pk) if key else ("member", member_id)
    note(workspace, actor, "webhook.added", made, actor_id=actor_id, host=urlsplit(plain).hostname or "")
    made.refresh_from_db()
    return made, secret


def move(endpoint: Endpoint, url: str, *, actor: str, actor_id: int | None) -> None:
    """To another address; what waits goes there. Raises Refused."""
    plain, login = check(endpoint.workspace, url)
    endpoint.url, endpoint.login_sealed = plain, seal(login.encode(), SEAL) if login else None
    endpoint.save(update_fields=["url", "login_sealed"])
    note(endpoint.workspace, actor, "webhook.moved", endpoint, actor_id=actor_id, host=urlsplit(plain).hostname or "")


def switch(endpoint: Endpoint, state: str, *, actor: str, actor_id: int | None) -> None:
    """Alive again, or silent until somebody says otherwise: what happens meanwhile is not told later."""
    if state == EndpointState.ALIVE:
        outbox.wake(endpoint)
    else:
        Endpoint.objects.filter(pk=endpoint.pk).update(state=state)
    endpoint.refresh_from_db()
    note(endpoint.workspace, actor, f"webhook.{state}", endpoint, actor_id=actor_id)


def remove(endpoint: Endpoint, *, actor: str, actor_id: int | None) -> None:
    note(endpoint.workspace, actor, "webhook.removed", endpoint, actor_id=actor_id)
    outbox.remove(endpoint)


def login(endpoint: Endpoint) -> str:
    return unseal(endpoint.login_sealed, SEAL).decode() if endpoint.login_sealed else ""


def _new_secret() -> str:
    return f"whsec_{base64.b64encode(secrets.token_bytes(24)).decode()}"


def signing(endpoint: Endpoint) -> tuple[list[str], datetime | None]:
    """The secrets that sign now, the present one first; and until when the former one does."""
    if not endpoint.secret_sealed:
        return [], None
    # The present secret; behind it, where it was renewed, the former one and its end.
    present, *former = unseal(endpoint.secret_sealed, SEAL).decode().split(" ")
    until = datetime.fromisoformat(former[1]) if former else None
    if until is None or until <= datetime.now(UTC):
        return [present], None
    return [present, former[0]], until


def renew(endpoint: Endpoint, *, actor: str, actor_id: int | None) -> str:
    """A new secret, shown once. The one before it signs beside it for a day, so that a program can change in peace."""
    made = _new_secret()
    with transaction.atomic():
        held = Endpoint.objects.select_for_update().get(pk=endpoint.pk)
        before, _until = signing(held)
        until = (datetime.now(UTC) + BOTH_SIGN).isoformat(timespec="seconds")
        endpoint.secret_sealed = seal(f"{made} {before[0]} {until}".encode(), SEAL)
        endpoint.save(update_fields=["secret_sealed"])
        note(endpoint.workspace, actor, "webhook.secret_renewed", endpoint, actor_id=actor_id)
    return made
