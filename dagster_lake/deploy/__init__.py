"""The lake on Azure: infra/bicep, deployed with what the contracts and lake.yaml say."""
