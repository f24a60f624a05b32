"""Asyncio programs at the edge: sockets outside, one gathered commit inside."""
