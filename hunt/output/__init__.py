"""Outputs: each module without a leading underscore is a `--format`, by its name.

It offers `write(report, out)`, `out` being a text stream; what stands in a Report is all it knows of a run.
"""

from hunt.output._safe import safe

__all__ = ["safe"]
