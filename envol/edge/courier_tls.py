"""What a receiver asks of TLS: DANE (RFC 7672), MTA-STS (RFC 8461), or nothing; and how sessions went (RFC 8460)."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import dns.exception
import dns.flags
import dns.resolver
import structlog

from envol.edge.courier_connection import opportunistic_context
from envol.edge.courier_mx import AsyncResolver, Host
from envol.net import Fetcher, NotFetched
from envol.outbound import tls as books
from envol.wire import dane, mta_sts
from envol.wire.dane import Tlsa
from envol.wire.mta_sts import Policy, PolicyError
from envol.wire.tls_counts import Count

log = structlog.get_logger()

LOOK_AGAIN_SECONDS = 3600.0
FAILED_SECONDS = 300.0
"""A policy that could not be fetched is asked for again after so long (RFC 8461 §3.3)."""
FLUSH_SECONDS = 15.0
MOST_SITES = 20_000


@dataclass(frozen=True, slots=True)
class Demand:
    """How to speak with one host for one site. required: never in clear. check: raises NotTrusted over a chain.

    soft: a failure is told in the report and the mail goes all the same (mode testing).
    """

    context: ssl.SSLContext
    required: bool = False
    soft: bool = False
    check: Callable[[Sequence[bytes]], None] | None = None
    policy_type: str = "no-policy-found"
    policy: tuple[str, ...] = ()
    mx: tuple[str, ...] = ()


class Refused(Exception):
    """The policy forbids this host. result: for the report."""

    def __init__(self, result: str, text: str, demand: Demand) -> None:
        super().__init__(text)
        self.result, self.demand = result, demand


class TlsRules:
    """What sites ask of TLS, remembered; and the sessions counted until they are written.

    call: runs a function of a room in its thread. trust: the certificate authorities; tests bring their own.
    """

    def __init__(
        self,
        resolver: AsyncResolver,
        call: Callable[..., Awaitable[Any]],
        *,
        fetcher: Fetcher | None = None,
        trust: ssl.SSLContext | None = None,
    ) -> None:
        self._resolver = resolver
        self._call = call
        self._fetcher = fetcher or Fetcher(most_bytes=mta_sts.MOST_BYTES)
        self._trust = trust or ssl.create_default_context()
        self._trust.minimum_version = ssl.TLSVersion.TLSv1_2
        self._any = opportunistic_context()
        self._sites: dict[str, tuple[float, Policy | None]] = {}
        self._looking: dict[str, asyncio.Task[Policy | None]] = {}
        self._counts: Counter[tuple[str, Count]] = Counter()
        self._threads = ThreadPoolExecutor(2, thread_name_prefix="policy")

    def plain(self) -> Demand:
        """Nothing is asked: TLS where it is offered, with whoever answers (RFC 7435)."""
        return Demand(self._any)

    # ---- what is asked

    async def demand(self, site: str, host: Host) -> Demand:
        """How to speak with this host for this site. Raises Refused: the policy forbids it, or nobody can tell.

        A host with usable TLSA records is held to them, whatever the site's MTA-STS policy says (RFC 8461 §2).
        """
        records = await self._tlsa(host) if host.secure else []
        if records:
            return self._dane(host, records)
        policy = await self.policy(site)
        if policy is None or policy.mode == "none":
            return self.plain()
        soft = policy.mode == "testing"
        lines = tuple(line.strip() for line in policy.text.splitlines() if line.strip())
        demand = Demand(self._trust, required=not soft, soft=soft, policy_type="sts", policy=lines, mx=policy.mx)
        if not policy.matches(host.name):
            text = f"{host.name} is none of the hosts that {site} names in its MTA-STS policy."
            if not soft:
                raise Refused("validation-failure", text, demand)
            self.count(site, host, demand, "validation-failure", "", text)
            return self.plain()
        return demand

    def _dane(self, host: Host, records: Sequence[Tlsa]) -> Demand:
        lines = tuple(f"{one.usage} {one.selector} {one.matching} {one.data.hex()}" for one in records)
        usable = [one for one in records if one.usable]
        names = (host.name, *host.names)

        def check(chain: Sequence[bytes]) -> None:
            dane.check(usable, chain, names, datetime.now(UTC))

        return Demand(
            self._any, required=True, check=check if usable else None, policy_type="tlsa", policy=lines, mx=(host.name,)
        )

    async def _tlsa(self, host: Host) -> list[Tlsa]:
        try:
            answer = await self._resolver.resolve(f"_25._tcp.{host.name}", "TLSA")
        except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
            return []
        except (dns.exception.DNSException, OSError) as error:
            # In a signed zone an answer that cannot be had may be one that was taken away (RFC 7672 §2.1.1).
            raise Refused(
                "dnssec-invalid",
                f"Whether {host.name} has TLSA records cannot be told now: {error}",
                Demand(self._any, required=True, policy_type="tlsa", mx=(host.name,)),
            ) from None
        if not answer.response.flags & dns.flags.AD:
            return []
        return [Tlsa(record.usage, record.selector, record.mtype, bytes(record.cert)) for record in answer]

    async def policy(self, site: str) -> Policy | None:
        """The MTA-STS policy of a site that holds now."""
        known = self._sites.get(site)
        if known is not None and known[0] > time.monotonic():
            return known[1]
        task = self._looking.get(site)
        if task is None:
            task = self._looking[site] = asyncio.ensure_future(self._look(site))
            task.add_done_callback(lambda _: self._looking.pop(site, None))
        return await asyncio.shield(task)

    async def _look(self, site: str) -> Policy | None:
        try:
            wait, found = await self._discover(site)
        except Exception as error:  # a policy must never stop a lane; the next hour asks again
            log.warning("cannot look for a policy", site=site, error=repr(error))
            wait, found = FAILED_SECONDS, None
        if len(self._sites) > MOST_SITES:
            self._sites.clear()
        self._sites[site] = (time.monotonic() + wait, found)
        return found

    async def _discover(self, site: str) -> tuple[float, Policy | None]:
        named = await self._policy_id(site)
        kept = await self._call(books.known_policy, site)
        old = _parsed(kept[1]) if kept else None
        seconds = min(LOOK_AGAIN_SECONDS, kept[2]) if kept else LOOK_AGAIN_SECONDS
        if named is None or (kept and kept[0] == named):
            # No record, or the same: what was fetched holds until its end (RFC 8461 §5.1).
            return seconds, old
        loop = asyncio.get_running_loop()
        url = f"https://mta-sts.{site}/.well-known/mta-sts.txt"
        result = "sts-policy-fetch-error"
        try:
            raw = await loop.run_in_executor(self._threads, self._fetcher.get, url, "text/plain")
            result = "sts-policy-invalid"
            new = mta_sts.parse(raw)
        except (NotFetched, PolicyError) as error:
            log.info("no policy", site=site, why=str(error))
            self._counts[site, Count("sts", result=result, reason=str(error))] += 1
            return min(seconds, FAILED_SECONDS), old
        await self._call(books.keep_policy, site, named, new.text, float(new.max_age))
        return min(LOOK_AGAIN_SECONDS, max(60.0, float(new.max_age))), new

    async def _policy_id(self, site: str) -> str | None:
        try:
            answer = await self._resolver.resolve(f"_mta-sts.{site}", "TXT")
        except (dns.exception.DNSException, OSError):
            return None
        return mta_sts.policy_id([b"".join(record.strings).decode("utf-8", "replace") for record in answer])

    # ---- how it went

    def count(
        self, site: str, host: Host, demand: Demand, result: str = "", source: str = "", reason: str = ""
    ) -> None:
        """One session that reached TLS, or failed to. What went well is told without the host."""
        one = Count(demand.policy_type, demand.policy, demand.mx)
        if result:
            one = Count(
                demand.policy_type, demand.policy, demand.mx, result, host.name, host.address, source, reason[:200]
            )
        self._counts[site, one] += 1

    def take(self) -> Mapping[tuple[str, Count], int]:
        """The sessions counted since the last time."""
        taken, self._counts = self._counts, Counter()
        return taken

    async def loop(self) -> None:
        """Write the counts now and then; what a kill takes away is not reported."""
        while True:
            await asyncio.sleep(FLUSH_SECONDS)
            await self.flush()

    async def flush(self) -> None:
        taken = self.take()
        if taken:
            try:
                await self._call(books.add, taken)
            except Exception as error:
                log.warning("TLS sessions were not counted", error=str(error).strip())

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)


def _parsed(text: str) -> Policy | None:
    try:
        return mta_sts.parse(text.encode())
    except PolicyError:
        return None
