"""The zip of wheels for laptops without network: what goes into it, for which system."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from contrib import bundle

PINS = {"evtx-hunt": "1", "a": "2", "b": "3", "c": "4", "only-windows": "5", "speed": "6"}
REQUIRES = {
    "evtx-hunt": ["a[fast]>=1", "only-windows; sys_platform == 'win32'", "test-only; extra == 'test'"],
    "a": ["b", "speed; extra == 'fast'", "other; extra == 'slow'"],
    "b": ["a", "c; python_version < '3.12'"],
}


def wheel(folder: Path, name: str) -> Path:
    path = folder / f"{name.replace('-', '_')}-{PINS[name]}-py3-none-any.whl"
    lines = [f"Name: {name}", *(f"Requires-Dist: {text}" for text in REQUIRES.get(name, ()))]
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{name}-{PINS[name]}.dist-info/METADATA", "\n".join(lines) + "\n")
    return path


def gathered(folder: Path, system: str, python: str) -> list[str]:
    def fetch(pinned: str, into: Path) -> Path:
        return wheel(into, pinned.partition("==")[0])

    found = bundle.gather(wheel(folder, "evtx-hunt"), bundle.target(system, python), PINS, fetch)
    return [path.name.partition("-")[0] for path in found]


@pytest.mark.parametrize(
    ("system", "python", "more"),
    [("linux", "3.11", ["c"]), ("linux", "3.12", []), ("windows", "3.12", ["only_windows"]), ("macos", "3.13", [])],
)
def test_what_a_system_needs_goes_in_and_what_others_need_does_not(
    system: str, python: str, more: list[str], tmp_path: Path
) -> None:
    assert gathered(tmp_path, system, python) == sorted(["a", "b", "evtx_hunt", "speed", *more])


def test_pins_are_found_by_any_spelling_of_a_name() -> None:
    found = bundle.pins((bundle.ROOT / "requirements.lock").read_text(encoding="utf-8"))
    assert {"evtx", "pysigma", "python-evtx", "typing-extensions"} <= set(found)


@pytest.mark.parametrize(("system", "script"), [("windows", "install.cmd"), ("linux", "install.sh")])
def test_the_zip_holds_wheels_and_a_script_and_is_the_same_each_time(system: str, script: str, tmp_path: Path) -> None:
    wheels, wanted = [wheel(tmp_path, "b")], bundle.target(system, "3.12")
    path = bundle.write(wheels, wanted, tmp_path / "out")
    before = path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        top = path.stem
        assert sorted(archive.namelist()) == sorted(
            [f"{top}/{name}" for name in (script, "LICENSE", "README.md", "wheels/b-3-py3-none-any.whl")]
        )
        text = archive.read(f"{top}/{script}").decode()
    assert "3.12" in text and "--no-index" in text and "{python}" not in text and "{{" not in text
    assert bundle.write(wheels, wanted, tmp_path / "out").read_bytes() == before
