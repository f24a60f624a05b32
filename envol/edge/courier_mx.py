"""Which hosts take mail for a domain, and at which addresses (RFC 5321 §5.1)."""

from __future__ import annotations

import asyncio
import random
import time
from dataclasses import dataclass
from typing import Any, Protocol

import dns.asyncresolver
import dns.exception
import dns.flags
import dns.resolver

from envol.net import is_public

MOST_HOSTS = 5
_LEAST_TTL, _MOST_TTL = 60.0, 3600.0


@dataclass(frozen=True, slots=True)
class Host:
    """One address to try; `name` is the MX host's.

    secure: DNSSEC vouches for the MX record and the address. names: what a certificate may say beside its name
    (RFC 7672 §3.2.2).
    """

    name: str
    address: str
    secure: bool = False
    names: tuple[str, ...] = ()


class NoMail(Exception):
    """The domain takes no mail, and says so: permanent. With the reply a host would give."""

    def __init__(self, code: int, enhanced: str, text: str) -> None:
        super().__init__(text)
        self.code, self.enhanced, self.text = code, enhanced, text


class Unknown(Exception):
    """Nobody could tell now; ask again later."""


class AsyncResolver(Protocol):
    """What is asked of a resolver: dnspython's asynchronous one."""

    async def resolve(self, qname: str, rdtype: str) -> Any: ...


def own_resolver(address: str = "") -> dns.asyncresolver.Resolver:
    """The system's resolver, or one by its address. Its word on DNSSEC is heard only when it is named, or stands on
    this machine: anybody on the way could set that bit (RFC 7672 §2.1)."""
    own = dns.asyncresolver.Resolver(configure=not address)
    if address:
        own.nameservers = [address]
    own.lifetime = 20.0
    if address or all(str(one) in ("127.0.0.1", "::1", "127.0.0.53") for one in own.nameservers):
        own.use_edns(0, dns.flags.DO, 1232)
        own.flags = dns.flags.RD | dns.flags.AD
    return own


class Mx:
    """Looks hosts up and remembers them. allow_private: also addresses that are not public (tests only)."""

    def __init__(self, resolver: AsyncResolver | None = None, *, allow_private: bool = False) -> None:
        if resolver is None:
            resolver = own_resolver()
        self._resolver = resolver
        self._allow_private = allow_private
        self._known: dict[str, tuple[float, list[Host]]] = {}

    async def hosts(self, domain: str) -> list[Host]:
        """Hosts in the order to try them, equal preferences shuffled anew, five at most.

        Raises NoMail (null MX, no such domain, nothing but private addresses) or Unknown (the name servers
        do not answer).
        """
        known = self._known.get(domain)
        if known is not None and known[0] > time.monotonic():
            return known[1]
        names, ttl, signed = await self._names(domain)
        found: list[Host] = []
        private = unknown = False
        for name in names:
            try:
                addresses, vouched = await self._addresses(name)
            except Unknown:
                unknown = True
                continue
            for address in addresses:
                if self._allow_private or is_public(address):
                    found.append(Host(name, address, signed and vouched, (domain,) if name != domain else ()))
                else:
                    private = True
            if len(found) >= MOST_HOSTS:
                break
        if not found:
            if unknown:
                raise Unknown(f"The name servers of {domain} do not answer.")
            if private:
                # Somebody who writes 127.0.0.1 or 10.0.0.1 into DNS must not lead us into our own network.
                raise NoMail(550, "5.1.2", f"{domain} leads to addresses that are not public; not sent.")
            raise NoMail(550, "5.1.2", f"{domain} has no host that takes mail.")
        found = found[:MOST_HOSTS]
        if len(self._known) > 10_000:
            self._known.clear()
        self._known[domain] = (time.monotonic() + min(_MOST_TTL, max(_LEAST_TTL, ttl)), found)
        return found

    async def _names(self, domain: str) -> tuple[list[str], float, bool]:
        try:
            answer = await self._resolver.resolve(domain, "MX")
        except dns.resolver.NXDOMAIN:
            raise NoMail(550, "5.1.2", f"The domain {domain} does not exist.") from None
        except dns.resolver.NoAnswer as nothing:
            return [domain], _LEAST_TTL, _vouched(nothing.kwargs.get("response"))  # the implicit MX
        except (dns.exception.DNSException, OSError) as error:
            raise Unknown(f"The name servers of {domain} do not answer: {error}") from None
        records = [(record.preference, str(record.exchange).rstrip(".").lower()) for record in answer]
        if len(records) == 1 and records[0][1] == "":
            raise NoMail(556, "5.1.10", f"{domain} says that it takes no mail (null MX, RFC 7505).")
        random.shuffle(records)
        # An empty name beside others means nothing (RFC 7505 §3).
        names = [name for _, name in sorted(records, key=lambda pair: pair[0]) if name]
        ttl = float(answer.rrset.ttl if answer.rrset is not None else _LEAST_TTL)
        return names, ttl, _vouched(answer.response)

    async def _addresses(self, name: str) -> tuple[list[str], bool]:
        vouched = True

        async def ask(kind: str) -> list[str] | None:
            nonlocal vouched
            try:
                answer = await self._resolver.resolve(name, kind)
            except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
                return []
            except (dns.exception.DNSException, OSError):
                return None
            vouched = vouched and _vouched(answer.response)
            return [record.address for record in answer]

        four, six = await asyncio.gather(ask("A"), ask("AAAA"))
        if not four and not six and (four is None or six is None):
            raise Unknown(f"The name servers of {name} do not answer.")
        return [*(four or []), *(six or [])], vouched


def _vouched(response: Any) -> bool:
    """Does the resolver say that DNSSEC proves this answer?"""
    return response is not None and bool(response.flags & dns.flags.AD)
