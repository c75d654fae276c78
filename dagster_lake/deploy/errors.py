"""What stops `lake deploy`; every message names the thing and the remedy."""

from dagster_lake.errors import LakeError


class DeployError(LakeError):
    """``lake.yaml`` cannot be used, the Azure CLI cannot, or Azure refused."""
