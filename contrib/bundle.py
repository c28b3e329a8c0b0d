"""`make bundle`: all wheels for one system in a zip file that installs without network, as forensic laptops need it.

bundle.py [--system windows|linux|macos]... [--python 3.12]... [--out dist]. Versions are those of requirements.lock;
what there is no wheel of on PyPI is built here, which works for pure Python alone; what is compiled of ours is left out
for other systems. pip evaluates the markers of requirements ("; sys_platform == 'win32'") for the system it runs on, so
they are followed here for the one asked for.
"""

from __future__ import annotations

import argparse
import email
import os
import platform
import re
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
OURS = "evtx-hunt"


@dataclass(frozen=True)
class Target:
    """A system and a Python version that the wheels are for."""

    system: str
    python: str  # "3.12"
    tags: tuple[str, ...]  # platforms as pip names them, the oldest first that is served
    markers: Mapping[str, str]

    @property
    def name(self) -> str:
        return f"{self.system}-py{self.python.replace('.', '')}"

    @property
    def here(self) -> bool:
        """Whether what is compiled on this machine fits it."""
        return (self.markers["sys_platform"], self.markers["platform_machine"]) == (sys.platform, platform.machine())

    def needs(self, requirement: Requirement, extra: str = "") -> bool:
        """Whether a requirement of a package, or of an extra of it, is one on this system."""
        version = {"python_version": self.python, "python_full_version": f"{self.python}.0", "extra": extra}
        return requirement.marker is None or requirement.marker.evaluate({**self.markers, **version})


_SYSTEMS: Mapping[str, tuple[tuple[str, ...], Mapping[str, str]]] = {
    "windows": (
        ("win_amd64",),
        {"sys_platform": "win32", "platform_system": "Windows", "os_name": "nt", "platform_machine": "AMD64"},
    ),
    "linux": (
        ("manylinux_2_28_x86_64", "manylinux_2_27_x86_64", "manylinux_2_24_x86_64", "manylinux_2_17_x86_64",
         "manylinux2014_x86_64", "manylinux_2_12_x86_64", "manylinux2010_x86_64", "manylinux1_x86_64"),
        {"sys_platform": "linux", "platform_system": "Linux", "os_name": "posix", "platform_machine": "x86_64"},
    ),
    "macos": (
        tuple(f"macosx_{major}_0_{arch}" for major in (14, 13, 12, 11) for arch in ("arm64", "universal2")),
        {"sys_platform": "darwin", "platform_system": "Darwin", "os_name": "posix", "platform_machine": "arm64"},
    ),
}  # fmt: skip


def target(system: str, python: str) -> Target:
    """One of the systems that bundles are made for."""
    tags, markers = _SYSTEMS[system]
    same = {"implementation_name": "cpython", "platform_python_implementation": "CPython"}
    return Target(system, python, tags, {**markers, **same})


Fetch = Callable[[str, Path], Path]  # a pinned requirement and the folder to put its wheel into -> the wheel


def pins(lock: str) -> dict[str, str]:
    """Version by canonical name, out of a constraints file."""
    found = re.findall(r"^([A-Za-z0-9._-]+)==(\S+)", lock, re.MULTILINE)
    return {canonicalize_name(name): version for name, version in found}


def requirements(wheel: Path) -> Iterator[Requirement]:
    """What a wheel says it requires, of all systems."""
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [n for n in archive.namelist() if n.endswith(".dist-info/METADATA") and n.count("/") == 1]
        metadata = email.message_from_bytes(archive.read(name))
    yield from (Requirement(text) for text in metadata.get_all("Requires-Dist") or ())


def gather(own: Path, wanted: Target, versions: Mapping[str, str], fetch: Fetch) -> list[Path]:
    """Our wheel and all that it needs on this system, beside it; sorted. Raises KeyError for what has no pin."""
    wheels = {canonicalize_name(OURS): own}
    seen = {(canonicalize_name(OURS), "")}  # with the extras that are wanted of each
    left = sorted(seen)
    while left:
        name, extra = left.pop()
        if name not in wheels:
            wheels[name] = fetch(f"{name}=={versions[name]}", own.parent)
        needed = [r for r in requirements(wheels[name]) if wanted.needs(r, extra)]
        new = {(canonicalize_name(r.name), e) for r in needed for e in ("", *r.extras)} - seen
        seen |= new
        left += sorted(new)
    return sorted(wheels.values())


