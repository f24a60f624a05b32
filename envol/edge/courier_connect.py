"""Opening sessions: which hosts, from which address, and with which proof of who they are."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import structlog

from envol.edge.courier_channels import Channel, Unreachable
from envol.edge.courier_connection import Connection, NoSession, opportunistic_context
from envol.edge.courier_mx import Host, Mx, NoMail, Unknown
from envol.edge.courier_shaping import Shares
from envol.edge.courier_tls import Demand, Refused, TlsRules
from envol.outbound import rolls
from envol.outbound.route import Route
from envol.outbound.sites import group_of
from envol.wire.smtp.client import Cause, ClientOptions, Closed, Stage, Tls

log = structlog.get_logger()

BAD_HOST_SECONDS = 60.0
CLEAR_SECONDS = 3600.0
"""A host whose TLS handshake broke is spoken to in clear for so long, where nothing forbids it."""


class Connector:
    """Opens connections for lanes. `open`: those that live; the lanes' clock watches over them."""

    def __init__(self, route: Route, mx: Mx, rules: TlsRules, shares: Shares, timeouts: Mapping[Stage, float]) -> None:
        self.mx = mx
        self.open: set[Connection] = set()
        self._route = route
        self._rules = rules
        self._shares = shares
        self._timeouts = timeouts
        self._clear: dict[str, float] = {}
        self._unproved: dict[str, float] = {}
        self._plain = Demand(opportunistic_context())

    async def connect(self, channel: Channel) -> Connection:
        """A session with one of the channel's hosts. Raises Unreachable."""
        now = asyncio.get_running_loop().time
        hosts = await self._hosts(channel)
        source = channel.share.source if channel.share is not None else None
        if source is not None and source.version:
            hosts = [host for host in hosts if (":" in host.address) == (source.version == 6)]
            if not hosts:
                raise Unreachable(None, f"No host of {channel.key} has an address that {source.address} can reach.")
        channel.bad = {address: until for address, until in channel.bad.items() if until > now()}
        good = [host for host in hosts if host.address not in channel.bad] or hosts
        last: Closed | None = None
        forbidden = tried = ""
        for host in good:
            try:
                demand = await self._demand(channel, host)
            except Refused as refused:
                forbidden = str(refused)
                tried += f"* {forbidden}\n"
                self._rules.count(channel.key, host, refused.demand, refused.result, self._from(channel), forbidden)
                continue
            try:
                connection = await self._one(channel, host, demand)
            except NoSession as error:
                last = error.closed
                tried += f"{error.dialogue or f'* {error}'}\n"
                rolls.count("out_to", host.name, f"failed at {error.closed.stage}")
                channel.bad[host.address] = now() + BAD_HOST_SECONDS
                if demand.required and last.cause is Cause.TLS:
                    forbidden = f"{host.name}: {last.detail}"
                continue
            channel.bad.pop(host.address, None)
            channel.backoff = 0.0
            rolls.count("out_to", host.name, "TLS" if connection.tls else "clear")
            if not self._route.one_host:
                self._shares.learn(channel.key, group_of(host.name))
            return connection
        if forbidden:
            raise Unreachable(None, forbidden, tls=True, dialogue=tried)
        raise Unreachable(last, (last.detail or str(last.reply)) if last else "No host to connect to.", dialogue=tried)

    async def _demand(self, channel: Channel, host: Host) -> Demand:
        if self._route.one_host or channel.lax:
            return self._plain
        return await self._rules.demand(channel.key, host)

    async def _one(self, channel: Channel, host: Host, demand: Demand) -> Connection:
        """With one host: as demanded; where that is only a wish, without proof; at last in clear (RFC 7435)."""
        now = asyncio.get_running_loop().time
        if demand.soft and self._unproved.get(host.address, 0) > now():
            demand = self._plain
        while True:
            try:
                connection = await self._session(channel, host, demand)
            except NoSession as error:
                broken = error.closed.cause is Cause.TLS
                if broken and not self._route.one_host and not channel.lax:
                    word = "starttls-not-supported" if error.closed.stage is not Stage.HANDSHAKE else error.word
                    self._rules.count(channel.key, host, demand, word, self._from(channel), error.closed.detail)
                handshake = broken and error.closed.stage is Stage.HANDSHAKE and not self._route.credentials
                if not handshake or demand.required:
                    raise
                if demand.soft:
                    self._unproved[host.address] = now() + CLEAR_SECONDS
                    demand = self._plain
                elif self._clear.get(host.address, 0) > now():
                    raise
                else:
                    # A new connection in clear, because the old one is in no state known to both.
                    log.info("TLS handshake failed, going on in clear", host=host.name, error=error.closed.detail)
                    self._clear[host.address] = now() + CLEAR_SECONDS
                continue
            if not self._route.one_host and not channel.lax and self._clear.get(host.address, 0) <= now():
                self._rules.count(channel.key, host, demand, "" if connection.tls else "starttls-not-supported")
            return connection

    async def _session(self, channel: Channel, host: Host, demand: Demand) -> Connection:
        port = self._route.mx_port
        if self._route.one_host and (relay := self._route.relay_address()) is not None:
            port = relay[1]
        source = channel.share.source if channel.share is not None else None
        return await Connection.open(
            host.address,
            port,
            self._options(host, port, demand, source.helo if source is not None else ""),
            host=host.name,
            context=demand.context,
            check=demand.check,
            timeouts=self._timeouts,
            watch=self.open,
            local=source.local if source is not None else None,
        )

    @staticmethod
    def _from(channel: Channel) -> str:
        address = channel.share.source.address if channel.share is not None else ""
        return "" if address == "*" else address

    async def _hosts(self, channel: Channel) -> list[Host]:
        if self._route.one_host:
            relay = self._route.relay_address()
            if relay is None:
                raise Unreachable(None, "The local inbox does not listen yet.")
            return [Host(relay[0], relay[0])]
        try:
            return await self.mx.hosts(channel.key)
        except NoMail as error:
            raise Unreachable(None, error.text, error) from None
        except Unknown as error:
            raise Unreachable(None, str(error)) from None

    def _options(self, host: Host, port: int, demand: Demand, helo: str) -> ClientOptions:
        now = asyncio.get_running_loop().time()
        tls = Tls.NEVER if self._clear.get(host.address, 0) > now else Tls.IF_OFFERED
        implicit = self._route.kind == "smart_host" and port == 465  # RFC 8314 §3
        if demand.required or (self._route.credentials and not implicit):
            tls = Tls.REQUIRED
        return ClientOptions(
            helo or self._route.helo, tls=tls, implicit_tls=implicit, credentials=self._route.credentials
        )
