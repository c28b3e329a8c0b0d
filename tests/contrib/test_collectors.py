"""What runs the tool where collectors work: the fields that their formats have, and commands that ours takes."""

from __future__ import annotations

import re
from typing import Any
from uuid import UUID

import yaml

from hunt.commands.run import run
from tests.helpers import ROOT

KAPE = ROOT / "contrib" / "kape" / "EvtxHunt.mkape"
VELOCIRAPTOR = ROOT / "contrib" / "velociraptor" / "Custom.Server.EvtxHunt.yaml"


def options() -> set[str]:
    return {name for parameter in run.params for name in parameter.opts}


def parsed(path: Any) -> dict[str, Any]:
    found = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert isinstance(found, dict)
    return found


def test_the_kape_module_has_what_modules_have() -> None:
    """The keys of KAPE's documentation of modules, and its variables."""
    module = parsed(KAPE)
    assert set(module) == {
        "Description",
        "Category",
        "Author",
        "Version",
        "Id",
        "BinaryUrl",
        "ExportFormat",
        "Processors",
    }
    assert str(UUID(module["Id"])) == module["Id"]
    (processor,) = module["Processors"]
    assert set(processor) == {"Executable", "CommandLine", "ExportFormat"}
    line = processor["CommandLine"]
    assert set(re.findall(r"%(\w+)%", line)) == {"sourceDirectory", "destinationDirectory"}
    assert line.split()[0] == "run"
    assert {word for word in line.split() if word.startswith("-")} <= options()
    assert processor["Executable"].endswith(r"\hunt.exe")


_ARTIFACT = {"name", "author", "type", "description", "reference", "required_permissions", "parameters", "sources"}
_TYPES = {"bool", "choices", "csv", "hidden", "int", "int64", "json", "multichoice", "regex", "timestamp", "yara"}


def test_the_velociraptor_artifact_has_what_artifacts_have() -> None:
    """The fields of Velociraptor's documentation of artifacts, names and types as it wants them."""
    artifact = parsed(VELOCIRAPTOR)
    assert set(artifact) == _ARTIFACT
    assert re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*(\.[A-Za-z][A-Za-z0-9_]*)*", artifact["name"])
    assert VELOCIRAPTOR.stem == artifact["name"]
    assert artifact["type"] == "SERVER"
    names = [parameter["name"] for parameter in artifact["parameters"]]
    for parameter in artifact["parameters"]:
        assert set(parameter) <= {"name", "description", "type", "default", "choices"}
        assert parameter.get("type", "regex") in _TYPES
        assert isinstance(parameter.get("default", ""), str)
    assert len({source["name"] for source in artifact["sources"]}) == len(artifact["sources"])
    text = "\n".join(source["query"] for source in artifact["sources"])
    assert all(re.search(rf"\b{name}\b", text) for name in names)
    assert set(re.findall(r'"(--?[a-z-]+)"', text)) <= options()
    for opening, closing in ("()", "[]", "{}"):
        assert text.count(opening) == text.count(closing)


def test_what_velociraptor_reads_back_is_written() -> None:
    text = VELOCIRAPTOR.read_text(encoding="utf-8")
    assert set(re.findall(r'"(\w+\.csv)"', text)) == {"findings.csv", "problems.csv", "queries.csv"}
