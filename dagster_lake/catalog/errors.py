"""What stops the catalog commands; every message names the thing and the remedy."""


class CatalogError(Exception):
    """The YAML cannot be used, the workspace refused, or what is there cannot be changed in place."""
