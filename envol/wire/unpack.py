"""What is inside a compressed report, within bounds: a small file may say that it is huge."""

from __future__ import annotations

import io
import zipfile
import zlib

MAX_OCTETS = 20 * 1024 * 1024
_MAX_MEMBERS = 10


class Unpackable(ValueError):
    """Not what it says, or more than we take."""


def unpack(data: bytes, most: int = MAX_OCTETS) -> list[bytes]:
    """The documents in a gzip or zip file, or the one given; together at most ``most`` octets. Raises Unpackable."""
    if data[:2] == b"\x1f\x8b":  # RFC 1952 §2.3.1
        return [_gunzip(data, most)]
    if data[:4] == b"PK\x03\x04":
        return _unzip(data, most)
    if len(data) > most:
        raise Unpackable(f"It is larger than {most} octets.")
    return [data]


def _gunzip(data: bytes, most: int) -> bytes:
    reader = zlib.decompressobj(wbits=31)
    try:
        found = reader.decompress(data, most + 1)
    except zlib.error as error:
        raise Unpackable(f"It is no gzip file: {error}.") from None
    if len(found) > most:
        raise Unpackable(f"It unpacks to more than {most} octets.")
    if not reader.eof:
        raise Unpackable("It ends in the middle.")
    return found


def _unzip(data: bytes, most: int) -> list[bytes]:
    found: list[bytes] = []
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = archive.infolist()
            if len(members) > _MAX_MEMBERS:
                raise Unpackable(f"It holds more than {_MAX_MEMBERS} files.")
            for member in members:
                if member.is_dir():
                    continue
                with archive.open(member) as file:  # the size it declares is not believed
                    one = file.read(most + 1)
                most -= len(one)
                if most < 0:
                    raise Unpackable("It unpacks to more than we take.")
                found.append(one)
    except Unpackable:
        raise
    except Exception as error:  # the library has a dozen ways to refuse a hostile archive
        raise Unpackable(f"It is no zip file: {type(error).__name__}.") from None
    return found
