"""The published formats, pure: bytes in, events out.

Nothing here opens a socket, reads a clock, touches a database or knows Django,
so every dialogue can be replayed from a text file and every parser fuzzed.
"""
