"""Random worlds against an independent computation, as tests and as ``python -m tests.simulation``."""

import tests.no_lake  # noqa: F401
