"""What stood in another service, in one form whatever it came from."""

from __future__ import annotations

from dataclasses import dataclass, field

# What a person is to the former service, the weakest first: of two the later one counts.
REFUSALS = ("excluded", "unsubscribed", "hard_bounce", "complaint")
# Where each belongs: a mailbox that does not exist takes nothing at all, everything else is about marketing.
SCOPES = {"excluded": "marketing", "unsubscribed": "marketing", "hard_bounce": "all", "complaint": "marketing"}


@dataclass(slots=True)
class Person:
    """``since`` and ``proof``: when she agreed and what shows it, as it was written there; empty: not evidenced.

    ``on`` and ``left``: names of lists she is on, or unsubscribed from. ``refusal``: one of `REFUSALS`.
    """

    email: str
    values: dict[str, str] = field(default_factory=dict)
    on: set[str] = field(default_factory=set)
    left: set[str] = field(default_factory=set)
    tags: set[str] = field(default_factory=set)
    language: str = ""
    time_zone: str = ""
    since: str = ""
    proof: str = ""
    refusal: str = ""

    def refuse(self, why: str) -> None:
        if not self.refusal or REFUSALS.index(why) > REFUSALS.index(self.refusal):
            self.refusal = why


@dataclass(slots=True)
class Letter:
    """A template as it was stored there; ``former`` is its number there."""

    name: str
    html: str
    text: str = ""
    former: str = ""


@dataclass(slots=True)
class Found:
    """``types``: of properties, by name, where the service knows one. ``notes``: what could not be read, and why."""

    origin: str
    people: dict[str, Person] = field(default_factory=dict)
    types: dict[str, str] = field(default_factory=dict)
    lists: list[str] = field(default_factory=list)
    letters: list[Letter] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def person(self, email: str) -> Person | None:
        """Her entry, made where there is none; None for what is no address at all."""
        written = email.strip()
        key = written.lower()
        if "@" not in key or "\0" in key:
            return None
        return self.people.setdefault(key, Person(written))

    def list_named(self, name: str) -> str:
        name = " ".join(name.split())[:200] or self.origin
        if name not in self.lists:
            self.lists.append(name)
        return name

    @property
    def columns(self) -> list[str]:
        """The names of all values that anybody has, in the order in which they came up."""
        return list(dict.fromkeys(name for one in self.people.values() for name in one.values))
