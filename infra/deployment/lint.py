"""Lints templates: cfn-lint on what is written, checkov on what CloudFormation makes of it, with every loop unrolled."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from cfnlint.decode import decode
from cfnlint.template import Template
from cfnlint.template.transforms._language_extensions import language_extension


def unrolled(path):
    """A template without its loops: checkov does not go into them."""
    template, errors = decode(path)
    if not errors:
        errors, plain = language_extension(Template(path, template))
    if errors:
        sys.exit(f"error: {path} can't be unrolled: {errors[0]}")
    plain = json.loads(json.dumps(plain or template, default=str))
    plain.pop("Transform", None)
    return plain


def main(paths):
    """Lints; the exit code says how it went."""
    subprocess.run(["cfn-lint", *paths], check=True)
    print("cfn-lint: clean", flush=True)
    with tempfile.TemporaryDirectory() as directory:
        for path in paths:
            plain = unrolled(path)
            (Path(directory) / Path(path).with_suffix(".json").name).write_text(json.dumps(plain, indent=1))
            resources = plain["Resources"].values()
            functions = sum(resource["Type"] == "AWS::Lambda::Function" for resource in resources)
            print(f"{Path(path).name}: {len(resources)} resources, {functions} functions", flush=True)
        options = ["--directory", directory, "--framework", "cloudformation", "--skip-download", "--compact", "--quiet"]
        subprocess.run(["checkov", *options], check=True)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except subprocess.CalledProcessError as error:
        sys.exit(error.returncode)
