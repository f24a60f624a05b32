"""The engine process: answers questions about audiences from columns, for every workspace of this machine.

A question is a line of JSON: ``{"workspace", "ask": "figures" | "count" | "moved" | "ids", "tree", …}``,
or "overlap" of several "trees".
Whoever asks anew with the same ``page`` stops the question before, inside DuckDB or PostgreSQL; so does whoever hangs
up. The trees are those that pages and jobs checked; they are checked again here.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import Any

import psycopg
import structlog
from django.conf import settings

from envol.accounts.models import Workspace
from envol.audience.catalogue import Catalogue
from envol.audience.columns import ask, door, store
from envol.audience.columns.build import address
from envol.audience.columns.engine import Asking, Columns, Interrupted, NoColumns
from envol.audience.language import SegmentProblem
from envol.consent.models import Purpose

QUIET = 600.0  # seconds without a question after which the process ends
TAKING = 1.0  # seconds in which a question must be said
OPEN = 4  # workspaces whose columns stay open

log = structlog.get_logger()


class Server:
    """``AT_ONCE`` threads answer, each with a database connection that stays.

    Taking a question in never waits for them, so that a newer question stops the one before at once.
    """

    AT_ONCE = 2

    def __init__(self, data: Path, listening: socket.socket, quiet: float = QUIET) -> None:
        self.data, self.listening, self.quiet = data, listening, quiet
        self.lock = threading.Lock()
        self.opened: dict[int, Columns] = {}
        self.pages: dict[int, tuple[int, Asking]] = {}
        self.waiting = 0
        self.last = time.monotonic()
        self.own = threading.local()

    def run(self) -> None:
        """Serve until nobody has asked for a while."""
        with ThreadPoolExecutor(self.AT_ONCE, "answers") as pool:
            while self.waiting or time.monotonic() - self.last < self.quiet:
                if not select.select([self.listening], [], [], min(5.0, self.quiet))[0]:
                    continue
                try:
                    line, _ = self.listening.accept()
                    line.settimeout(TAKING)
                    question, asking = self._taken(line)
                except (OSError, ValueError):  # it hung up, or said nothing that makes sense
                    continue
                self.last = time.monotonic()
                if asking is None:
                    _say(line, {"overtaken": True})
                    continue
                with self.lock:
                    self.waiting += 1
                pool.submit(self.serve, line, question, asking)

    def _taken(self, line: socket.socket) -> tuple[dict[str, Any], Asking | None]:
        """The question of a line; None instead of its asking when a newer one of the same page was there before."""
        got = b""
        while not got.endswith(b"\n"):
            more = line.recv(65536)
            if not more or len(got) > ask.LINE:
                line.close()
                raise ValueError("no question")
            got += more
        question = json.loads(got)
        page, turn = int(question.get("page") or 0), int(question.get("turn") or 0)
        asking = Asking()
        with self.lock:
            before = self.pages.get(page) if page else None
            if before is not None and before[0] > turn:
                return question, None
            if before is not None:
                before[1].stop()
            if page:
                self.pages[page] = (turn, asking)
        return question, asking

    def serve(self, line: socket.socket, question: dict[str, Any], asking: Asking) -> None:
        from django.db import close_old_connections

        try:
            close_old_connections()
            threading.Thread(target=_watch, args=(line, asking), daemon=True).start()
            _say(line, self.answer(question, asking))
            self._settle(int(question.get("workspace") or 0))
        finally:
            asking.done.set()
            page = int(question.get("page") or 0)
            with self.lock:
                if page and self.pages.get(page, (0, None))[1] is asking:
                    del self.pages[page]
                self.waiting -= 1
            self.last = time.monotonic()

    def answer(self, question: dict[str, Any], asking: Asking) -> dict[str, Any]:
        began = time.perf_counter()
        try:
            if asking.stopped:
                raise Interrupted
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

    def _settle(self, workspace: int) -> None:
        with self.lock:
            columns = self.opened.get(workspace)
        try:
            if columns is not None:
                columns.settle()
        except Exception as error:  # opened anew, they are as they were written
            log.warning("columns could not be settled", workspace=workspace, error=str(error)[:300])
            self._forget(workspace)

    def _pg(self) -> psycopg.Connection[Any]:
        """The connection of this thread."""
        known: psycopg.Connection[Any] | None = getattr(self.own, "pg", None)
        if known is None or known.closed or known.broken:
            known = self.own.pg = psycopg.connect(address(), autocommit=True)
        return known

    def _found(self, question: dict[str, Any], asking: Asking) -> dict[str, Any]:
        workspace = Workspace.objects.filter(pk=question["workspace"]).first()
        if workspace is None:
            raise NoColumns("there is no such workspace")
        catalogue = Catalogue(workspace)
        if settings.ENVOL.clickhouse and (store.folder(self.data, workspace.pk) / store.DISTRIBUTED).exists():
            return self._from_clickhouse(question, catalogue)
        columns = self._columns(workspace)
        tree = question.get("tree")
        with columns.question(self._pg(), asking) as asked:
            match question.get("ask"):
                case "count":
                    return {"count": asked.count(catalogue, tree)}
                case "moved":
                    return {"moved": asdict(asked.moved(catalogue, tree, date.fromisoformat(question["day"])))}
                case "ids":
                    return {"ids": asked.ids(catalogue, tree, None, question.get("after"), question.get("limit"))}
                case "overlap":
                    return {"masks": asked.masks(catalogue, question["trees"])}
                case _:
                    purpose = Purpose.objects.filter(workspace=workspace, key=question.get("purpose") or "").first()
                    found = asked.figures(catalogue, tree, purpose)
                    return {"total": found.total, "reasons": found.reasons, "sample": found.sample}

    def _from_clickhouse(self, question: dict[str, Any], catalogue: Catalogue) -> dict[str, Any]:
        """What the cluster says; a question that is overtaken meanwhile ends by the cluster's own time limit."""
        from envol.audience.clickhouse import engine, upkeep
        from envol.audience.clickhouse.compile import Refused

        client = getattr(self.own, "clickhouse", None)
        if client is None:
            client = self.own.clickhouse = upkeep.client()
        tree = question.get("tree")
        try:
            with engine.question(client, catalogue.workspace, self._pg()) as asked:
                match question.get("ask"):
                    case "count":
                        return {"count": asked.count(catalogue, tree)}
                    case "ids":
                        return {"ids": asked.ids(catalogue, tree, None, question.get("after"), question.get("limit"))}
                    case "figures":
                        key = question.get("purpose") or ""
                        purpose = Purpose.objects.filter(workspace=catalogue.workspace, key=key).first()
                        found = asked.figures(catalogue, tree, purpose)
                        return {"total": found.total, "reasons": found.reasons, "sample": found.sample}
            raise NoColumns(f"ClickHouse is not asked for {question.get('ask')}")
        except (engine.NoCopy, engine.Behind, Refused) as error:
            raise NoColumns(str(error)) from None

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
            if known.counts_too_much():
                raise NoColumns("a month of events was dropped since they were written")
            return known

    def _close(self, workspace_id: int) -> None:
        columns = self.opened.pop(workspace_id)
        with columns.lock:  # its question first comes to its end
            columns.close()

    def _forget(self, workspace_id: int) -> None:
        with self.lock:
            if workspace_id in self.opened:
                self._close(workspace_id)


def _say(line: socket.socket, answer: dict[str, Any]) -> None:
    with contextlib.suppress(OSError), line:  # whoever hung up wants no answer
        line.sendall(json.dumps(answer).encode() + b"\n")


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
