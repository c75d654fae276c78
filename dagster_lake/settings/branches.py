"""Branch lakes: a pull request's, or whoever else wants one, beside a lake and apart from it.

Setting ``LAKE_BRANCH`` is all there is to it: every path of the lake starts at its root, and every name in Unity
Catalog at the catalog, so that moving these two moves everything.
"""

NAME = r"^[a-z][a-z0-9_]{0,30}$"
"""What a branch may be called: its name is that of a folder, and ends that of a catalog."""

FOLDER = "branches"
"""The folder of the branch lakes, below the root of the lake that they are beside."""


def branch_root(root: str, branch: str) -> str:
    """Where the branch's lake is; a ``root`` that is there already stays."""
    below = f"/{FOLDER}/{branch}"
    return root if root.endswith(below) else root.rstrip("/") + below


def branch_catalog(catalog: str, branch: str) -> str:
    """The branch's catalog. With less between the two, branch ``dev`` of ``shop`` would be the catalog ``shop_dev``."""
    after = f"_branch_{branch}"
    return catalog if catalog.endswith(after) else catalog + after
