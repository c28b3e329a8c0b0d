"""What pyproject.toml can't say: the decoder's kernels are compiled where there is a compiler, and left out otherwise.

Without them, or with EVTX_HUNT_PURE in the environment, all is Python and does the same, the decoder half as fast.
"""

import os
import zlib
from pathlib import Path

from setuptools import Extension, setup

_FOLDER = Path("hunt/kernels")
_SOURCES = zlib.crc32(b"".join(path.read_bytes() for path in sorted(_FOLDER.glob("*.[ch]")))) >> 1
_KERNELS = Extension(
    "hunt._native",
    sorted(path.as_posix() for path in _FOLDER.glob("*.c")),
    define_macros=[("SOURCES", str(_SOURCES))],  # `hunt.native` leaves aside what was built of others
    depends=[path.as_posix() for path in _FOLDER.glob("*.h")],
    extra_compile_args=[] if os.name == "nt" else ["-O3", "-std=c99", "-fvisibility=hidden"],
    py_limited_api=True,  # one wheel for all versions of Python
    optional=True,
)

if os.environ.get("EVTX_HUNT_PURE"):
    setup()
else:
    setup(ext_modules=[_KERNELS], options={"bdist_wheel": {"py_limited_api": "cp311"}})
