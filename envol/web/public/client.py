"""Whose request is it? The peer's address, or what a proxy that we were told of says it was."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network, ip_address

from django.conf import settings
from django.http import HttpRequest


def client_address(request: HttpRequest) -> str:
    """The address nearest to us that is no proxy of ours.

    ``X-Forwarded-For`` is written by anybody: it is read only when the peer is a proxy named in the settings, from
    the right, and only as far as our own proxies wrote it.
    """
    peer = str(request.META.get("REMOTE_ADDR", ""))
    proxies = settings.ENVOL.proxy_networks
    if not _is_ours(peer, proxies):
        return peer
    for said in reversed(request.headers.get("X-Forwarded-For", "").split(",")):
        said = said.strip()
        if not _is_ours(said, proxies):
            return said or peer
    return peer


def _is_ours(address: str, proxies: list[IPv4Network | IPv6Network]) -> bool:
    try:
        found = ip_address(address)
    except ValueError:
        return False
    return any(found in network for network in proxies)
