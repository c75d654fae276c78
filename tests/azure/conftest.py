"""Fixtures that several of these test files use."""

from tests.azure.azurite import azurite

__all__ = ["azurite"]
