"""What stops the catalog commands; every message names the thing and the remedy."""

from dagster_lake.errors import LakeError


class CatalogError(LakeError):
    """The YAML cannot be used, the workspace refused, or what is there cannot be changed in place."""
