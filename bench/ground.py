"""The ground benches and the crash test stand on: an installation of its own in a temporary directory.

One process has one installation (settings are read once), so a bench that needs one measures in a child:
:func:`in_child`.
"""

from __future__ import annotations

import json
import os
import random
import select
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
SENDER = "lettre@librairie.example"
DOMAIN = SENDER.partition("@")[2]
FIRST_NAMES = ("Zoé", "Amélie", "Benoît", "Chloé", "Jérôme", "Élodie", "Marc", "Inès", "Loïc", "Aïcha")
CITIES = ("Besançon", "Nîmes", "Angoulême", "Saint-Étienne", "Brest", "Orléans", "Sète", "Évry", "Pau", "Arras")
GENRES = ("romans", "bandes dessinées", "poésie", "jazz", "musique baroque", "théâtre", "histoire", "voyages")


# ---- children


def in_child(module: str, options: dict[str, Any]) -> dict[str, Any]:
    """Call `module.measure(**options)` in a process of its own; its answer. Its other words go to stderr."""
    done = subprocess.run(
        [sys.executable, "-m", "bench.ground", module, json.dumps(options)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{module} failed with exit code {done.returncode}; what it said is above.")
    answer: dict[str, Any] = json.loads(done.stdout.decode().strip().splitlines()[-1])
    return answer


def say(text: str) -> None:
    """Progress, beside the result."""
    print(text, file=sys.stderr, flush=True)


def compared(bench: str, ours: Sequence[float], reference: Sequence[float], goal: float, notes: str) -> dict[str, Any]:
    """The line of a bench whose rounds alternate with those of a reference, both in messages a second."""
    ratio = statistics.median(a / b for a, b in zip(ours, reference, strict=True))
    return {
        "bench": bench,
        "ours": round(statistics.median(ours)),
        "reference": round(statistics.median(reference)),
        "unit": "messages/s",
        "ratio": round(ratio, 2),
        "goal": goal,
        "met": ratio >= goal,
        "notes": notes,
    }


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for_port(port: int, seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with socket.socket() as probe:
            probe.settimeout(1)
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise RuntimeError(f"Nobody listens on port {port}.")


def parent_of(pid: int) -> int:
    """The parent of a process (Linux)."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def processor(pid: int) -> float:
    """Seconds that this process and another, its backend of the database, were on a processor (Linux).

    Other work on the machine moves the time on the clock, and this hardly."""
    return time.process_time() + int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9


# ---- processes


class Process:
    """A process of the installation (`python -m envol.run.process NAME`) that dies with us."""

    def __init__(self, name: str, argv: Sequence[str] | None = None, env: dict[str, str] | None = None) -> None:
        self.name = name
        self.argv = list(argv or [sys.executable, "-m", "envol.run.process", name])
        self.env = env or {}
        self.popen: subprocess.Popen[bytes] | None = None
        self._reader = -1

    def start(self, *, ready_seconds: float = 60, wait: bool = True) -> Process:
        self._reader, writer = os.pipe()
        env = {**os.environ, **self.env, "ENVOL_READY_FD": str(writer), "ENVOL_SUPERVISOR_PID": str(os.getpid())}
        self.popen = subprocess.Popen(
            self.argv, env=env, pass_fds=(writer,), cwd=ROOT, stdout=sys.stderr, start_new_session=True
        )
        os.close(writer)
        if wait and not self.wait_ready(ready_seconds):
            raise RuntimeError(f"{self.name} was not ready within {ready_seconds} s.")
        return self

    def wait_ready(self, seconds: float) -> bool:
        readable, _, _ = select.select([self._reader], [], [], seconds)
        told = bool(readable and os.read(self._reader, 16))
        os.close(self._reader)
        return told

    @property
    def alive(self) -> bool:
        return self.popen is not None and self.popen.poll() is None

    @property
    def pid(self) -> int:
        assert self.popen is not None
        return self.popen.pid

    def kill(self) -> None:
        """SIGKILL."""
        if self.popen is not None:
            self.popen.kill()
            self.popen.wait()

    def stop(self, seconds: float = 30) -> None:
        """SIGTERM, and SIGKILL when it does not drain."""
        if self.popen is None or self.popen.poll() is not None:
            return
        self.popen.send_signal(signal.SIGTERM)
        try:
            self.popen.wait(seconds)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            self.popen.wait()


# ---- the installation


class Ground:
    """A fresh installation: its database runs, Django is set up, one workspace with one trusted domain."""

    def __init__(self, data: Path, config: Any, workspace: Any) -> None:
        self.data, self.config, self.workspace = data, config, workspace

    def courier(self, number: int = 1) -> Process:
        return Process("courier", env={"ENVOL_COURIER": str(number)})

    def people(self, count: int, *, domains: int = 8, seed: int = 1) -> None:
        """So many contacts by COPY, who allowed everything."""
        from django.db import connection

        from envol.consent.models import Purpose

        chance = random.Random(seed)
        kinds = Purpose.objects.filter(workspace=self.workspace).exclude(kind="transactional")
        allowed = sum(1 << purpose.bit for purpose in kinds)
        with connection.cursor() as cursor:
            columns = "workspace_id, email, email_key, language, props, allowed"
            with cursor.copy(f"COPY contacts_contact ({columns}) FROM STDIN") as copy:
                for n in range(count):
                    address = f"lecteur{n:07d}@boite{n % domains}.example"
                    props = {
                        "first_name": chance.choice(FIRST_NAMES),
                        "town": chance.choice(CITIES),
                        "genre": chance.choice(GENRES),
                        "points": chance.randrange(2000),
                    }
                    copy.write_row((self.workspace.id, address, address, "fr", json.dumps(props), allowed))
            cursor.execute("ANALYZE contacts_contact")

    def version(self, **more: Any) -> Any:
        """The letter of LETTER, saved as a template."""
        from envol.consent.models import Purpose
        from envol.contacts import catalogue
        from envol.content import templates

        mask = sum(1 << bit for bit in Purpose.objects.filter(workspace=self.workspace).values_list("bit", flat=True))
        for key, kind in (("first_name", "text"), ("town", "text"), ("genre", "text"), ("points", "number")):
            catalogue.declare(self.workspace, key, kind, key, key, purposes=mask)
        fallbacks = {f"contact.{key}": "…" for key in ("first_name", "town", "genre", "points")}
        return templates.save(
            self.workspace,
            more.pop("name", "lettre"),
            "html",
            letter(),
            "{{ contact.first_name }}, la lettre de novembre pour {{ contact.town }}",
            fallbacks=fallbacks,
            **more,
        )

    def sending(self, version: Any, state: str = "paused") -> Any:
        """A campaign's sending to everybody, expanded by the road that campaigns take, in this state."""
        from envol import db
        from envol.outbound import accept

        made = self.empty_sending(version, state)
        last = 0
        while True:
            batch = db.rows(
                "SELECT id, email FROM contacts_contact WHERE workspace_id = %s AND id > %s ORDER BY id LIMIT 20000",
                [self.workspace.id, last],
            )
            if not batch:
                return made
            with db.durable():
                accept.expand_batch(made, batch)
            last = batch[-1][0]

    def empty_sending(self, version: Any, state: str = "paused", **more: Any) -> Any:
        """A campaign's sending that has nobody yet."""
        from envol.consent.purposes import get
        from envol.outbound.models import Sending

        return Sending.objects.create(
            workspace=self.workspace,
            kind="campaign",
            state=state,
            version_id=version.id,
            purpose_id=get(self.workspace, "newsletter").id,
            sender={"name": "La Librairie", "address": SENDER},
            **more,
        )

    @staticmethod
    def set_state(sending: Any, state: str) -> None:
        type(sending).objects.filter(id=sending.id).update(state=state)


@contextmanager
def installation(keep: str = "", **settings: Any) -> Iterator[Ground]:
    """An installation with these settings (see docs/settings.md); afterwards nothing of it is left.

    ``keep`` names a directory whose installation stays, and is joined the next time.
    """
    data = Path(keep or tempfile.mkdtemp(prefix="envol-bench-", dir=os.environ.get("ENVOL_BENCH_DIR")))
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name in [name for name in os.environ if name.startswith("ENVOL_") or name == "DATABASE_URL"]:
        del os.environ[name]
    os.environ["ENVOL_LOG_LEVEL"] = "WARNING"
    from envol.run import installation as installing
    from envol.run.embedded import Embedded

    server = Embedded(data)
    try:
        os.environ["DATABASE_URL"] = server.start()
        config = installing.open_installation(data, http=f"127.0.0.1:{free_port()}", **settings)
        from envol.accounts.models import Workspace

        yield Ground(data, config, Workspace.objects.filter(name="bench").first() or _workspace())
    finally:
        from django.db import connections

        connections.close_all()
        if keep:
            server.stop()
        else:
            server.remove()
            shutil.rmtree(data, ignore_errors=True)


def _workspace() -> Any:
    from envol.accounts.workspaces import create_workspace
    from envol.outbound import domains

    workspace = create_workspace("bench", title="La Librairie")
    type(workspace).objects.filter(id=workspace.id).update(postal_address="1 rue des Essais, 75000 Paris")
    workspace.refresh_from_db()
    domains.add(workspace, DOMAIN, trusted=True)
    return workspace


# ---- a letter of about 7 kB


def letter() -> str:
    """HTML that becomes, with its text part, headers and one signature, a message of about 7 kB."""
    articles = "".join(
        f'<h2 style="font-size:20px;color:#134e5e">{title}</h2><p style="line-height:26px">{text} '
        f'<a href="https://boutique.librairie.example/{slug}">Lire la suite</a></p>\n'
        for title, text, slug in (
            (
                "À lire",
                "Un premier roman qui commence dans un train arrêté en pleine campagne, et n’en repart pas comme "
                "prévu. Deux voyageurs y échangent leurs valises, puis leurs habitudes, et pour finir leurs vies.",
                "livres/train-de-nuit",
            ),
            (
                "À écouter",
                "Un trio enregistré en une nuit, sans casque ni reprise. On entend le parquet, la pluie, et quelqu’un "
                "qui range les chaises pendant le dernier morceau ; personne n’a voulu l’effacer.",
                "disques/une-nuit",
            ),
            (
                "À rencontrer",
                "Samedi à quinze heures, la traductrice des poèmes du mois vient lire et répondre aux questions. "
                "L’entrée est libre, les places sont comptées, le thé est offert à ceux qui arrivent tôt.",
                "rencontres/novembre",
            ),
            (
                "À offrir",
                "Le carnet de lecture, relié en toile bleue, avec un signet et de la place pour trente livres.",
                "cadeaux/carnet",
            ),
        )
    )
    return f"""<!doctype html>
<html lang="fr"><head><meta charset="utf-8"><title>La lettre de novembre</title>
<style>body{{margin:0;background:#f6f5f1;font-family:Georgia,serif}}a{{color:#134e5e}}
.feuille{{max-width:600px;margin:auto;background:#fffdf9;padding:24px}}</style></head>
<body><div class="feuille">
<h1 style="font-size:26px">Bonjour {{{{ contact.first_name }}}},</h1>
<p style="line-height:26px">Novembre est le mois où l’on rentre tôt à {{{{ contact.town }}}} et où l’on écoute un disque
en entier. Nous avons remis en rayon ce que vous nous avez le plus demandé cette année.</p>
<p>Puisque vous aimez le rayon <b>{{{{ contact.genre }}}}</b>, commencez par là : la sélection est prête sur la
table du fond. Il vous reste {{{{ contact.points }}}} points de fidélité.
<a href="https://boutique.librairie.example/selection">Voir la sélection du mois</a></p>
{articles}<p style="font-size:13px;color:#4d5b68">Vous recevez cette lettre parce que vous l’avez demandée.
<a href="{{{{ unsubscribe_url }}}}">Me désabonner</a> · <a href="{{{{ preferences_url }}}}">Mes préférences</a> ·
<a href="{{{{ web_version_url }}}}">Lire dans un navigateur</a><br>{{{{ workspace.postal_address }}}}</p>
</div></body></html>
"""


if __name__ == "__main__":
    print(json.dumps(import_module(sys.argv[1]).measure(**json.loads(sys.argv[2]))))
