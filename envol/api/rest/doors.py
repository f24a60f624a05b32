"""All resources, by the name in the path; and the doors beside ``/REST``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from envol.accounts import api_keys
from envol.accounts.models import ApiKey, Scope
from envol.api.rest import (
    account,
    counters,
    csv_files,
    drafts,
    figures,
    filters,
    hooks,
    list_copies,
    lists,
    messages,
    older,
    people,
    reactions,
    signups,
    statistics,
    templates,
)
from envol.api.rest.ground import Act, Answer, Call, Resource, Wrong, serve

_COPY: Mapping[str, Act] = {"POST": list_copies.begin, "GET": list_copies.show}
RESOURCES: Mapping[str, Resource] = {
    one.name: one
    for one in (
        lists.CONTACT,
        people.METADATA,
        people.DATA,
        replace(lists.LIST, acts={**lists.LIST.acts, "importlist": _COPY}),
        lists.RECIPIENT,
        signups.SIGNUP,
        templates.TEMPLATE,
        account.SENDER,
        account.METASENDER,
        account.DNS,
        account.KEY,
        account.PROFILE,
        account.USER,
        messages.MESSAGE,
        messages.HISTORY,
        messages.INFORMATION,
        messages.STATE,
        counters.COUNTERS,
        *statistics.STATISTICS,
        *older.OLDER,
        figures.STATISTICS,
        figures.CAMPAIGN,
        drafts.DRAFT,
        drafts.NEWSLETTER,
        hooks.CALLBACK,
        hooks.ROUTE,
        reactions.OPENS,
        reactions.CLICKS,
        csv_files.IMPORT,
        csv_files.BATCH,
        filters.FILTER,
    )
}


def is_file(path: str) -> bool:
    """Whether the body behind this path is a file, not read whole."""
    return path.lstrip("/").lower().startswith("v3/data/")


def data(method: str, path: str, pieces: Iterable[bytes], key: ApiKey) -> Answer:
    """The doors below ``/DATA``. ``pieces``: the body as it comes."""
    return csv_files.door(method, path.strip("/").split("/")[2:], pieces, key)


def answer(method: str, path: str, query: str, body: bytes, key: ApiKey) -> Answer:
    """``path``: the whole, from its first slash."""
    words = path.lstrip("/").split("/")
    version = words.pop(0).lower()
    if words and words[0].lower() == "rest":
        words.pop(0)
    if version == "v4":
        return _erasure(method, words, key)
    return serve(RESOURCES, method, "/".join(words), query, body, key)


def unknown_key() -> Answer:
    """As the older service says it: no body, and the question for a key."""
    return Answer(401, None, "text/html", {"WWW-Authenticate": 'Basic realm="Provide an apiKey and secretKey"'})


def _erasure(method: str, words: list[str], key: ApiKey) -> Answer:
    try:
        if method != "DELETE":
            raise Wrong(405, "This address takes DELETE.", newer=True)
        if said := api_keys.closed(key) or api_keys.lacks(key, Scope.CONTACTS):
            raise Wrong(403, said, newer=True)
        call = Call(method, key)
        try:
            found = people.find(call, "/".join(words[1:]))
        except (Wrong, ValueError):
            gone = "The resource with the specified ID you are trying to reach does not exist."
            raise Wrong(404, gone, newer=True) from None
        return people.erase(call, found)
    except Wrong as wrong:
        return wrong.answer()
