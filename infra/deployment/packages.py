"""The Lambda packages: a zip file for each binary, as Lambda's `provided.al2023` takes it.

1. Which binaries there are, cargo tells.
2. They are built with the machine's own toolchain, once for this and for `cargo run --release`.
3. What they need of the C library must be there at Lambda, whose glibc is 2.34 (Amazon Linux 2023). A machine that is newer may
   build in more; then, and for another architecture, they are built by cargo-lambda, whose linker takes 2.34 for its measure.
4. A package has the same bytes whenever its binary has: it stands under the hash of its content.
"""

import hashlib
import io
import json
import os
import platform
import subprocess
import sys
import zipfile
from pathlib import Path

from elftools.common.exceptions import ELFError
from elftools.elf.elffile import ELFFile
from elftools.elf.gnuversions import GNUVerNeedSection

from .place import Failure, say

ROOT = Path(__file__).resolve().parents[2]
CRATES = ["producers", "consumers", "archiver"]
GLIBC = (2, 34)
MOST_BYTES = 8 << 20
MACHINES = {"x86_64": "EM_X86_64", "arm64": "EM_AARCH64"}
TARGETS = {"x86_64": "x86_64-unknown-linux-gnu", "arm64": "aarch64-unknown-linux-gnu"}


def native():
    """This machine's architecture, in Lambda's words."""
    machine = platform.machine()
    return {"aarch64": "arm64", "AMD64": "x86_64"}.get(machine, machine)


def build(architecture):
    """The packages, by name: bytes of zip files."""
    names = binaries()
    directory = None
    if architecture == native() and sys.platform == "linux":
        directory = compile_here(names)
        newer = [f"{name} needs glibc {version(found)}" for name in names if (found := glibc(directory / name)) > GLIBC]
        if newer:
            say(f"  this machine's C library is newer than Lambda's: {newer[0]}")
            directory = None
    if directory is None:
        directory = compile_across(names, architecture)
    return {name: package(name, directory, architecture) for name in names}


def release(packages):
    """What the packages stand under: their content's hash."""
    whole = hashlib.sha256()
    for name, zipped in sorted(packages.items()):
        whole.update(name.encode() + hashlib.sha256(zipped).digest())
    return whole.hexdigest()[:20]


def binaries():
    """The binaries that are functions: all of these crates."""
    told = run(["cargo", "metadata", "--no-deps", "--format-version", "1", "--locked"], stdout=subprocess.PIPE)
    crates = [crate for crate in json.loads(told)["packages"] if crate["name"] in CRATES]
    targets = [target for crate in crates for target in crate["targets"] if target["kind"] == ["bin"]]
    return sorted(target["name"] for target in targets)


def wanted(names):
    crates = [argument for crate in CRATES for argument in ("--package", crate)]
    return crates + [argument for name in names for argument in ("--bin", name)]


def compile_here(names):
    say("building the Lambda functions")
    # The tool's package beside them: shared dependencies keep the features that `cargo run` builds them with.
    run(["cargo", "build", "--release", "--locked", "--package", "headwater-tool", *wanted(names)], stdout=sys.stderr)
    return target() / "release"


def compile_across(names, architecture):
    triple = TARGETS[architecture]
    say(f"building the Lambda functions for {triple}")
    root = run(["rustc", "--print", "sysroot"], stdout=subprocess.PIPE).decode().strip()
    if not (Path(root) / "lib/rustlib" / triple).is_dir():
        raise Failure(f"this Rust has no target {triple}: run `rustup target add {triple}`")
    flag = {"x86_64": "--x86-64", "arm64": "--arm64"}[architecture]
    cargo = ["cargo", "lambda", "build", "--release", "--locked", flag, *wanted(names)]
    tools = "import subprocess, sys; sys.exit(subprocess.run(sys.argv[1:]).returncode)"
    run([ROOT / ".ci/python", ROOT / "infra/requirements/cross.txt", "-c", tools, *cargo], stdout=sys.stderr)
    directory = target() / "lambda"
    # It calls each binary what Lambda calls it.
    for name in names:
        (directory / name / "bootstrap").replace(directory / name / name)
    return directory


def package(name, directory, architecture):
    """One package, checked."""
    path = directory / name
    path = path / name if path.is_dir() else path
    found, machine = glibc(path), elf(path, lambda file: file["e_machine"])
    if machine != MACHINES[architecture]:
        raise Failure(f"{path} was built for {machine}, not for {architecture}")
    if found > GLIBC:
        raise Failure(f"{path} needs glibc {version(found)}: Lambda has {version(GLIBC)}")
    zipped = io.BytesIO()
    with zipfile.ZipFile(zipped, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        entry = zipfile.ZipInfo("bootstrap", date_time=(1980, 1, 1, 0, 0, 0))
        entry.external_attr, entry.create_system = 0o755 << 16, 3
        archive.writestr(entry, path.read_bytes(), zipfile.ZIP_DEFLATED, 9)
    content = zipped.getvalue()
    say(f"  {name:<18} {len(content) / 1e6:4.1f} MB, glibc {version(found)}")
    if len(content) > MOST_BYTES:
        raise Failure(f"the package of {name} has {len(content)} bytes, more than the {MOST_BYTES} allowed")
    return content


def glibc(path):
    """The newest version of glibc that a binary names."""
    path = path / path.name if path.is_dir() else path

    def newest(file):
        needs = [section for section in file.iter_sections() if isinstance(section, GNUVerNeedSection)]
        names = [auxiliary.name for need in needs for _, entries in need.iter_versions() for auxiliary in entries]
        versions = [name.removeprefix("GLIBC_") for name in names if name.startswith("GLIBC_")]
        numbers = [tuple(int(part) for part in text.split(".")) for text in versions if text[0].isdigit()]
        return max((number[:2] for number in numbers), default=(0, 0))

    return elf(path, newest)


def version(number):
    """A version as people write it."""
    return ".".join(map(str, number))


def elf(path, read):
    try:
        with open(path, "rb") as file:
            return read(ELFFile(file))
    except (OSError, ELFError) as error:
        raise Failure(f"{path} can't be read as a Linux binary: {error}") from error


def target():
    return Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))


def run(command, **options):
    try:
        return subprocess.run(command, cwd=ROOT, check=True, **options).stdout
    except FileNotFoundError as error:
        raise Failure(f"there is no {error.filename}: install Rust from https://rustup.rs") from error
    except subprocess.CalledProcessError as error:
        raise Failure(f"`{' '.join(map(str, command[:3]))} …` failed: its messages stand above") from error
