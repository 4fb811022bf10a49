"""Deploys: packages, foundation, stack; then says where everything is, in lines that a shell takes in."""

import json
import shlex
import sys

from botocore.exceptions import ClientError

from . import packages
from .packages import ROOT
from .place import Failure, Place, arguments, main, say
from .stack import Stack

# What the tool and the tests read, and the stack's output that says it.
EXPORTS = {
    "HEADWATER_STORE": "StoreName",
    "HEADWATER_ARCHIVE": "ArchiveName",
    "HEADWATER_STREAM": "StreamName",
    "HEADWATER_FORWARD": "ForwardName",
    "HEADWATER_FAILURES": "FailuresName",
}


def deploy(given):
    """Deploys as the command line says."""
    place = Place(given.endpoint)
    architecture = given.architecture or packages.native()
    say(f"deploying {given.stack} to {place}")
    built = packages.build(architecture)
    template = (ROOT / "infra/headwater.yaml").read_text()
    release = packages.release({**built, "headwater.yaml": template.encode()})

    say("foundation: the key and the bucket of packages")
    foundation = Stack(place, f"{given.stack}-foundation")
    foundation.apply((ROOT / "infra/foundation.yaml").read_text(), {"Stack": given.stack})
    stands = foundation.outputs("PackagesName", "KeyArn")
    bucket = stands["PackagesName"]

    say(f"packages: {bucket}/{release}")
    s3 = place.client("s3")
    for name, content in built.items():
        upload(s3, bucket, f"{release}/{name}.zip", content)
    upload(s3, bucket, f"{release}/headwater.yaml", template.encode())

    say("stack: everything else")
    stack = Stack(place, given.stack)
    own = {"CodeBucket": bucket, "Release": release, "Architecture": architecture, "KeyArn": stands["KeyArn"]}
    own["StoreVersions"] = versions(s3, place.bucket(given.stack, "store"))
    stack.apply(url(place, bucket, f"{release}/headwater.yaml"), {**dict(given.parameter), **own})
    say("identity: the relay makes store.json, unless it is there")
    identify(place, f"{given.stack}-relay")
    show(place, stack.outputs("Url", "ApiId", *EXPORTS.values()), given.json)


def identify(place, relay):
    """Lets the relay pass once: a bucket becomes a store before anything is written there."""
    answer = place.client("lambda").invoke(FunctionName=relay, Payload=b"{}")
    if answer.get("FunctionError"):
        raise Failure(f"the relay failed: {answer['Payload'].read().decode(errors='replace')}")


def upload(s3, bucket, key, content):
    """Puts an object, unless it stands."""
    try:
        s3.head_object(Bucket=bucket, Key=key)
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] != 404:
            raise
        s3.put_object(Bucket=bucket, Key=key, Body=content)


def versions(s3, bucket):
    """Whether the store's bucket had versions once: S3 can only suspend them then. One that does not exist yet never has any."""
    try:
        return "SUSPENDED" if s3.get_bucket_versioning(Bucket=bucket).get("Status") else "NEVER"
    except ClientError as error:
        if error.response["Error"]["Code"] not in ("NoSuchBucket", "404"):
            raise
        return "NEVER"


def url(place, bucket, key):
    """Where CloudFormation finds an object."""
    if place.endpoint:
        return f"{place.endpoint}/{bucket}/{key}"
    suffix = "amazonaws.com.cn" if place.region.startswith("cn-") else "amazonaws.com"
    return f"https://{bucket}.s3.{place.region}.{suffix}/{key}"


def show(place, outputs, as_json):
    """Says where everything is."""
    # An emulator has no names of its own for an API.
    api = f"{place.endpoint}/_aws/execute-api/{outputs['ApiId']}" if place.endpoint else outputs["Url"]
    exports = {"AWS_ENDPOINT_URL": place.endpoint} if place.endpoint else {}
    exports |= {"AWS_REGION": place.region, "HEADWATER_URL": api.rstrip("/")}
    exports |= {name: outputs[output] for name, output in EXPORTS.items()}
    if as_json:
        print(json.dumps(exports))
        return
    for name, value in exports.items():
        print(f"export {name}={shlex.quote(value)}")
    if sys.stdout.isatty():
        say('\nTo let the tool and the tests see it: eval "$(infra/deploy …)", as often as you like')


def parameter(text):
    """A parameter of the template."""
    key, separator, value = text.partition("=")
    if not separator or not key.isalnum():
        raise ValueError(text)
    return key, value


def command():
    """The command line."""
    parser = arguments("infra/deploy", "Build the Lambda functions and deploy everything. Doing it again changes what differs.")
    parser.add_argument(
        "--architecture", choices=sorted(packages.MACHINES), help="what the functions run on (what this machine is)"
    )
    parser.add_argument(
        "--parameter",
        metavar="NAME=VALUE",
        action="append",
        default=[],
        type=parameter,
        help="a parameter of infra/headwater.yaml, as Size=medium; may be repeated",
    )
    parser.add_argument("--json", action="store_true", help="where everything is, as one JSON object")
    return parser


if __name__ == "__main__":
    main(deploy, command())
