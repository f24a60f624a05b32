"""What a courier holds in memory and who goes next. No sockets, no database, no clock of its own.

Fairness: while several destination sites have work, none of them may take more than a quarter of the
places, and never more than three quarters, so a slow receiver does not delay the others, even those that come later.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from envol.outbound.egress import STREAMS, stream_of
from envol.outbound.lease import Lease, Row

SHARE = 4  # a site gets one place of four, unless it is alone


@dataclass(slots=True)
class Site:
    """One destination site: rows that wait, by stream, and how many are being made or sent."""

    name: str
    lines: dict[str, deque[Row]] = field(default_factory=lambda: {stream: deque() for stream in STREAMS})
    busy: int = 0
    paused_until: float = 0.0

    @property
    def waiting(self) -> int:
        return sum(map(len, self.lines.values()))


class Queue:
    """Rows by site. `places`: how many messages may be in the making or on the wire together."""

    def __init__(self, places: int) -> None:
        self._places = places
        self._sites: dict[str, Site] = {}
        self._turns: deque[str] = deque()
        self.waiting = 0

    def __iter__(self) -> Iterator[Site]:
        return iter(self._sites.values())

    def site(self, name: str) -> Site:
        found = self._sites.get(name)
        if found is None:
            found = self._sites[name] = Site(name)
            self._turns.append(name)
        return found

    def add(self, rows: Iterable[Row]) -> None:
        """Rows that were leased, or that come back for another host."""
        for row in rows:
            site = self.site(row.site)
            site.lines[stream_of(row.sending.priority)].append(row)
            self.waiting += 1

    def share(self, places: int) -> int:
        """How many of `places` one site may take now; a quarter stays free for others even when there is none."""
        working = 0
        for site in self._sites.values():
            if site.busy or site.waiting:
                working += 1
                if working > 1:
                    return max(1, places // SHARE)
        return max(1, places - places // SHARE)

    def take(self, count: int, now: float) -> list[Row]:
        """Rows to be made next: stream after stream, one from each site in turn, within the shares."""
        taken: list[Row] = []
        share = self.share(self._places)
        # What a site took while it was alone is not counted against those that come later.
        room = self._places - sum(min(site.busy, share) for site in self._sites.values())
        count = min(count, room)
        for stream in STREAMS:
            idle_turns = 0
            while len(taken) < count and idle_turns < len(self._turns):
                name = self._turns[0]
                self._turns.rotate(-1)
                site = self._sites[name]
                line = site.lines[stream]
                if not line or site.busy >= share or site.paused_until > now:
                    idle_turns += 1
                    continue
                idle_turns = 0
                taken.append(line.popleft())
                site.busy += 1
                self.waiting -= 1
        return taken

    def done(self, row: Row) -> None:
        """A row taken has ended or goes back."""
        site = self._sites[row.site]
        site.busy -= 1
        self._forget_if_empty(site)

    def pull(self, name: str, streams: Iterable[str] = STREAMS) -> list[Row]:
        """Take what waits for a site out of the queue: it cannot go now."""
        site = self._sites.get(name)
        if site is None:
            return []
        rows: list[Row] = []
        for stream in streams:
            rows += site.lines[stream]
            site.lines[stream].clear()
        self.waiting -= len(rows)
        self._forget_if_empty(site)
        return rows

    def remove(self, keys: Iterable[tuple[int, int]]) -> list[Row]:
        """Take these rows out, where they still wait."""
        wanted = set(keys)
        return self._take_out(lambda row: row.key in wanted) if wanted else []

    def remove_of(self, lease: Lease) -> list[Row]:
        """Take out what waits of a lease."""
        return self._take_out(lambda row: row.lease is lease)

    def _take_out(self, chosen: Callable[[Row], bool]) -> list[Row]:
        removed: list[Row] = []
        for site in list(self._sites.values()):
            for line in site.lines.values():
                gone = [row for row in line if chosen(row)]
                if gone:
                    kept = [row for row in line if not chosen(row)]
                    line.clear()
                    line.extend(kept)
                    removed += gone
            self._forget_if_empty(site)
        self.waiting -= len(removed)
        return removed

    def clear(self) -> list[Row]:
        """Take out everything that waits."""
        return [row for name in list(self._sites) for row in self.pull(name)]

    def ready(self, now: float) -> int:
        """Rows that could be taken now but for places: of sites that are not at their share, not paused."""
        share = self.share(self._places)
        return sum(s.waiting for s in self._sites.values() if s.busy < share and s.paused_until <= now)

    def full(self, now: float, most: int = 200) -> list[str]:
        """Sites to lease no more for: they are paused, or many wait for them already."""
        return [s.name for s in self._sites.values() if s.paused_until > now or s.waiting >= most]

    def _forget_if_empty(self, site: Site) -> None:
        if not site.busy and not site.waiting and not site.paused_until:
            self._sites.pop(site.name, None)
            try:
                self._turns.remove(site.name)
            except ValueError:
                pass
