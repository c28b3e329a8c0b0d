"""What is installed: the modules of the tree, all of them and nothing else, wherever they are imported from."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

from hunt import native
from tests.helpers import ROOT

PLACES = {"hunt": "hunt", "parsers": "hunt/parsers", "queries": "hunt/queries"}
PROBE = (
    "import hunt, hunt.registry as r, hunt.parsers, hunt.queries; "
    "print(hunt.__file__, hunt.parsers.__file__, len(r.parsers()), *(q.hunt.id for q in r.queries()), sep='\\n')"
)


def modules() -> set[str]:
    """Every file of the three folders as it is to stand in the wheel."""
    return {
        f"{place}/{path.relative_to(ROOT / folder).as_posix()}"
        for folder, place in PLACES.items()
        for path in (ROOT / folder).rglob("*")
        if path.suffix in (".py", ".typed", ".lark", ".eql", ".yml", ".html", ".css", ".js", ".txt", ".md", ".pyi")
    }


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the tree: building writes into it."""
    copy = tmp_path_factory.mktemp("build") / "tree"
    left_out = shutil.ignore_patterns(".*", "__pycache__", "*.egg-info", "build", "dist", "samples", "tests", "out")
    shutil.copytree(ROOT, copy, ignore=left_out)
    return copy


@pytest.fixture(scope="module")
def wheel(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built as pip builds it but without a network."""
    folder = tmp_path_factory.mktemp("wheel")
    build = f"import setuptools.build_meta as b; print(b.build_wheel({str(folder)!r}))"
    done = subprocess.run([sys.executable, "-c", build], cwd=tree, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (built,) = folder.glob("*.whl")
    return built


def probe(*options: str, cwd: Path, path: Path | None = None) -> list[str]:
    """Import everything in a fresh interpreter and say where from."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    if path:
        environment["PYTHONPATH"] = str(path)
    command = [sys.executable, *options, "-c", PROBE]
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.split("\n")


def test_the_wheel_holds_the_modules_of_the_tree_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if not name.endswith("/")}
    installed = {name for name in names if ".dist-info/" not in name}
    compiled = {name for name in installed if name.startswith("hunt/_native.") and not name.endswith(".pyi")}
    assert installed - compiled == modules()
    assert len(compiled) == (native.kernels is not None)  # as where these tests run: there is a compiler, or is none
    assert {name.split("/")[0] for name in installed} == {"hunt"}


def test_the_wheel_brings_one_command_and_its_licence(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        info = {name.split(".dist-info/")[1]: name for name in archive.namelist() if ".dist-info/" in name}
        entry_points = archive.read(info["entry_points.txt"]).decode()
        metadata = archive.read(info["METADATA"]).decode()
    assert entry_points.split() == ["[console_scripts]", "hunt", "=", "hunt.cli:main"]
    assert "licenses/LICENSE" in info
    assert "Name: evtx-hunt" in metadata
    assert "License-Expression: Apache-2.0" in metadata
    shipped = [line for line in metadata.splitlines() if line.startswith("Requires-Dist:") and "extra ==" not in line]
    assert not any(oracle in line for line in shipped for oracle in ("dissect", "libevtx", " evtx", " eql"))


def test_an_installed_wheel_finds_its_parsers_and_queries(wheel: Path, tmp_path: Path) -> None:
    place = tmp_path / "site"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(place)
    package, parsers, count, *queries = probe("-P", cwd=tmp_path, path=place)
    assert Path(package) == place / "hunt" / "__init__.py"
    assert Path(parsers) == place / "hunt" / "parsers" / "__init__.py"
    assert int(count) >= 1
    assert "outlook-script-host" in queries


def test_an_uninstalled_checkout_finds_its_parsers_and_queries(tree: Path, tmp_path: Path) -> None:
    package, parsers, count, *queries = probe("-P", cwd=tmp_path, path=tree)
    assert Path(package) == tree / "hunt" / "__init__.py"
    assert Path(parsers) == tree / "parsers" / "__init__.py"
    assert int(count) >= 1
    assert "outlook-script-host" in queries


def test_an_editable_install_finds_its_parsers_and_queries(tree: Path, tmp_path: Path) -> None:
    """What `pip install -e` puts into site-packages, put into a folder of its own."""
    place = tmp_path / "site"
    build = f"import setuptools.build_meta as b; print(b.build_editable({str(tmp_path)!r}))"
    done = subprocess.run([sys.executable, "-c", build], cwd=tree, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (built,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(built) as archive:
        archive.extractall(place)
    # Without `site` the interpreter's own packages count and its .pth files don't: they may name another checkout.
    libraries = sorted({sysconfig.get_path("purelib"), sysconfig.get_path("platlib")})
    begin = f"import site, sys; sys.path += {[str(place), *libraries]!r}; site.addsitedir({str(place)!r}); "
    command = [sys.executable, "-I", "-S", "-c", begin + PROBE]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    package, parsers, count, *queries = done.stdout.split("\n")
    assert Path(package) == tree / "hunt" / "__init__.py"
    assert Path(parsers).parent == tree / "parsers"
    assert int(count) >= 1
    assert "outlook-script-host" in queries


def test_an_isolated_interpreter_runs_the_command_from_the_wheel(wheel: Path, tmp_path: Path) -> None:
    place = tmp_path / "site"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(place)
    run = f"import sys; sys.path.insert(0, {str(place)!r}); from hunt.cli import main; main(['queries'])"
    done = subprocess.run([sys.executable, "-I", "-c", run], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert any(line.startswith("outlook-script-host\t") for line in done.stdout.splitlines())


def test_a_wheel_without_what_is_compiled_is_for_every_system(tree: Path, tmp_path: Path) -> None:
    build = f"import setuptools.build_meta as b; print(b.build_wheel({str(tmp_path)!r}))"
    environment = {**os.environ, "EVTX_HUNT_PURE": "1"}
    subprocess.run([sys.executable, "-c", build], cwd=tree, env=environment, capture_output=True, check=True)
    (built,) = tmp_path.glob("*.whl")
    assert built.name.endswith("-py3-none-any.whl")
    with zipfile.ZipFile(built) as archive:
        assert not [name for name in archive.namelist() if Path(name).suffix in (".so", ".pyd", ".c", ".h")]
