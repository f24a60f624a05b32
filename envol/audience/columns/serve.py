"""The engine process: answers questions about audiences from columns, for every workspace of this machine.

A question is a line of JSON: ``{"workspace", "ask": "figures" | "count" | "moved" | "ids", "tree", …}``.
Whoever asks anew with the same ``page`` stops the question before, inside DuckDB or PostgreSQL; so does whoever hangs
up. The trees are those that pages and jobs checked; they are checked again here.
"""

from __future__ import annotations

import json
import os
import select
import socket
import threading
import time
from contextlib import closing
from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import Any

import psycopg
import structlog

from envol.accounts.models import Workspace
from envol.audience.catalogue import Catalogue
from envol.audience.columns import ask, door, store
from envol.audience.columns.build import address
from envol.audience.columns.engine import Asking, Columns, Interrupted, NoColumns
from envol.audience.language import SegmentProblem
from envol.consent.models import Purpose

QUIET = 600.0  # seconds without a question after which the process ends
OPEN = 4  # workspaces whose columns stay open

log = structlog.get_logger()


class Server:
    def __init__(self, data: Path, listening: socket.socket, quiet: float = QUIET) -> None:
        self.data, self.listening, self.quiet = data, listening, quiet
        self.lock = threading.Lock()
        self.opened: dict[int, Columns] = {}
        self.pages: dict[int, tuple[int, Asking]] = {}
        self.busy = 0
        self.last = time.monotonic()
        self.pg: psycopg.Connection[Any] | None = None

    def run(self) -> None:
        """Serve until nobody has asked for a while."""
        while self.busy or time.monotonic() - self.last < self.quiet:
            if not select.select([self.listening], [], [], min(5.0, self.quiet))[0]:
                continue
            try:
                line, _ = self.listening.accept()
            except OSError:  # another one took it, or it went away
                continue
            self.last = time.monotonic()
            threading.Thread(target=self.serve, args=(line,), daemon=True).start()

    def serve(self, line: socket.socket) -> None:
        from django.db import connection

        self.busy += 1
        try:
            with closing(line):
                line.settimeout(5)
                got = b""
                while not got.endswith(b"\n"):
                    more = line.recv(65536)
                    if not more or len(got) > ask.LINE:
                        return
                    got += more
                answer = self.answer(json.loads(got), line)
                line.sendall(json.dumps(answer).encode() + b"\n")
        except (OSError, ValueError):
            pass  # it hung up, or said nothing that makes sense
        finally:
            connection.close()
            self.busy -= 1
            self.last = time.monotonic()

    def answer(self, question: dict[str, Any], line: socket.socket) -> dict[str, Any]:
        page, turn = int(question.get("page") or 0), int(question.get("turn") or 0)
        asking = Asking()
        with self.lock:
            if page:
                before = self.pages.get(page)
                if before is not None and before[0] > turn:
                    return {"overtaken": True}
                if before is not None:
                    before[1].stop()
                self.pages[page] = (turn, asking)
        watching = threading.Thread(target=_watch, args=(line, asking), daemon=True)
        watching.start()
        began = time.perf_counter()
        try:
            found = self._found(question, asking)
            return {**found, "seconds": round(time.perf_counter() - began, 4)}
        except Interrupted:
            return {"overtaken": True}
        except NoColumns as error:
            return {"why": str(error)}
        except SegmentProblem as error:
            return {"why": f"the tree: {error}"}
        except Exception as error:  # whatever is wrong with the slabs, PostgreSQL still knows
            log.warning("columns could not answer", workspace=question.get("workspace"), error=str(error)[:300])
            self._forget(int(question.get("workspace") or 0))
            return {"why": f"{type(error).__name__}: {error}"[:300]}
        finally:
            asking.done.set()
            with self.lock:
                if page and self.pages.get(page, (0, None))[1] is asking:
                    del self.pages[page]

    def _found(self, question: dict[str, Any], asking: Asking) -> dict[str, Any]:
        workspace = Workspace.objects.filter(pk=question["workspace"]).first()
        if workspace is None:
            raise NoColumns("there is no such workspace")
        catalogue = Catalogue(workspace)
        columns = self._columns(workspace)
        tree = question.get("tree")
        with psycopg.connect(address(), autocommit=True) as pg, columns.question(pg, asking) as asked:
            match question.get("ask"):
                case "count":
                    return {"count": asked.count(catalogue, tree)}
                case "moved":
                    return {"moved": asdict(asked.moved(catalogue, tree, date.fromisoformat(question["day"])))}
                case "ids":
                    return {"ids": asked.ids(catalogue, tree, None, question.get("after"), question.get("limit"))}
                case _:
                    purpose = Purpose.objects.filter(workspace=workspace, key=question.get("purpose") or "").first()
                    found = asked.figures(catalogue, tree, purpose)
                    return {"total": found.total, "reasons": found.reasons, "sample": found.sample}

    def _columns(self, workspace: Workspace) -> Columns:
        with self.lock:
            now = store.current(store.folder(self.data, workspace.pk))
            known = self.opened.get(workspace.pk)
            stale = known is not None and (now is None or known.manifest.version != now.version or known.is_outdated())
            if known is not None and stale:
                self._close(workspace.pk)
                known = None
            if known is None:
                while len(self.opened) >= OPEN:
                    self._close(next(iter(self.opened)))
                known = Columns(workspace, self.data)
            self.opened.pop(workspace.pk, None)
            self.opened[workspace.pk] = known  # the latest is the last to be closed
            return known

    def _close(self, workspace_id: int) -> None:
        columns = self.opened.pop(workspace_id)
        with columns.lock:  # its question first comes to its end
            columns.close()

    def _forget(self, workspace_id: int) -> None:
        with self.lock:
            if workspace_id in self.opened:
                self._close(workspace_id)


def _watch(line: socket.socket, asking: Asking) -> None:
    """Stop the question when its asker hangs up."""
    while not asking.done.is_set():
        try:
            if select.select([line], [], [], 0.05)[0] and not line.recv(1, socket.MSG_PEEK):
                asking.stop()
                return
        except (OSError, ValueError):
            asking.stop()
            return


def run(data: Path) -> None:
    """The child that the door wakes; its socket comes with it."""
    Server(data, socket.socket(fileno=int(os.environ.pop(door.LISTENING)))).run()
