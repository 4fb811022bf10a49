"""Takes a deployment away. What holds history stays unless it is told to go: buckets of store and archive, and their key.

1. Names are learned while the stack still tells them.
2. The stack goes: functions, mappings, streams, roles, logs, alarms. Its policies on the buckets go with it.
3. Without `--everything` it ends here: `infra/deploy` under the same name takes the buckets in again.
4. With it buckets are emptied and deleted, then the foundation, and its key is scheduled for deletion.
"""

import sys

from botocore.exceptions import ClientError

from .place import Failure, Place, arguments, main, say
from .stack import Stack

# Days in which a key can still be had back.
KEY_DAYS = 7


def destroy(given):
    """Destroys as the command line says."""
    place = Place(given.endpoint)
    stack, foundation = Stack(place, given.stack), Stack(place, f"{given.stack}-foundation")
    buckets = {part: place.bucket(given.stack, part) for part in ("store", "archive", "failures", "packages")}
    say(f"destroying {given.stack} at {place}")
    if given.everything:
        confirm(given, [buckets["store"], buckets["archive"]])
    key = foundation.outputs().get("KeyArn")
    s3 = place.client("s3")

    say("stack")
    empty(s3, buckets["failures"])
    stack.delete()
    if not given.everything:
        say(f"kept: {buckets['store']}, {buckets['archive']}, {foundation.name} with their key")
        again = "" if place.endpoint is None else " (AWS does; of emulators not each)"
        say(f"`infra/deploy` with the same name takes them in again{again}; `infra/destroy --everything` deletes them")
        return

    for part in ("store", "archive"):
        say(f"bucket {buckets[part]}")
        empty(s3, buckets[part])
        drop(s3, buckets[part])
    say("foundation")
    empty(s3, buckets["packages"])
    foundation.delete()
    if key:
        schedule(place.client("kms"), key)


def confirm(given, buckets):
    """Asks whoever sits there."""
    if given.yes:
        return
    if not sys.stdin.isatty():
        raise Failure("--everything deletes history for ever: say --yes as well where nobody can be asked")
    say(f"this deletes {' and '.join(buckets)} with every event in them, for ever")
    print(f"type the stack's name ({given.stack}) to go on: ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip() != given.stack:
        raise Failure("nothing was done")


def empty(s3, bucket):
    """Deletes every version of every object. A listing that goes on while its objects go may pass over one: each begins anew."""
    deleted = 0
    try:
        while True:
            page = s3.list_object_versions(Bucket=bucket)
            found = page.get("Versions", []) + page.get("DeleteMarkers", [])
            objects = [{"Key": one["Key"], "VersionId": one["VersionId"]} for one in found]
            if not objects:
                return
            answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": objects, "Quiet": True})
            if answer.get("Errors"):
                first = answer["Errors"][0]
                raise Failure(f"{bucket}/{first['Key']} was not deleted: {first.get('Message', first.get('Code'))}")
            deleted += len(objects)
            say(f"  {deleted} objects of {bucket}")
    except ClientError as error:
        if error.response["Error"]["Code"] not in ("NoSuchBucket", "404"):
            raise


def drop(s3, bucket):
    """Deletes an empty bucket, if it is there."""
    try:
        s3.delete_bucket(Bucket=bucket)
    except ClientError as error:
        if error.response["Error"]["Code"] not in ("NoSuchBucket", "404"):
            raise


def schedule(kms, key):
    """Lets the key go in some days."""
    if kms.describe_key(KeyId=key)["KeyMetadata"]["KeyState"] == "PendingDeletion":
        return
    kms.schedule_key_deletion(KeyId=key, PendingWindowInDays=KEY_DAYS)
    say(f"  {key} is deleted in {KEY_DAYS} days; until then `aws kms cancel-key-deletion` has it back")


def command():
    """The command line."""
    parser = arguments("infra/destroy", "Take away what infra/deploy made. Store and archive stay, unless told otherwise.")
    parser.add_argument(
        "--everything", action="store_true", help="the store and the archive too: every event, for ever"
    )
    parser.add_argument("--yes", action="store_true", help="do not ask")
    return parser


if __name__ == "__main__":
    main(destroy, command())
