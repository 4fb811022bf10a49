"""Where to: the command line's part that deploy and destroy share, and the clients of AWS or of an emulator."""

import argparse
import os
import re
import sys

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

# Buckets are named after the stack, the account and the region: 63 letters in all.
NAME = re.compile(r"[a-z][a-z0-9-]{0,23}")


class Failure(Exception):
    """What went wrong, and what to do: shown without a trace."""


def say(text):
    """Shows a step."""
    print(text, file=sys.stderr, flush=True)


def main(run, arguments):
    """Runs a command to its exit code."""
    try:
        run(arguments.parse_args())
    except Failure as failure:
        say(f"error: {failure}")
        sys.exit(1)
    except (BotoCoreError, ClientError) as error:
        say(f"error: AWS says: {error}")
        sys.exit(1)
    except KeyboardInterrupt:
        say("stopped; what was begun goes on at AWS: the same command again takes it up")
        sys.exit(130)


def arguments(program, description):
    """The arguments that both commands have."""
    parser = argparse.ArgumentParser(prog=program, description=description)
    parser.add_argument("--stack", default="headwater", type=name, help="its name (headwater)")
    parser.add_argument(
        "--endpoint",
        metavar="URL",
        help="an emulator, as http://127.0.0.1:4566; without it AWS, as AWS_PROFILE and AWS_REGION say",
    )
    return parser


def name(text):
    """A stack's name."""
    if not NAME.fullmatch(text) or text.endswith("-"):
        raise argparse.ArgumentTypeError("1 to 24 lower-case letters, digits and dashes, a letter first")
    return text


class Place:
    """AWS, or an emulator."""

    def __init__(self, endpoint):
        self.endpoint = endpoint.rstrip("/") if endpoint else None
        # An emulator never gets credentials that somebody else would take.
        made_up = {"aws_access_key_id": "test", "aws_secret_access_key": "test"} if endpoint else {}
        region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
        region = region or ("us-east-1" if endpoint else None)
        self.session = boto3.Session(region_name=region, **made_up)
        self.region = self.session.region_name
        if not self.region:
            raise Failure("no region is set: set AWS_REGION, or AWS_PROFILE to a profile that has one")
        if not endpoint and self.session.get_credentials() is None:
            raise Failure("no credentials were found: set AWS_PROFILE, or sign in with `aws sso login`")

    def client(self, service):
        """A client of one service."""
        path_style = {"s3": {"addressing_style": "path"}} if self.endpoint else {}
        config = Config(retries={"mode": "standard", "total_max_attempts": 8}, **path_style)
        return self.session.client(service, endpoint_url=self.endpoint, config=config)

    def bucket(self, stack, part):
        """The name of a stack's bucket: of its `store`, `archive`, `failures` or `packages`."""
        return f"{stack}-{part}-{self.client('sts').get_caller_identity()['Account']}-{self.region}"

    def __str__(self):
        return self.endpoint or f"AWS, {self.region}"
