"""Reads every segment below a directory as one pyarrow dataset, and checks it against the demo's summary.

1. Every column is there, in the type that the archive promises, and nothing is null.
2. There are as many rows as events were committed.
3. Each (kind, id, version) is there once, and a stream's versions are 1 to n.
4. `data` and `meta` are JSON.

Prints a line of figures; says what is wrong and exits with 1 otherwise.
"""

import json
import sys
from collections import Counter, defaultdict
from pathlib import Path

import pyarrow as pa
import pyarrow.dataset as ds

TIME = pa.timestamp("ms", tz="UTC")
COLUMNS = {
    "shard": pa.string(),
    "sequence": pa.string(),
    "arrived_at": TIME,
    "kind": pa.string(),
    "id": pa.string(),
    "version": pa.int64(),
    "commit_id": pa.string(),
    "index": pa.int32(),
    "type": pa.string(),
    "schema": pa.int32(),
    "data": pa.string(),
    "meta": pa.string(),
    "committed_at": TIME,
}
SHOWN = 20


def wrong(table, summary):
    """Everything that is not as it should be, in words."""
    for name, kind in COLUMNS.items():
        if name not in table.column_names:
            yield f"the column {name} is missing"
            return
        if table.schema.field(name).type != kind:
            yield f"the column {name} is {table.schema.field(name).type}, not {kind}"
        if table[name].null_count:
            yield f"the column {name} has {table[name].null_count} nulls"
    if summary["violations"]:
        yield f"the demo itself found {len(summary['violations'])} violations"
    if not summary["events"]:
        yield "the demo committed nothing"
    if table.num_rows != summary["events"]:
        yield f"{table.num_rows} rows, and {summary['events']} events were committed"

    names = zip(*(table[name].to_pylist() for name in ("kind", "id", "version")))
    times = Counter(names)
    yield from (f"{kind}/{id}@{version} is there {n} times" for (kind, id, version), n in times.items() if n > 1)
    streams = defaultdict(list)
    for kind, id, version in times:
        streams[kind, id].append(version)
    if len(streams) != summary["streams"]:
        yield f"{len(streams)} streams, and {summary['streams']} stand in S3"
    for (kind, id), versions in streams.items():
        if sorted(versions) != list(range(1, len(versions) + 1)):
            yield f"{kind}/{id} has the versions {sorted(versions)}"
    for name in ("data", "meta"):
        for row, text in enumerate(table[name].to_pylist()):
            try:
                json.loads(text)
            except ValueError as error:
                yield f"{name} of row {row} is no JSON: {error}"


def main(archive, summary):
    files = sorted(str(file) for file in Path(archive).rglob("*.parquet"))
    if not files:
        sys.exit(f"error: there is no segment below {archive}")
    # No partitioning: the columns say all that the directories' names say.
    table = ds.dataset(files, format="parquet", partitioning=None).to_table()
    summary = json.loads(Path(summary).read_text(encoding="utf-8"))
    found = list(wrong(table, summary))
    for words in found[:SHOWN]:
        print(f"error: {words}", file=sys.stderr)
    if found:
        sys.exit(f"error: the archive is not as it should be in {len(found)} places")
    streams = len(set(zip(table["kind"].to_pylist(), table["id"].to_pylist())))
    print(
        f"pyarrow {pa.__version__} reads {table.num_rows} events of {streams} streams in {len(files)} segments: "
        f"each version once, none missing, all data JSON"
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
