"""An asset of the project's own, downstream of the lake's."""

import dagster as dg


@dg.asset(deps=[["gold", "use_by_street"]])
def leaks() -> None:
    """Streets that use more than they should."""
