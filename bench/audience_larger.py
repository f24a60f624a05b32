"""Slabs several times as long as those there are: the same people again and again, under other positions and ids."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench import ground
from envol.audience.columns import build, store

if TYPE_CHECKING:
    from envol.audience.columns.engine import Columns


@contextmanager
def enlarged(columns: Columns, data: Path, times: int) -> Iterator[Path]:
    """A data directory whose columns are those of ``columns``, ``times`` over; gone afterwards."""
    place = data / "larger"
    found = columns.manifest
    home = store.folder(place, columns.workspace_id)
    shutil.rmtree(place, ignore_errors=True)
    (home / found.version).mkdir(parents=True)
    people = len(columns.ids)
    span = int(columns.ids[-1]) - int(columns.ids[0]) + 1
    files = {
        name: [
            _copied(columns.home / found.version / file, home / found.version, n, n * people, n * span)
            for n in range(times)
            for file in listed
        ]
        for name, listed in found.files.items()
    }
    rows = {name: count * times for name, count in found.rows.items()}
    made = replace(found, people=people * times, files=files, rows=rows)
    (home / found.version / "manifest.json").write_text(json.dumps(asdict(made)))
    (home / "current").write_text(found.version)
    size = sum(file.stat().st_size for file in (home / found.version).iterdir())
    ground.say(f"audience: {made.people:,} people, {sum(rows.values()):,} rows in columns, {size / 1e9:.1f} GB")
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _copied(file: Path, into: Path, n: int, positions: int, ids: int) -> str:
    """One slab, written as the builder writes it; its name."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    source = pq.ParquetFile(file)
    names = source.schema_arrow.names
    shifted: dict[str, int] = {"pos": positions, "id": ids}
    made = into / f"{n}-{file.name}"
    encoding: dict[str, Any] = build.encoding(names)
    with pq.ParquetWriter(made, source.schema_arrow, **encoding) as writer:
        for batch in source.iter_batches(batch_size=build.GROUP):
            told = [
                pc.add(batch.column(name), pa.scalar(shifted[name], batch.schema.field(name).type))
                if name in shifted
                else batch.column(name)
                for name in names
            ]
            writer.write_table(pa.Table.from_arrays(told, schema=source.schema_arrow), row_group_size=build.GROUP)
    return made.name
