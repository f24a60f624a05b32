"""eventcallbackurl and parseroute: where a program wants to be told."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

from django.db.models import QuerySet

from envol.accounts.models import Scope
from envol.api.hooks import endpoints, parse, runner
from envol.api.rest.ground import Call, Resource, Wrong, missing, number_of
from envol.api.rest.values import Field, Invalid, boolean, integer, text
from envol.events.models import Endpoint, EndpointState

_NUMBERS = {1: "click", 2: "bounce", 3: "spam", 4: "blocked", 5: "unsub", 6: "open", 7: "sent"}


def _event(raw: Any) -> str:
    """By its name, or by the number that some clients know it by."""
    word = str(raw).strip().lower()
    word = _NUMBERS.get(int(word), word) if word.isdecimal() and len(word) < 3 else word
    if word not in endpoints.DIALECT:
        raise Invalid(f"it is one of {', '.join(sorted(endpoints.DIALECT))}")
    return word


def _status(raw: Any) -> str:
    word = text(raw).lower()
    if word not in ("alive", "dead"):
        raise Invalid("it is alive or dead")
    return word


def _version(raw: Any) -> int:
    number = integer(raw)
    if number not in (1, 2):
        raise Invalid("it is 1 (one event a call) or 2 (several)")
    return number


def _whole_url(one: Endpoint) -> str:
    """As the program gave it, with what it signs in with."""
    user, _, password = endpoints.login(one).partition(":")
    if not user:
        return one.url
    parts = urlsplit(one.url)
    return urlunsplit(parts._replace(netloc=f"{quote(user, safe='')}:{quote(password, safe='')}@{parts.netloc}"))


def _mine(call: Call, form: str) -> QuerySet[Endpoint]:
    return Endpoint.objects.filter(workspace=call.workspace, form=form).select_related("workspace")


# ---- eventcallbackurl


def _rows(call: Call) -> QuerySet[Endpoint]:
    found = _mine(call, "dialect")
    if "eventtype" in call.query:
        found = found.filter(event=_event(call.query["eventtype"]))
    if (backup := call.switch("backup")) is not None:
        found = found.filter(backup=backup)
    if "status" in call.query:
        alive = _status(call.query["status"]) == "alive"
        found = found.filter(state="alive") if alive else found.exclude(state="alive")
    if (version := call.number("version")) is not None:
        found = found.filter(grouped=version == 2)
    return found


def _one(call: Call, key: str) -> Endpoint:
    number = number_of(key)
    if number is not None:
        found = _mine(call, "dialect").filter(pk=number).first()
    else:
        event, _, backup = key.partition("|")
        found = _mine(call, "dialect").filter(event=event.lower(), backup=boolean(backup or "false")).first()
    if found is None:
        raise missing()
    return found


def _show(call: Call, found: Sequence[Endpoint]) -> list[dict[str, Any]]:
    return [
        {
            "APIKeyID": one.key_id or call.key.pk,
            "EventType": one.event,
            "ID": one.pk,
            "IsBackup": one.backup,
            "Status": "alive" if one.state == EndpointState.ALIVE else "dead",
            "Url": _whole_url(one),
            "Version": 2 if one.grouped else 1,
        }
        for one in found
    ]


def _create(call: Call, given: dict[str, Any]) -> Endpoint:
    event, backup = given.get("EventType", "open"), given.get("IsBackup", False)
    try:
        made, _ = endpoints.declare(
            call.workspace, given["Url"], event=event, backup=backup, grouped=given.get("Version", 1) == 2, key=call.key
        )
    except endpoints.Taken:
        raise Invalid(
            f'MJ18 A EventCallbackUrl resource with value "{event}|{str(backup).lower()}" for EventType already exists.'
        ) from None
    except endpoints.Refused as refused:
        raise Invalid(f"MJ08 Property Url is invalid: {refused}") from None
    if given.get("Status") == "dead":
        endpoints.switch(made, EndpointState.PAUSED, actor="key", actor_id=call.key.pk)
    return made


def _change(call: Call, one: Endpoint, given: dict[str, Any]) -> bool:
    changed = False
    if "Url" in given and given["Url"] != _whole_url(one):
        try:
            endpoints.move(one, given["Url"], actor="key", actor_id=call.key.pk)
        except endpoints.Refused as refused:
            raise Invalid(f"MJ08 Property Url is invalid: {refused}") from None
        changed = True
    if "Version" in given and (given["Version"] == 2) != one.grouped:
        one.grouped = given["Version"] == 2
        one.save(update_fields=["grouped"])
        changed = True
    if "Status" in given and (given["Status"] == "alive") != (one.state == EndpointState.ALIVE):
        state = EndpointState.ALIVE if given["Status"] == "alive" else EndpointState.PAUSED
        endpoints.switch(one, state, actor="key", actor_id=call.key.pk)
        changed = True
    return changed


def _remove(call: Call, one: Endpoint) -> None:
    endpoints.remove(one, actor="key", actor_id=call.key.pk)


def _test(call: Call, one: Endpoint, behind: str) -> list[Any]:
    answer, why, _ms = runner.test(one)
    if answer is None:
        raise Wrong(400, why)
    return [{"ResponseCode": answer.status, "ResponseBody": answer.text}]


# ---- parseroute


def _routes(call: Call) -> QuerySet[Endpoint]:
    return _mine(call, "parse")


def _route(call: Call, key: str) -> Endpoint:
    number = number_of(key)
    found = _routes(call).filter(**({"address": key.lower()} if number is None else {"pk": number})).first()
    if found is None:
        raise missing()
    return found


def _told_routes(call: Call, found: Sequence[Endpoint]) -> list[dict[str, Any]]:
    return [
        {"APIKeyID": one.key_id or call.key.pk, "Email": one.address, "ID": one.pk, "Url": _whole_url(one)}
        for one in found
    ]


def _path_of(url: str) -> str:
    """A route leads to a place of a program, not to its front page."""
    if urlsplit(url).path.strip("/") == "":
        raise Invalid("MJ08 Property Url is invalid: it names a path, not only a host")
    return url


def _add_route(call: Call, given: dict[str, Any]) -> Endpoint:
    try:
        address = parse.address_for(call.workspace, given.get("Email", ""))
        made, _ = endpoints.declare(call.workspace, _path_of(given["Url"]), form="parse", address=address, key=call.key)
    except endpoints.Taken:
        raise Invalid(
            f'MJ18 A ParseRoute resource with value "{given.get("Email", "")}" for Email already exists.'
        ) from None
    except endpoints.Refused as refused:
        raise Wrong(400, str(refused)) from None
    return made


def _change_route(call: Call, one: Endpoint, given: dict[str, Any]) -> bool:
    if "Url" not in given or given["Url"] == _whole_url(one):
        return False
    try:
        endpoints.move(one, _path_of(given["Url"]), actor="key", actor_id=call.key.pk)
    except endpoints.Refused as refused:
        raise Invalid(f"MJ08 Property Url is invalid: {refused}") from None
    return True


CALLBACK = Resource(
    "eventcallbackurl", _rows, _one, _show, Scope.RESULTS,
    fields={
        "Url": Field(text, required=True), "EventType": Field(_event), "IsBackup": Field(boolean),
        "Status": Field(_status), "Version": Field(_version),
    },
    create=_create, change=_change, remove=_remove, acts={"test": {"POST": _test}},
)  # fmt: skip
ROUTE = Resource(
    "parseroute", _routes, _route, _told_routes, Scope.READ,
    fields={"Url": Field(text, required=True), "Email": Field()},
    create=_add_route, change=_change_route, remove=_remove,
)  # fmt: skip