def from_index(wanted: Target) -> Fetch:
    """Wheels from the index that pip is configured for."""

    def fetch(pinned: str, folder: Path) -> Path:
        before = set(folder.glob("*.whl"))
        platforms = [part for tag in wanted.tags for part in ("--platform", tag)]
        command = ["download", "--no-deps", "--only-binary=:all:", "--python-version", wanted.python, *platforms]
        done = _pip(*command, "--dest", str(folder), pinned)
        if done.returncode:
            built = _pip("wheel", "--no-deps", "--wheel-dir", str(folder), pinned)
            if built.returncode:
                sys.exit(f"{pinned}: no wheel for {wanted.name}: {done.stderr.strip()[-300:]}")
        (wheel,) = set(folder.glob("*.whl")) - before
        if done.returncode and not wheel.name.endswith("-none-any.whl"):
            sys.exit(f"{pinned}: no wheel for {wanted.name}, and what is built here fits this machine alone")
        return wheel

    return fetch


def _pip(*arguments: str, pure: bool = False) -> subprocess.CompletedProcess[str]:
    """`pure`: without what is compiled of ours, which fits this machine alone."""
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", *arguments]
    environment = {**os.environ, **({"EVTX_HUNT_PURE": "1"} if pure else {})}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


_WINDOWS = """@echo off\r
rem install.cmd FOLDER: a virtual environment with evtx-hunt; FOLDER\\Scripts\\hunt.exe is the command.\r
if "%~1"=="" (echo install.cmd FOLDER & exit /b 2)\r
py -{python} -m venv "%~1" || exit /b 1\r
"%~1\\Scripts\\python" -m pip install --no-index --find-links "%~dp0wheels" evtx-hunt || exit /b 1\r
"%~1\\Scripts\\hunt" --version\r
"""
_OTHERS = """#!/bin/sh
# install.sh FOLDER: a virtual environment with evtx-hunt; FOLDER/bin/hunt is the command.
set -eu
test $# = 1 || {{ echo "install.sh FOLDER" >&2; exit 2; }}
here=$(cd "$(dirname "$0")" && pwd)
"${{PYTHON:-python{python}}}" -m venv "$1"
"$1/bin/python" -m pip install --no-index --find-links "$here/wheels" evtx-hunt
"$1/bin/hunt" --version
"""
_STAMP = (1980, 1, 1, 0, 0, 0)  # the first that a zip file can tell: the same wheels give the same bytes


def write(wheels: Sequence[Path], wanted: Target, out: Path) -> Path:
    """The zip file: the wheels, and a script that installs them."""
    folder = f"{OURS}-{wanted.name}"
    script, text = ("install.cmd", _WINDOWS) if wanted.system == "windows" else ("install.sh", _OTHERS)
    out.mkdir(parents=True, exist_ok=True)
    path = out / f"{folder}.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(_entry(f"{folder}/{script}", 0o755), text.format(python=wanted.python))
        for name in ("LICENSE", "README.md"):
            archive.writestr(_entry(f"{folder}/{name}"), (ROOT / name).read_bytes())
        for wheel in wheels:
            archive.writestr(_entry(f"{folder}/wheels/{wheel.name}"), wheel.read_bytes())
    return path


def _entry(name: str, mode: int = 0o644) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, _STAMP)
    entry.external_attr = mode << 16
    return entry


def main() -> None:
    """Make the bundles asked for."""
    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--system", action="append", choices=sorted(_SYSTEMS), help="default: all of them")
    options.add_argument("--python", action="append", help="of the laptop, such as 3.12; default: this one's")
    options.add_argument("--out", type=Path, default=ROOT / "dist")
    given = options.parse_args()
    versions = pins((ROOT / "requirements.lock").read_text(encoding="utf-8"))
    for system in given.system or sorted(_SYSTEMS):
        for python in given.python or [here]:
            wanted = target(system, python)
            with tempfile.TemporaryDirectory() as folder:
                built = _pip("wheel", "--no-deps", "--wheel-dir", folder, str(ROOT), pure=not wanted.here)
                if built.returncode:
                    sys.exit(built.stderr)
                (own,) = Path(folder).glob("*.whl")
                path = write(gather(own, wanted, versions, from_index(wanted)), wanted, given.out)
            print(f"{path} ({path.stat().st_size >> 20} MiB)")


if __name__ == "__main__":
    main()
