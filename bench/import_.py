"""Importing dirty lines against COPY of the same people, already clean.

The reference is what PostgreSQL needs at least: one connection, COPY of the new contacts and of their
permissions, in key order, into tables with the same keys and the same base. Ours reads, cleans, decides,
seals, writes, changes known people with their history, and keeps what undo needs. Ours and the reference
alternate; each round begins with the same base.
"""

from __future__ import annotations

import random
import statistics
import time
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from bench import ground

GOAL = 0.60
SEED = 20
HEADER = "E-mail;Prénom;Nom;Naissance;Ville;Points;Carte;Genre;Panier;Langue;Accord le;Remarque"
_CONTACT = (
    "id, workspace_id, email, email_key, language, time_zone, props, sources, tags, allowed, suppressed, objected"
)
_PERMISSION = (
    "workspace_id, contact_id, purpose_id, state, basis, since, until, evidence_id, proof, block, leaf, leaf_key"
)


def run(**options: Any) -> dict[str, Any]:
    return ground.in_child("bench.import_", options)


def address(n: int) -> str:
    return f"lecteur.{n * 2654435761 % 2**32:08x}@boite{n % 97}.example"


def person(n: int, draw: random.Random) -> list[str]:
    day = date(1940, 1, 1) + timedelta(days=n * 7919 % 25_000)
    agreed = date(2022, 1, 1) + timedelta(days=n * 104_729 % 1000)
    return [
        address(n),
        ground.FIRST_NAMES[n % 10],
        f"Nom{n % 40_000}",
        f"{day:%d/%m/%Y}",
        ground.CITIES[n // 7 % 10],
        str(n * 31 % 5000),
        "oui" if n % 3 else "non",
        ground.GENRES[n // 3 % 8],
        f"{n % 300},{n % 100:02d}",
        "fr",
        f"{agreed:%d/%m/%Y}",
        "",
    ]


def write_file(path: Path, lines: int) -> dict[str, int]:
    """Seeded: 2 % invalid addresses, 5 % repeated people, 20 % known (half of them changed), and everyday dirt."""
    draw = random.Random(SEED)
    kinds = {"invalid": 0, "repeated": 0, "known": 0, "new": 0}
    known = lines // 5
    last = known
    with open(path, "w", encoding="utf-8", newline="") as out:
        out.write(HEADER + "\r\n")
        for _ in range(lines):
            fate = draw.random()
            if fate < 0.02:
                kinds["invalid"] += 1
                cells = person(last, draw)
                cells[0] = draw.choice(["", "inconnu", "a@b@c.example", "nom prenom@boite.example", "x@boite"])
            elif fate < 0.07 and last > known:
                kinds["repeated"] += 1
                cells = person(draw.randrange(known + 1, last + 1), draw)
                cells[5] = "77"
            elif fate < 0.27:
                kinds["known"] += 1
                n = kinds["known"] * 7919 % known  # each once
                cells = person(n, draw)
                if n % 2:
                    cells[5] = "9999"
            else:
                kinds["new"] += 1
                last += 1
                cells = person(last, draw)
            dirt = draw.random()
            if dirt < 0.05:
                cells[0] = f"  {cells[0].upper()} "
            elif dirt < 0.08:
                cells[11] = '"dit ""bonjour""; revient"'
            elif dirt < 0.10:
                cells[5] = "beaucoup"
            out.write(";".join(cells) + "\r\n")
    return kinds


def measure(lines: int = 1_000_000, rounds: int = 3, **_: Any) -> dict[str, Any]:
    with ground.installation() as here:
        import psycopg
        from django.conf import settings
        from django.db import connection

        from envol.contacts import catalogue, imports
        from envol.contacts.imports.plan import connect
        from envol.contacts.models import Import

        workspace = here.workspace
        for key, kind in (("birth_day", "date"), ("town", "text"), ("points", "number"), ("card", "boolean"),
                          ("genre", "text"), ("basket", "money")):  # fmt: skip
            catalogue.declare(workspace, key, kind, key, key)
        path = here.data / "people.csv"
        kinds = write_file(path, lines)
        ground.say(f"{path.stat().st_size / 1e6:.0f} MB, {kinds}")
        mapping = dict(
            zip(
                HEADER.split(";"),
                ["email", "property:first_name", "property:last_name", "property:birth_day", "property:town",
                 "property:points", "property:card", "property:genre", "property:basket", "language",
                 "permission_date", "skip"],
                strict=True,
            )
        )  # fmt: skip
        permission = {
            "purpose": "newsletter",
            "basis": "consent",
            "source": "bulletins",
            "text_version": 1,
            "evidence": {"kind": "document", "name": "registre.txt", "content": b"registre"},
        }
        base = here.data / "base.csv"
        with open(base, "w", encoding="utf-8", newline="") as out:
            draw = random.Random(SEED)
            out.write(HEADER + "\r\n")
            out.writelines(";".join(person(n, draw)) + "\r\n" for n in range(lines // 5))

        def take(file: Path) -> Import:
            imp = imports.receive(workspace, file, file.name)
            imports.set_mapping(imp, mapping)
            imports.set_permission(imp, permission)
            imports.set_origin(imp, imports.PEOPLE)
            return imp

        def empty() -> None:
            with connection.cursor() as cursor:
                cursor.execute(
                    "TRUNCATE contacts_contact, consent_permission, consent_ledger_block, contacts_property_history,"
                    " contacts_import_change, contacts_import_refusal"
                )
                cursor.execute("DROP TABLE IF EXISTS bench_contact, bench_permission, bench_raw")

        def settle(pg: psycopg.Connection[Any]) -> None:
            pg.execute("VACUUM ANALYZE contacts_contact")
            pg.execute("ANALYZE consent_permission")
            pg.execute("CHECKPOINT")

        ours, reference, raw = [], [], []
        counts: dict[str, Any] = {}
        with connect() as pg:
            for number in range(rounds):
                empty()
                imports.run(take(base))
                last = pg.execute("SELECT max(id) FROM contacts_contact").fetchone()[0]
                for table in ("contact", "permission"):
                    source = {"contact": "contacts_contact", "permission": "consent_permission"}[table]
                    pg.execute(f"CREATE TABLE bench_{table} (LIKE {source} INCLUDING ALL)")
                    pg.execute(f"INSERT INTO bench_{table} SELECT * FROM {source}")
                _try(pg, settle)
                imp = take(path)
                began = time.perf_counter()
                counts = imports.run(imp)
                ours.append(time.perf_counter() - began)
                clean = {
                    "contact": here.data / "contact.copy",
                    "permission": here.data / "permission.copy",
                }
                queries = {
                    "contact": f"SELECT {_CONTACT} FROM contacts_contact WHERE id > {last} ORDER BY id",
                    "permission": f"SELECT {_PERMISSION} FROM consent_permission WHERE contact_id > {last}"
                    " ORDER BY contact_id",
                }
                for table, query in queries.items():
                    _copy_out(pg, query, clean[table])
                _try(pg, settle)
                began = time.perf_counter()
                for table, columns in (("contact", _CONTACT), ("permission", _PERMISSION)):
                    _copy_in(pg, f"COPY bench_{table} ({columns}) FROM STDIN", clean[table])
                reference.append(time.perf_counter() - began)
                columns = ", ".join(f"c{i} text" for i in range(12))
                pg.execute(f"CREATE TABLE bench_raw ({columns})")
                began = time.perf_counter()
                _copy_in(pg, "COPY bench_raw FROM STDIN WITH (FORMAT csv, DELIMITER ';', HEADER)", path)
                raw.append(time.perf_counter() - began)
                same = pg.execute(f"SELECT count(*) FROM bench_contact WHERE id > {last}").fetchone()[0]
                ground.say(
                    f"round {number + 1}: ours {ours[-1]:.1f} s, COPY of {same:,} clean people {reference[-1]:.1f} s,"
                    f" raw COPY {raw[-1]:.1f} s, ratio {reference[-1] / ours[-1]:.2f}; {counts}"
                )
            assert settings.ENVOL.data == here.data
    ratio = statistics.median(r / o for r, o in zip(reference, ours, strict=True))
    return {
        "bench": "import",
        "ours": round(lines / statistics.median(ours)),
        "reference": round(lines / statistics.median(reference)),
        "unit": "lines/s",
        "ratio": round(ratio, 2),
        "goal": GOAL,
        "met": ratio >= GOAL,
        "notes": f"{lines:,} lines: {counts['new']:,} new, {counts['updated']:,} changed,"
        f" {counts['unchanged']:,} equal, {sum(counts['refused'].values()):,} refusals;"
        f" {statistics.median(ours):.1f} s against"
        f" {statistics.median(reference):.1f} s, median of {rounds};"
        f" ratio to a raw COPY {statistics.median(r / o for r, o in zip(raw, ours, strict=True)):.2f}"
        f" ({lines / statistics.median(raw):,.0f} lines/s)",
        "rounds": [round(r / o, 2) for r, o in zip(reference, ours, strict=True)],
    }


def _try(pg: Any, act: Any) -> None:
    """CHECKPOINT needs a right that the owner of a foreign database may lack."""
    import psycopg

    try:
        act(pg)
    except psycopg.errors.InsufficientPrivilege:
        pass


def _copy_in(pg: Any, statement: str, path: Path) -> None:
    with open(path, "rb") as file, pg.cursor() as cursor, cursor.copy(statement) as copy:
        while data := file.read(1 << 18):
            copy.write(data)


def _copy_out(pg: Any, query: str, path: Path) -> None:
    with open(path, "wb") as out, pg.cursor() as cursor, cursor.copy(f"COPY ({query}) TO STDOUT") as copy:
        for data in copy:
            out.write(data)
