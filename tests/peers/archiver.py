"""An archiver as a team would write it: a Lambda handler for a Kinesis event source mapping, twice.

- `archiver.py gzip DIRECTORY` writes each batch as gzip JSON lines;
- `archiver.py parquet DIRECTORY` writes it with pyarrow as Parquet with zstd, in the columns of Headwater's archive.

It hands each event of the directory to the handler, as the Lambda runtime does: JSON first. Then it hands over the first one again.
It prints how long the events took, and what is stored. One thread does all of it.
"""

import base64
import gzip
import io
import json
import pathlib
import sys
import time
from datetime import datetime, timezone

BUCKET = "archive"


class Memory:
    """Stands in for `boto3.client("s3")`, and keeps what is put."""

    def __init__(self):
        self.objects = {}

    def put_object(self, *, Bucket, Key, Body):  # noqa: N803, boto3's names
        """Keeps an object."""
        self.objects[Bucket, Key] = Body
        return {}


s3 = Memory()


def key(records, ending):
    """A key that names the batch, so that batches do not overwrite one another."""
    shard, sequence = records[0]["eventID"].split(":")
    arrived = datetime.fromtimestamp(records[0]["kinesis"]["approximateArrivalTimestamp"], timezone.utc)
    return f"shard={shard}/dt={arrived:%Y-%m-%d}/{arrived:%H%M%S}-{sequence}-{time.time_ns()}.{ending}"


def gzip_handler(event, context):
    """The records as they are, a line each."""
    records = event["Records"]
    lines = b"\n".join(base64.b64decode(record["kinesis"]["data"]) for record in records)
    s3.put_object(Bucket=BUCKET, Key=key(records, "jsonl.gz"), Body=gzip.compress(lines + b"\n"))


def parquet_handler(event, context):
    """A row per event, in the columns of Headwater's archive."""
    import pyarrow
    import pyarrow.parquet

    records = event["Records"]
    rows = []
    for record in records:
        kinesis = record["kinesis"]
        data = json.loads(base64.b64decode(kinesis["data"]))
        shard = record["eventID"].split(":")[0]
        arrived = int(kinesis["approximateArrivalTimestamp"] * 1000)
        for commit in data["commits"]:
            committed = int(datetime.fromisoformat(commit["at"]).timestamp() * 1000)
            for index, one in enumerate(commit["events"]):
                row = {
                    "shard": shard,
                    "sequence": kinesis["sequenceNumber"],
                    "arrived_at": arrived,
                    "kind": data["kind"],
                    "id": data["stream"].split("/", 1)[1],
                    "version": commit["first"] + index,
                    "commit_id": commit["id"],
                    "index": index,
                    "type": one["type"],
                    "schema": one["schema"],
                    "data": json.dumps(one["data"]),
                    "meta": json.dumps(commit["meta"]),
                    "committed_at": committed,
                }
                rows.append(row)
    file = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), file, compression="zstd")
    s3.put_object(Bucket=BUCKET, Key=key(records, "parquet"), Body=file.getvalue())


def gzip_count(body):
    """Records of an object."""
    return gzip.decompress(body).count(b"\n")


def parquet_count(body):
    """Records of an object, which have one event each here."""
    import pyarrow.parquet

    return pyarrow.parquet.read_metadata(io.BytesIO(body)).num_rows


def main():
    """Runs one of the handlers."""
    mode, directory = sys.argv[1:]
    handler, count = {"gzip": (gzip_handler, gzip_count), "parquet": (parquet_handler, parquet_count)}[mode]
    events = [path.read_bytes() for path in sorted(pathlib.Path(directory).iterdir())]
    if mode == "parquet":
        # Importing it takes a second, and belongs to a cold start.
        import pyarrow
        import pyarrow.parquet  # noqa: F401

        pyarrow.set_cpu_count(1)
    began = time.perf_counter()
    for event in events:
        handler(json.loads(event), None)
    seconds = time.perf_counter() - began

    def records():
        return sum(count(body) for body in s3.objects.values())

    archived = {"seconds": seconds, "records": records(), "bytes": sum(map(len, s3.objects.values()))}
    handler(json.loads(events[0]), None)
    print(json.dumps({**archived, "after_repeat": records()}))


main()
