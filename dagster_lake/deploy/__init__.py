"""The lake on Azure: what its Bicep templates (infra/bicep) take from the contracts."""
