"""Lines of a file on the disk, sorted by address: how a file larger than memory is decided part by part.

Each block of cleaned lines is sorted and put down as one run, cut into small batches whose first keys are
remembered. From these the file is split into ranges of addresses of about equal size; a range is read
from all runs and decided alone (an external sort whose last merge is never written). What is
held in memory is one range, a block for each thread that cleans, one key for every 256 lines and two for a batch.

The files have no name: nothing of anybody's data is left when a process is killed.
"""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

PART_LINES = 25_000
PART_BYTES = 16 << 20
"""Lines decided at once: as many, or fewer where they are wide."""
_BATCH_LINES, _BATCH_BYTES = 512, 256 << 10
_RUNS = 64  # are merged into one
_EVERY = 256  # lines a remembered key stands for


class _Batch(NamedTuple):
    first: str
    last: str
    offset: int
    length: int
    file: int


class Staging:
    """Sorted runs of lines with unique keys; ``key`` and ``no`` are columns of every frame. Thread-safe to add to."""

    def __init__(self, folder: Path) -> None:
        # Runs as they come, and those that were merged: a range read from too many runs reads too much beside it.
        self._files = [tempfile.TemporaryFile(dir=folder) for _ in range(2)]  # noqa: SIM115
        self._lock = threading.Lock()
        self._batches: list[_Batch] = []
        self._marks: list[tuple[pl.Series, int, int]] = []  # every 256th key of a run; its lines, their width
        self._runs = 0
        self._schema: pa.Schema | None = None
        self.lines = self.kept = self.repeated = 0  # as they came; on the disk; lines that a later one replaces

    def close(self) -> None:
        for file in self._files:
            file.close()

    def add(self, frame: pl.DataFrame) -> None:
        """Put one block down; of lines with one key only the last stays."""
        if not frame.height:
            return
        kept = last_of_each(frame)
        table = kept.to_arrow().combine_chunks()
        width = max(1, table.nbytes // kept.height)
        with self._lock:
            if self._schema is None:
                self._schema = table.schema.remove_metadata()
            self._marks.append((kept["key"].gather_every(_EVERY), kept.height, width))
            self.lines += frame.height
            self.kept += kept.height
            self.repeated += frame.height - kept.height
            self._put(kept["key"], table, width, 0)
            self._runs += 1
            if self._runs == _RUNS:
                self._merge()

    def _put(self, keys: pl.Series, table: pa.Table, width: int, to: int) -> None:
        step = max(16, min(_BATCH_LINES, _BATCH_BYTES // width))
        file = self._files[to]
        for i, batch in enumerate(table.to_batches(max_chunksize=step)):
            data, last = batch.serialize(), min((i + 1) * step, len(keys)) - 1
            self._batches.append(_Batch(keys[i * step], keys[last], file.tell(), data.size, to))
            file.write(data)

    def _merge(self) -> None:
        fresh = [batch for batch in self._batches if batch.file == 0]
        self._batches = [batch for batch in self._batches if batch.file]
        for part in self._ranges(fresh):
            table = part.to_arrow().combine_chunks()
            self._put(part["key"], table, max(1, table.nbytes // part.height), 1)
        self._files[0].seek(0)
        self._files[0].truncate()
        self._runs = 0

    def parts(self) -> Iterator[pl.DataFrame]:
        """All lines in key order, each key once (its last line), in frames of about `PART_LINES`."""
        return self._ranges(self._batches)

    def _ranges(self, batches: list[_Batch]) -> Iterator[pl.DataFrame]:
        if not batches:
            return
        for file in self._files:
            file.flush()
        width = max(1, sum(lines * width for _, lines, width in self._marks) // sum(n for _, n, _ in self._marks))
        every = max(1, min(PART_LINES, PART_BYTES // width) // _EVERY)
        marks = pl.concat([keys for keys, _, _ in self._marks]).sort()
        cuts = marks.gather_every(every, offset=every).unique().sort().to_list()
        batches = sorted(batches)
        for low, high in zip([None, *cuts], [*cuts, None], strict=True):
            read = [
                self._read(batch, low, high)
                for batch in batches
                if (low is None or batch.last >= low) and (high is None or batch.first < high)
            ]
            if not read:
                continue
            came = sum(batch.num_rows for batch in read)
            kept = last_of_each(pl.DataFrame(pl.from_arrow(pa.Table.from_batches(read))))
            read.clear()
            self.repeated += came - kept.height
            self.kept -= came - kept.height
            if kept.height:
                yield kept

    def _read(self, batch: _Batch, low: str | None, high: str | None) -> pa.RecordBatch:
        data = pa.py_buffer(os.pread(self._files[batch.file].fileno(), batch.length, batch.offset))
        found = pa.ipc.read_record_batch(data, self._schema)
        wanted: Any = None
        if low is not None and batch.first < low:
            wanted = pc.greater_equal(found["key"], low)
        if high is not None and batch.last >= high:
            below = pc.less(found["key"], high)
            wanted = below if wanted is None else pc.and_(wanted, below)
        # A filtered batch is a copy: the rest of it is not kept alive.
        return found if wanted is None else found.filter(wanted)


def last_of_each(frame: pl.DataFrame) -> pl.DataFrame:
    """Sorted by key; of several lines with one key the one with the highest number."""
    frame = frame.sort("key", "no")
    return frame.filter(pl.col("key").ne_missing(pl.col("key").shift(-1)))
