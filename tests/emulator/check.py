"""Looks at an emulator that is the caller's alone: whatever stands there was deployed.

- `check.py ready URL` waits until it answers.
- `check.py stands URL`, after a deployment, prints a line of figures; exits with 1 where a kind of resource is missing.
- `check.py measures URL`, after the suite, waits until the log of every function has a metric in the embedded format; exits with 1
  where one is not called what its function's alarms call it.
- `check.py nothing URL`, after it was destroyed, exits with 1 if anything was left behind, and says what.
"""

import json
import sys
import time
import urllib.request

import boto3

# Seconds in which it must answer.
PATIENCE = 60.0
# Seconds in which every function must have measured something: the relay comes once a minute.
MINUTES = 180.0


def asking(endpoint):
    """A client of a service, and whatever a service lists."""

    def client(service):
        keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
        return boto3.client(service, endpoint_url=endpoint, region_name="us-east-1", **keys)

    def listed(service, operation, member, name, **of):
        pages = client(service).get_paginator(operation).paginate(**of)
        return [one[name] if name else one for page in pages for one in page[member]]

    return client, listed


def resources(endpoint):
    """What stands, by kind: names."""
    client, listed = asking(endpoint)
    stacks = client("cloudformation").describe_stacks()["Stacks"]
    keys = [client("kms").describe_key(KeyId=key)["KeyMetadata"] for key in listed("kms", "list_keys", "Keys", "KeyId")]
    return {
        "stacks": [stack["StackName"] for stack in stacks if stack["StackStatus"] != "DELETE_COMPLETE"],
        "functions": listed("lambda", "list_functions", "Functions", "FunctionName"),
        "mappings": listed("lambda", "list_event_source_mappings", "EventSourceMappings", "UUID"),
        "buckets": [bucket["Name"] for bucket in client("s3").list_buckets()["Buckets"]],
        "streams": listed("kinesis", "list_streams", "StreamNames", None),
        "APIs": [api["ApiId"] for api in client("apigatewayv2").get_apis()["Items"]],
        "schedules": listed("events", "list_rules", "Rules", "Name"),
        "roles": listed("iam", "list_roles", "Roles", "RoleName"),
        "log groups": listed("logs", "describe_log_groups", "logGroups", "logGroupName"),
        "alarms": listed("cloudwatch", "describe_alarms", "MetricAlarms", "AlarmName"),
        "dashboards": [board["DashboardName"] for board in client("cloudwatch").list_dashboards()["DashboardEntries"]],
        # A key has some days in which it can be had back.
        "keys": [key["KeyId"] for key in keys if key["KeyManager"] == "CUSTOMER" and key["KeyState"] != "PendingDeletion"],
    }


def ready(endpoint):
    """Waits until it answers."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return urllib.request.urlopen(f"{endpoint}/_ministack/health", timeout=2).read()
        except OSError as error:
            if time.monotonic() > deadline:
                sys.exit(f"error: {endpoint} does not answer after {PATIENCE:.0f} s: {error}")
        time.sleep(0.1)


def stands(endpoint):
    """Counts what stands."""
    found = resources(endpoint)
    print(", ".join(f"{len(names)} {kind}" for kind, names in found.items()))
    missing = [kind for kind, names in found.items() if not names]
    if missing:
        sys.exit(f"error: the deployment has no {', '.join(missing)}")
    client, _ = asking(endpoint)
    for bucket in found["buckets"]:
        versions = client("s3").get_bucket_versioning(Bucket=bucket).get("Status")
        if ("-store-" in bucket and versions) or ("-archive-" in bucket and versions != "Enabled"):
            sys.exit(f"error: the versions of {bucket} are {versions}: an archive has them, a store never")


def measures(endpoint):
    """Compares what functions measure with what alarms watch."""
    client, listed = asking(endpoint)
    functions = {one["FunctionName"]: one for one in listed("lambda", "list_functions", "Functions", None)}
    watched = set()
    for alarm in listed("cloudwatch", "describe_alarms", "MetricAlarms", None):
        if alarm["Namespace"] == "Headwater":
            [dimension] = alarm["Dimensions"]
            if dimension["Name"] != "Function" or dimension["Value"] not in functions:
                sys.exit(f"error: the alarm {alarm['AlarmName']} watches {dimension}, and there is no such function")
            watched.add(alarm["MetricName"])
    deadline = time.monotonic() + MINUTES
    silent, seen = set(functions), set()
    while silent:
        for name in sorted(silent):
            group = functions[name]["LoggingConfig"]["LogGroup"]
            for message in listed("logs", "filter_log_events", "events", "message", logGroupName=group):
                if '"CloudWatchMetrics"' not in message:
                    continue
                document = json.loads(message)
                if document["Function"] != name:
                    sys.exit(f"error: {name} calls itself {document['Function']} in its metrics: no alarm would see it")
                seen |= document.keys()
                silent.discard(name)
        if silent and time.monotonic() > deadline:
            sys.exit(f"error: nothing was measured by {', '.join(sorted(silent))}")
        time.sleep(0.5 if silent else 0)
    # What went wrong nowhere was not measured.
    print(f"{len(functions)} functions measured {', '.join(sorted(seen - {'_aws', 'Function'}))}; watched: {', '.join(sorted(watched))}")


def nothing(endpoint):
    """Looks for what was left behind."""
    left = {kind: names for kind, names in resources(endpoint).items() if names}
    for kind, names in left.items():
        print(f"error: {len(names)} {kind} were left behind: {', '.join(names)}", file=sys.stderr)
    if left:
        sys.exit(1)
    print("nothing is left behind")


if __name__ == "__main__":
    {"ready": ready, "stands": stands, "measures": measures, "nothing": nothing}[sys.argv[1]](sys.argv[2])
