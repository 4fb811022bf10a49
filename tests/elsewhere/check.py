"""What is asked of an S3 that is another program's, and of ours by a client that is another program's.

- `check.py ready URL` waits until it answers.
- `check.py race URL` lets clients race: of conditional writes of one key exactly one must win, in each of 200 rounds.
- `check.py look URL` looks into S3 with boto3 as people do: uploads in parts, copies, both listings, presigned URLs, damaged bodies.
"""

import os
import sys
import tempfile
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import boto3
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import ClientError

# Seconds in which it must answer.
PATIENCE = 60.0
ROUNDS = 200
RACERS = 8
MIB = 1024 * 1024


def client(endpoint, **config):
    """A client of S3 that does not try again."""
    config = Config(retries={"total_max_attempts": 1}, max_pool_connections=RACERS, s3={"addressing_style": "path"}, **config)
    keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
    return boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1", config=config, **keys)


def ready(endpoint):
    """Waits until it answers, whatever it is."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return client(endpoint).list_buckets()
        except Exception as error:
            if time.monotonic() > deadline:
                sys.exit(f"error: {endpoint} does not answer after {PATIENCE:.0f} s: {error}")
        time.sleep(0.1)


def race(endpoint):
    """Even rounds race to create a key, odd ones to replace what won before. Bodies differ: an ETag may follow from the content alone."""
    clients = [client(endpoint) for _ in range(RACERS)]
    clients[0].create_bucket(Bucket="race")
    etag = None

    def write(racer, key, condition):
        try:
            return clients[racer].put_object(Bucket="race", Key=key, Body=f"{key} {condition} {racer}".encode(), **condition)["ETag"]
        except ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] not in (409, 412):
                raise
            return None

    with ThreadPoolExecutor(RACERS) as racers:
        for number in range(ROUNDS):
            key = f"round/{number // 2}"
            condition = {"IfNoneMatch": "*"} if number % 2 == 0 else {"IfMatch": etag}
            won = [found for found in racers.map(lambda racer: write(racer, key, condition), range(RACERS)) if found]
            if len(won) != 1:
                sys.exit(f"error: {len(won)} of {RACERS} conditional writes won round {number} with {condition}")
            etag = won[0]
    print(f"{ROUNDS} rounds of {RACERS} racing conditional writes, each with one winner")


def refused(status, call, **arguments):
    """Makes a call that must be refused."""
    try:
        call(**arguments)
    except ClientError as error:
        found = error.response["ResponseMetadata"]["HTTPStatusCode"]
        if found != status:
            sys.exit(f"error: {call.__name__} was refused with {found}, not {status}: {error}")
        return
    sys.exit(f"error: {call.__name__} was not refused: {arguments.keys()}")


def look(endpoint):
    """Does what `aws s3` and a script with boto3 do."""
    s3 = client(endpoint)
    s3.create_bucket(Bucket="look")
    large = os.urandom(9 * MIB)
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "large")
        with open(path, "wb") as file:
            file.write(large)
        parts = TransferConfig(multipart_threshold=8 * MIB, multipart_chunksize=8 * MIB)
        s3.upload_file(path, "look", "a b/large", Config=parts)
        s3.copy({"Bucket": "look", "Key": "a b/large"}, "look", "copy", Config=parts)
        s3.download_file("look", "copy", path)
        with open(path, "rb") as file:
            assert file.read() == large, "an upload in parts comes back as it was"
    s3.copy_object(Bucket="look", Key="c/1", CopySource={"Bucket": "look", "Key": "copy"})
    refused(412, s3.copy_object, Bucket="look", Key="c/2", CopySource={"Bucket": "look", "Key": "copy"}, CopySourceIfMatch='"0"')
    for version in ("list_objects", "list_objects_v2"):
        pages = list(s3.get_paginator(version).paginate(Bucket="look", Delimiter="/", PaginationConfig={"PageSize": 1}))
        keys = [one["Key"] for page in pages for one in page.get("Contents", [])]
        groups = [one["Prefix"] for page in pages for one in page.get("CommonPrefixes", [])]
        assert (keys, groups) == (["copy"], ["a b/", "c/"]), (version, keys, groups)
    # The older signature is boto3's default for a presigned URL of S3.
    for signature in ("s3v4", "s3"):
        signing = client(endpoint, signature_version=signature)
        url = signing.generate_presigned_url("put_object", Params={"Bucket": "look", "Key": "signed"})
        urllib.request.urlopen(urllib.request.Request(url, data=signature.encode(), method="PUT")).read()
        url = signing.generate_presigned_url("get_object", Params={"Bucket": "look", "Key": "signed"})
        assert urllib.request.urlopen(url).read() == signature.encode(), signature
        late = signing.generate_presigned_url("get_object", Params={"Bucket": "look", "Key": "signed"}, ExpiresIn=-60)
        try:
            urllib.request.urlopen(late)
            sys.exit(f"error: a URL of {signature} that expired was taken")
        except urllib.error.HTTPError as error:
            assert error.code in (400, 403), error
    for checksum in (
        {"ChecksumCRC32": "AAAAAA=="},
        {"ChecksumSHA1": "AAAAAAAAAAAAAAAAAAAAAAAAAAA="},
        {"ChecksumSHA256": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="},
        {"ContentMD5": "AAAAAAAAAAAAAAAAAAAAAA=="},
    ):
        refused(400, s3.put_object, Bucket="look", Key="damaged", Body=b"1", **checksum)
    s3.put_object(Bucket="look", Key="d/1", Body=b"1", ChecksumAlgorithm="SHA256")
    checked = s3.get_object(Bucket="look", Key="d/1", ChecksumMode="ENABLED")
    assert (checked["Body"].read(), checked["ChecksumSHA256"]) == (b"1", "a4ayc/80/OGda4BO/1o/V0etpOqiLx1JwB5S3beHW0s="), checked
    s3.delete_objects(Bucket="look", Delete={"Objects": [{"Key": "d/1"}, {"Key": "c/1"}]})
    refused(404, s3.head_object, Bucket="look", Key="c/1")
    refused(404, s3.head_object, Bucket="look", Key="damaged")
    print("uploads in parts, copies, listings, presigned URLs and checksums, by boto3")


if __name__ == "__main__":
    {"ready": ready, "race": race, "look": look}[sys.argv[1]](sys.argv[2])
