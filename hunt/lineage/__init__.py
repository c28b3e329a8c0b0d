"""Processes, and who requested those that a broker (COM, WMI, the service manager, a task) started for another.

`processes.py` says which processes there were and when, `brokered.py` which of them a broker started. `candidates.py`
says who may have asked for each, out of what `traces.py` and `acts.py` have seen of them; `crowds.py` and `drivers.py`
see to it that nobody hides behind others; `grades.py` says how much that is worth. `traced.py` puts it together for the
hosts of a part (`parts.py`), `requesters.py` for all; `possible.py` keeps who may have been a requester. Hunts see
`case.processes`, `case.lineage`, `case.candidates` and `case.possible_requesters`, and take NEEDS, READS and HELPS into
their own.
"""

from hunt.lineage.candidates import explained
from hunt.lineage.columns import CANDIDATES, CANDIDATES_CSV, LINEAGE, LINEAGE_CSV, POSSIBLE, counts
from hunt.lineage.needs import HELPS, NEEDS, READS
from hunt.lineage.processes import DERIVED

__all__ = [
    "CANDIDATES",
    "CANDIDATES_CSV",
    "DERIVED",
    "HELPS",
    "LINEAGE",
    "LINEAGE_CSV",
    "NEEDS",
    "POSSIBLE",
    "READS",
    "counts",
    "explained",
]
