"""Composing: µs for one personalised message of about 7 kB, without signing."""

from __future__ import annotations

import statistics
import time
from typing import Any

from bench import ground

GOAL = 150.0


def run(**options: Any) -> dict[str, Any]:
    return ground.in_child("bench.compose", options)


def measure(messages: int = 3000, rounds: int = 5, **_: Any) -> dict[str, Any]:
    with ground.installation() as here:
        from envol.contacts.models import Contact
        from envol.content.compose import Composer, Person

        here.people(messages)
        version = here.version()
        sending = here.sending(version)
        people = [
            Person(c.id, c.id, c.email, language=c.language, props=c.props, allowed=c.allowed, refused=c.refused)
            for c in Contact.objects.filter(workspace_id=here.workspace.id).order_by("id")
        ]
        sender = {"name": "La Librairie", "address": ground.SENDER}
        composer = Composer(sending, version, here.workspace, sender, (), "https://lettre.librairie.example")
        size = len(composer.compose(people[0]).data)
        times = []
        for _round in range(rounds):
            # The processor time of this thread: what else runs on the machine is none of composing's cost.
            began = time.thread_time()
            for person in people:
                composer.compose(person)
            times.append((time.thread_time() - began) / messages * 1e6)
        ours = statistics.median(times)
    return {
        "bench": "compose",
        "ours": round(ours, 1),
        "reference": GOAL,
        "unit": "µs/message",
        "ratio": round(GOAL / ours, 2),
        "goal": 1.0,
        "met": ours <= GOAL,
        "notes": f"{messages} people, processor time, median of {rounds} rounds {[round(t) for t in sorted(times)]};"
        f" {size:,} bytes unsigned",
    }
