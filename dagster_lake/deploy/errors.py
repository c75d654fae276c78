"""What stops `lake deploy`; every message names the thing and the remedy."""


class DeployError(Exception):
    """``lake.yaml`` cannot be used, the Azure CLI cannot, or Azure refused."""
