"""Each service's OpenAPI document: valid, complete, and kept by the service.

usage: check.py ADDRESSES

ADDRESSES is what `headwater up` prints: a line `NAME URL` for each service. openapi-spec-validator looks at the documents,
schemathesis asks what they describe: their examples, their limits, and some hundred requests that are drawn the same way each time.
"""

import os
import re
import subprocess
import sys
import tempfile
import time

import requests
from openapi_spec_validator import OpenAPIV31SpecValidator

SERVICES = {"accounts", "credit", "withdraw", "balance", "credit-limit", "users", "transfers", "exceptions"}
# Kept by every answer. A request of the right shape may be refused for what is in the store, so that it is accepted is not asked.
CHECKS = ",".join([
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "unsupported_method",
])
EXAMPLES = "40"
# What the examples of the documents are about.
EXISTING = [
    ("accounts", "/accounts", {"id": "42", "overdraft_limit": 5000}),
    ("accounts", "/accounts", {"id": "43"}),
    ("credit", "/accounts/42/credit", {"amount": 1250}),
    ("users", "/users", {"id": "9", "username": "zoe"}),
    ("transfers", "/transfers", {"id": "7", "from": "42", "to": "43", "amount": 250}),
]


def addresses(path, patience=900):
    """The services' addresses, as soon as all of them have one."""
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        with open(path) as printed:
            found = dict(re.findall(r"^  ([\w-]+) +(http://\S+)$", printed.read(), re.MULTILINE))
        if SERVICES <= found.keys():
            return {name: found[name] for name in sorted(SERVICES)}
        time.sleep(0.2)
    sys.exit(f"error: {path} does not name all services: is `headwater up` running?")


def document_errors(document):
    """What is wrong with a document, in words."""
    errors = [f"{'/'.join(map(str, error.absolute_path))}: {error.message}"
              for error in OpenAPIV31SpecValidator(document).iter_errors()]
    if not document["openapi"].startswith("3.1"):
        errors.append(f"it is of version {document['openapi']}")
    for path, item in document["paths"].items():
        for method, operation in item.items():
            place = f"{method.upper()} {path}"
            if "summary" not in operation and "description" not in operation:
                errors.append(f"{place}: says nothing of what it does")
            for parameter in operation.get("parameters", []):
                if parameter["in"] == "path" and "pattern" not in parameter["schema"]:
                    errors.append(f"{place}: {parameter['name']} has no pattern")
            if "default" in operation["responses"]:
                errors.append(f"{place}: an answer without a status")
    return errors


def kept(name, url, directory):
    """Whether a service answers as its document says."""
    command = [
        "schemathesis", "run", f"{url}/openapi.json", "--checks", CHECKS, "--max-examples", EXAMPLES, "--generation-deterministic",
        "--phases", "examples,coverage,fuzzing", "--request-timeout", "35", "--suppress-health-check", "all",
        "--warnings", "off", "--no-color",
    ]
    run = subprocess.run(command, cwd=directory, env={**os.environ, "PYTHONUTF8": "1"}, capture_output=True, text=True)
    if run.returncode != 0:
        print(f"{name}: not as its document says\n{run.stdout}{run.stderr}", file=sys.stderr)
    return run.returncode == 0


def main():
    services = addresses(sys.argv[1])
    for service, path, body in EXISTING:
        answer = requests.post(services[service] + path, json=body, timeout=35)
        if not answer.ok:
            sys.exit(f"error: {service}{path}: {answer.status_code} {answer.text}")
    wrong = False
    with tempfile.TemporaryDirectory() as directory:
        for name, url in services.items():
            begin = time.monotonic()
            document = requests.get(f"{url}/openapi.json", timeout=35).json()
            errors = document_errors(document)
            for error in errors:
                print(f"{name}: {error}", file=sys.stderr)
            wrong |= bool(errors) or not kept(name, url, directory)
            print(f"{name}: looked at for {time.monotonic() - begin:.0f} s")
    if wrong:
        sys.exit(1)
    print("every document is valid, and kept")


main()
