"""ECS names over the frames of Windows events: what Elastic's rules call fields.

`describe` says what a field is before anything is read: of which columns of which event type it is made, and whether it
is the same for all events of the type. `view` makes fields as columns, row by row those of `case.frame`.
"""

from hunt.ecs.fields import Constant, FieldInfo, Type
from hunt.ecs.mapping import describe, event_types, names
from hunt.ecs.parents import FINDING_COLUMNS as REQUESTER_COLUMNS
from hunt.ecs.views import over, view

__all__ = [
    "REQUESTER_COLUMNS",
    "Constant",
    "FieldInfo",
    "Type",
    "describe",
    "event_types",
    "names",
    "over",
    "view",
]
