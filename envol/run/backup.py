"""Backup into one file, and back. PostgreSQL's own dump, with the secret without which it is unreadable."""

from __future__ import annotations

import io
import json
import os
import subprocess
import tarfile
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from envol import __version__
from envol.run import config as _config
from envol.run.config import Config

# As `consent.erasures` and `consent.anchor` name them, which cannot be imported before there is a database.
ERASURES, ANCHORS = "proof/erasures.jsonl", "proof/ledger-anchors.jsonl"
PROOFS = (ERASURES, ANCHORS)


class BackupError(Exception):
    """The backup could not be written or read; the sentence says why and what to do."""


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:] or [f"exit code {done.returncode}"]
        raise BackupError(f"{Path(command[0]).name} failed: {last[0]}")


def _connection(url: str) -> list[str]:
    """libpq arguments; the password goes by the environment file descriptor of the URL, never shown by ps to others."""
    return ["--dbname", url]


def write(config: Config, file: Path) -> dict[str, Any]:
    """Write ``file`` (0600): a consistent snapshot taken while everything runs. Returns bytes and contacts."""
    from envol import db
    from envol.run.embedded import binaries

    if file.exists():
        raise BackupError(f"{file} exists already; a backup never overwrites one. Choose another name.")
    facts = {
        "version": __version__,
        "at": int(time.time()),
        "contacts": db.value("SELECT count(*) FROM contacts_contact"),
    }
    with tempfile.TemporaryDirectory(dir=config.data, prefix="backup-") as folder:
        dump = Path(folder) / "database.dump"
        _run(
            [
                str(binaries() / "pg_dump"),
                "--format=custom",
                "--compress=gzip:1",
                "--no-owner",
                "--no-privileges",
                f"--file={dump}",
                *_connection(os.environ["DATABASE_URL"]),
            ]
        )
        making = file.with_name(file.name + ".part")
        fd = os.open(making, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(fd, "wb") as out, tarfile.open(fileobj=out, mode="w") as tar:
            parts = {
                "facts.json": json.dumps(facts).encode(),
                "secret": config.secret.encode(),
                # After the dump: whoever it lacks is named here, or the other way round.
                **{name: _proof(config.data, name) for name in PROOFS},
            }
            for name, content in parts.items():
                entry = tarfile.TarInfo(name)
                entry.size, entry.mode = len(content), 0o600
                tar.addfile(entry, io.BytesIO(content))
            settings = config.data / "envol.toml"
            if settings.exists():
                tar.add(settings, "envol.toml")
            tar.add(dump, "database.dump")
            # After the dump: a picture that it names lies on the disk already, and none is ever written over.
            for path in sorted((config.data / "media").glob("[!.]*/*")):
                tar.add(path, f"media/{path.parent.name}/{path.name}", recursive=False)
            out.flush()
            os.fsync(out.fileno())
        making.rename(file)
    return {**facts, "file": str(file), "bytes": file.stat().st_size}


def restore(file: Path, data: Path | None, newer: Path | None = None) -> dict[str, Any]:
    """Fill an empty data directory (or an empty ``DATABASE_URL``) from ``file``; returns what is there now.

    Whoever was erased since is erased again before anything starts, as far as the journal in the backup and the
    ``newer`` one (that of the installation that was lost) know. Mail that waited is held (`_hold_mail`).
    """
    if newer is not None and not newer.is_file():
        raise BackupError(f"{newer} does not exist: name the erasures.jsonl of the installation that was lost.")
    directory = Path(data or os.environ.get("ENVOL_DATA") or "envol-data").absolute()
    if directory.exists() and any(directory.iterdir()):
        raise BackupError(
            f"{directory} is not empty; a restore never writes over data. Name a new directory with --data."
        )
    if not file.exists():
        raise BackupError(f"{file} does not exist.")
    try:
        tar = tarfile.open(file)  # noqa: SIM115 - closed by the with below
    except (tarfile.TarError, OSError) as error:
        raise BackupError(f"{file} is not a backup of Envol ({error}).") from None
    from envol.run.embedded import binaries, ensure

    with tar, tempfile.TemporaryDirectory(prefix="envol-restore-") as folder:
        names = set(tar.getnames())
        parts = {"facts.json", "secret", "database.dump", "envol.toml", *PROOFS}
        if not {"facts.json", "secret", "database.dump"} <= names:
            raise BackupError(f"{file} is not a backup of Envol: it lacks its parts.")
        for name in names & parts:
            tar.extract(name, folder, filter="data")
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        secret = directory / "secret"
        secret.touch(mode=0o600)
        secret.write_text((Path(folder) / "secret").read_text().strip() + "\n")
        if "envol.toml" in names:
            (directory / "envol.toml").write_bytes((Path(folder) / "envol.toml").read_bytes())
        if anchors := _proof(Path(folder), ANCHORS):
            (directory / "proof").mkdir(mode=0o700, exist_ok=True)
            (directory / ANCHORS).touch(mode=0o600)
            (directory / ANCHORS).write_bytes(anchors)
        facts = json.loads((Path(folder) / "facts.json").read_text())
        carried = _proof(Path(folder), ERASURES)
        config = _config.load(directory)
        url = config.database_url or ensure(directory)
        _prepare_roles(url)
        _run(
            [
                str(binaries() / "pg_restore"),
                "--no-owner",
                "--no-privileges",
                "--exit-on-error",
                *_connection(url),
                str(Path(folder) / "database.dump"),
            ]
        )
    from envol import db, db_rls
    from envol.run.installation import open_installation

    open_installation(directory)
    with tarfile.open(file) as tar:  # only now: what a picture's name looks like is known to a room
        _pictures(tar, directory)
    db_rls.apply()  # privileges are made anew: the roles of this server are not those of the old one
    told = _erase_again(carried, newer, datetime.fromtimestamp(int(facts["at"]), UTC))
    contacts = db.value("SELECT count(*) FROM contacts_contact")
    return {"data": str(directory), "contacts": contacts, **told, **_hold_mail()}


def _hold_mail() -> dict[str, Any]:
    """Nothing leaves by itself that the lost installation may have sent after its backup."""
    from envol.campaigns import restored as campaigns
    from envol.outbound import restored

    names, waiting = campaigns.hold(), restored.hold()
    people = sum(one.people for one in waiting)
    said = "Nothing was waiting to be sent."
    if names or waiting:
        said = (
            f"What waited when the backup was made may have left since, so it is held: {len(names)} campaigns (resume"
            f" or stop each on its page) and single messages to {people:,} people (envol restored list)."
        )
    return {"held_campaigns": names, "held_messages": people, "mail": said}


def _proof(folder: Path, name: str) -> bytes:
    path = folder / name
    return path.read_bytes() if path.exists() else b""


def _erase_again(carried: bytes, newer: Path | None, backup_at: datetime) -> dict[str, Any]:
    """Replay the erasures, and say up to when they are known."""
    from envol.consent import erasures
    from envol.contacts import forgotten

    try:
        given = erasures.read(newer.read_bytes()) if newer else []
    except ValueError as error:
        raise BackupError(f"{newer}: {error} Nothing was started; delete the new directory and try again.") from None
    known = erasures.merged(erasures.read(carried), given)
    erasures.append(known)
    done = forgotten.replay(known, backup_at)
    until = known[-1].moment if newer and known else None
    if until is not None and until > backup_at:
        said = f"Erasures are known until {until:%Y-%m-%d %H:%M} UTC; later ones, if any, are not."
    elif newer is not None:
        said = "The journal that was given names no erasure after this backup."
    else:
        said = (
            f"Erasures after {backup_at:%Y-%m-%d %H:%M} UTC are not known: who was erased since then is back. Bring"
            " erasures.jsonl of the installation that was lost: envol erasures replay FILE, before you start it."
        )
    return {"erased_again": done, "erasures_named": len(known), "erasures": said}


def _pictures(tar: tarfile.TarFile, directory: Path) -> None:
    """The pictures of messages, into their place; nothing else of a backup is written by its own name."""
    from envol.content.media import FILE

    for entry in tar.getmembers():
        kind, _, name = entry.name.partition("/")
        if kind == "media" and entry.isreg() and FILE.fullmatch(name):
            entry.mode, entry.uid, entry.gid = 0o600, os.getuid(), os.getgid()
            tar.extract(entry, directory, filter="data")
    for path in [directory / "media", *(directory / "media").glob("*")]:
        if path.is_dir():
            path.chmod(0o700)


def _prepare_roles(url: str) -> None:
    import psycopg

    from envol.db import sql

    with psycopg.connect(url, autocommit=True) as connection:
        found = connection.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchone()
        if found and found[0]:
            raise BackupError("The database is not empty; a restore never writes over data. Name an empty one.")
        try:
            connection.execute(sql("accounts", "roles"))  # the policies that come with the tables name the role
        except psycopg.Error as error:
            raise BackupError(str(error.diag.message_primary or error)) from None
