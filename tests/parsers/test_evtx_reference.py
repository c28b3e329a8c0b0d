"""The reference parser: where python-evtx is known to fail, it says so."""

from __future__ import annotations

from pathlib import Path

from hunt import registry
from parsers.evtx_reference import KNOWN_FAULT, REFERENCE
from tests.parsers.logs import event, written


def test_a_record_without_a_template_is_a_known_fault_and_the_next_is_read(tmp_path: Path) -> None:
    """python-evtx takes elements outside of templates for two bytes longer than they are."""
    log = [event(record_id=5, header_id=900, data=[("A", "x")], rendered=True), event(record_id=6)]
    found = written(REFERENCE, tmp_path, *log)
    assert found.numbers == [6]
    assert found.lost == [900]
    assert KNOWN_FAULT in found.problems[0].reason


def test_it_is_found_by_the_name_of_the_parser_it_is_compared_with_and_reads_no_evidence_itself() -> None:
    assert registry.reference("evtx").name == REFERENCE.name
    assert REFERENCE.name not in [parser.name for parser in registry.parsers()]
