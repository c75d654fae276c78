"""What is known of each type of resource that the lake deploys: its version, what it tells, how it is closed."""

from collections.abc import Mapping
from typing import Any

VERSIONS = {
    "Microsoft.App/containerApps": "2025-07-01",
    "Microsoft.App/containerApps/authConfigs": "2025-07-01",
    "Microsoft.App/jobs": "2025-07-01",
    "Microsoft.App/managedEnvironments": "2025-07-01",
    "Microsoft.Authorization/locks": "2020-05-01",
    "Microsoft.Authorization/policyAssignments": "2025-11-01",
    "Microsoft.Authorization/roleAssignments": "2022-04-01",
    "Microsoft.Authorization/roleDefinitions": "2022-04-01",
    "Microsoft.Consumption/budgets": "2024-08-01",
    "Microsoft.ContainerRegistry/registries": "2025-04-01",
    "Microsoft.DBforPostgreSQL/flexibleServers": "2024-08-01",
    "Microsoft.DBforPostgreSQL/flexibleServers/administrators": "2024-08-01",
    "Microsoft.DBforPostgreSQL/flexibleServers/configurations": "2024-08-01",
    "Microsoft.DBforPostgreSQL/flexibleServers/databases": "2024-08-01",
    "Microsoft.DBforPostgreSQL/flexibleServers/firewallRules": "2024-08-01",
    "Microsoft.DataFactory/factories": "2018-06-01",
    "Microsoft.DataFactory/factories/integrationRuntimes": "2018-06-01",
    "Microsoft.DataFactory/factories/managedVirtualNetworks": "2018-06-01",
    "Microsoft.DataFactory/factories/managedVirtualNetworks/managedPrivateEndpoints": "2018-06-01",
    "Microsoft.DataFactory/factories/pipelines": "2018-06-01",
    "Microsoft.Databricks/accessConnectors": "2024-05-01",
    "Microsoft.Databricks/workspaces": "2024-05-01",
    "Microsoft.EventHub/namespaces": "2024-01-01",
    "Microsoft.EventHub/namespaces/eventhubs": "2024-01-01",
    "Microsoft.EventHub/namespaces/eventhubs/consumergroups": "2024-01-01",
    "Microsoft.EventHub/namespaces/networkRuleSets": "2024-01-01",
    "Microsoft.Insights/actionGroups": "2023-01-01",
    "Microsoft.Insights/components": "2020-02-02",
    "Microsoft.Insights/diagnosticSettings": "2021-05-01-preview",
    "Microsoft.Insights/metricAlerts": "2018-03-01",
    "Microsoft.Insights/scheduledQueryRules": "2023-12-01",
    "Microsoft.Insights/workbooks": "2023-06-01",
    "Microsoft.KeyVault/vaults": "2024-11-01",
    "Microsoft.MachineLearningServices/workspaces": "2025-12-01",
    "Microsoft.MachineLearningServices/workspaces/computes": "2025-12-01",
    "Microsoft.ManagedIdentity/userAssignedIdentities": "2023-01-31",
    "Microsoft.Network/natGateways": "2025-05-01",
    "Microsoft.Network/networkSecurityGroups": "2025-05-01",
    "Microsoft.Network/privateDnsZones": "2024-06-01",
    "Microsoft.Network/privateDnsZones/virtualNetworkLinks": "2024-06-01",
    "Microsoft.Network/privateEndpoints": "2025-05-01",
    "Microsoft.Network/privateEndpoints/privateDnsZoneGroups": "2025-05-01",
    "Microsoft.Network/publicIPAddresses": "2025-05-01",
    "Microsoft.Network/virtualNetworks": "2025-05-01",
    "Microsoft.OperationalInsights/workspaces": "2025-02-01",
    "Microsoft.Purview/accounts": "2021-12-01",
    "Microsoft.Resources/resourceGroups": "2024-11-01",
    "Microsoft.Sql/servers": "2023-08-01",
    "Microsoft.Sql/servers/auditingSettings": "2023-08-01",
    "Microsoft.Sql/servers/databases": "2023-08-01",
    "Microsoft.Sql/servers/firewallRules": "2023-08-01",
    "Microsoft.Storage/storageAccounts": "2025-06-01",
    "Microsoft.Storage/storageAccounts/blobServices": "2025-06-01",
    "Microsoft.Storage/storageAccounts/blobServices/containers": "2025-06-01",
    "Microsoft.Storage/storageAccounts/managementPolicies": "2025-06-01",
    "Microsoft.StreamAnalytics/streamingjobs": "2020-03-01",
    "Microsoft.StreamAnalytics/streamingjobs/inputs": "2020-03-01",
    "Microsoft.StreamAnalytics/streamingjobs/outputs": "2020-03-01",
    "Microsoft.StreamAnalytics/streamingjobs/transformations": "2020-03-01",
}
"""One version of each type, in all files: bicep itself takes any, and each knows other properties."""

LOGS = "logs"
METRICS = "metrics"
DIAGNOSED = {
    "Microsoft.App/containerApps": METRICS,  # what an app prints is the environment's log
    "Microsoft.App/jobs": METRICS,
    "Microsoft.App/managedEnvironments": LOGS,
    "Microsoft.ContainerRegistry/registries": LOGS,
    "Microsoft.DBforPostgreSQL/flexibleServers": LOGS,
    "Microsoft.DataFactory/factories": LOGS,
    "Microsoft.Databricks/workspaces": LOGS,
    "Microsoft.EventHub/namespaces": LOGS,
    "Microsoft.KeyVault/vaults": LOGS,
    "Microsoft.MachineLearningServices/workspaces": LOGS,
    "Microsoft.Network/natGateways": METRICS,
    "Microsoft.Network/networkSecurityGroups": LOGS,
    "Microsoft.Network/publicIPAddresses": LOGS,
    "Microsoft.Network/virtualNetworks": LOGS,
    "Microsoft.OperationalInsights/workspaces": LOGS,
    "Microsoft.Purview/accounts": LOGS,
    "Microsoft.Sql/servers/databases": LOGS,
    "Microsoft.Storage/storageAccounts": METRICS,  # the readings and writings of files are the blob service's logs
    "Microsoft.Storage/storageAccounts/blobServices": LOGS,
    "Microsoft.StreamAnalytics/streamingjobs": LOGS,
}
"""Types that have something to tell. All others of VERSIONS have no diagnostic settings, or speak through these."""

UNTOLD = {
    "Microsoft.Databricks/accessConnectors",
    "Microsoft.Insights/components",  # it is a view of the Log Analytics workspace
    "Microsoft.ManagedIdentity/userAssignedIdentities",
    "Microsoft.Network/privateDnsZones",
    "Microsoft.Network/privateEndpoints",
    "Microsoft.Resources/resourceGroups",
    "Microsoft.Sql/servers",
}

DOORS: Mapping[str, Mapping[str, Any]] = {
    "Microsoft.App/managedEnvironments": {
        "publicNetworkAccess": "Disabled",
        "vnetConfiguration.internal": True,
    },
    "Microsoft.ContainerRegistry/registries": {"publicNetworkAccess": "Disabled"},
    "Microsoft.DBforPostgreSQL/flexibleServers": {"network.publicNetworkAccess": "Disabled"},
    "Microsoft.DataFactory/factories": {"publicNetworkAccess": "Disabled"},
    "Microsoft.Databricks/workspaces": {
        "publicNetworkAccess": "Disabled",
        "requiredNsgRules": "NoAzureDatabricksRules",
        "parameters.customPublicSubnetName.value": "databricks-host",
        "parameters.customPrivateSubnetName.value": "databricks-container",
    },
    "Microsoft.EventHub/namespaces": {"publicNetworkAccess": "Disabled"},
    "Microsoft.EventHub/namespaces/networkRuleSets": {"publicNetworkAccess": "Disabled", "defaultAction": "Deny"},
    "Microsoft.Insights/components": {"publicNetworkAccessForIngestion": "Disabled"},
    "Microsoft.KeyVault/vaults": {"publicNetworkAccess": "Disabled", "networkAcls.defaultAction": "Deny"},
    "Microsoft.MachineLearningServices/workspaces": {
        "publicNetworkAccess": "Disabled",
        "managedNetwork.isolationMode": "AllowInternetOutbound",
    },
    "Microsoft.MachineLearningServices/workspaces/computes": {"properties.enableNodePublicIp": False},
    "Microsoft.OperationalInsights/workspaces": {"publicNetworkAccessForIngestion": "Disabled"},
    "Microsoft.Purview/accounts": {
        "publicNetworkAccess": "Disabled",
        "managedResourcesPublicNetworkAccess": "Disabled",
    },
    "Microsoft.Sql/servers": {"publicNetworkAccess": "Disabled"},
    "Microsoft.Storage/storageAccounts": {"publicNetworkAccess": "Disabled", "networkAcls.defaultAction": "Deny"},
}
"""How each service is closed to the internet. Asking for logs, in Azure's portal, is the one thing left open."""

ENDPOINTS = {
    "Microsoft.App/managedEnvironments": {"managedEnvironments"},
    "Microsoft.ContainerRegistry/registries": {"registry"},
    "Microsoft.DBforPostgreSQL/flexibleServers": {"postgresqlServer"},
    "Microsoft.DataFactory/factories": {"dataFactory", "portal"},
    "Microsoft.Databricks/workspaces": {"databricks_ui_api", "browser_authentication"},
    "Microsoft.EventHub/namespaces": {"namespace"},
    "Microsoft.KeyVault/vaults": {"vault"},
    "Microsoft.MachineLearningServices/workspaces": {"amlworkspace"},
    "Microsoft.Purview/accounts": {"account", "portal"},
    "Microsoft.Sql/servers": {"sqlServer"},
}
"""The private endpoints of each service, by the part that they lead to; storage accounts below."""

SETTLED: Mapping[str, Mapping[str, Any]] = {
    "Microsoft.App/managedEnvironments": {"peerTrafficConfiguration.encryption.enabled": True},
    "Microsoft.App/containerApps/authConfigs": {
        "platform.enabled": True,
        "globalValidation.unauthenticatedClientAction": "RedirectToLoginPage",
        "identityProviders.azureActiveDirectory.enabled": True,
    },
    "Microsoft.ContainerRegistry/registries": {
        "adminUserEnabled": False,
        "anonymousPullEnabled": False,
        "policies.azureADAuthenticationAsArmPolicy.status": "enabled",  # Container Apps pull in no other way
    },
    "Microsoft.DBforPostgreSQL/flexibleServers": {
        "authConfig.activeDirectoryAuth": "Enabled",
        "authConfig.passwordAuth": "Disabled",
    },
    "Microsoft.Databricks/workspaces": {
        "parameters.enableNoPublicIp.value": True,
        "parameters.requireInfrastructureEncryption.value": True,
    },
    "Microsoft.EventHub/namespaces": {"disableLocalAuth": True, "minimumTlsVersion": "1.2"},
    "Microsoft.EventHub/namespaces/networkRuleSets": {"trustedServiceAccessEnabled": True},
    "Microsoft.EventHub/namespaces/eventhubs": {
        "captureDescription.enabled": True,
        "captureDescription.encoding": "Avro",
        "captureDescription.skipEmptyArchives": True,
        "captureDescription.destination.identity.type": "UserAssigned",
    },
    "Microsoft.Insights/components": {"DisableLocalAuth": True},
    "Microsoft.Insights/metricAlerts": {"enabled": True, "autoMitigate": True},
    "Microsoft.Insights/scheduledQueryRules": {"enabled": True, "autoMitigate": True, "skipQueryValidation": True},
    "Microsoft.Insights/actionGroups": {"enabled": True},
    "Microsoft.Network/privateDnsZones/virtualNetworkLinks": {"registrationEnabled": False},
    "Microsoft.KeyVault/vaults": {
        "enableRbacAuthorization": True,
        "enableSoftDelete": True,
        "softDeleteRetentionInDays": 90,
        "enablePurgeProtection": True,
        "enabledForDeployment": False,
        "enabledForDiskEncryption": False,
        "enabledForTemplateDeployment": False,
        "networkAcls.bypass": "AzureServices",
    },
    "Microsoft.MachineLearningServices/workspaces": {"systemDatastoresAuthMode": "Identity", "v1LegacyMode": False},
    "Microsoft.MachineLearningServices/workspaces/computes": {
        "disableLocalAuth": True,
        "properties.scaleSettings.minNodeCount": 0,
        "properties.remoteLoginPortPublicAccess": "Disabled",
    },
    "Microsoft.OperationalInsights/workspaces": {
        "features.disableLocalAuth": True,
        "features.enableLogAccessUsingOnlyResourcePermissions": True,
    },
    "Microsoft.Purview/accounts": {"managedEventHubState": "Disabled"},
    "Microsoft.Sql/servers": {
        "administrators.azureADOnlyAuthentication": True,
        "administrators.administratorType": "ActiveDirectory",
        "minimalTlsVersion": "1.2",
        "restrictOutboundNetworkAccess": "Enabled",
    },
    "Microsoft.Sql/servers/auditingSettings": {"state": "Enabled", "isAzureMonitorTargetEnabled": True},
    "Microsoft.Sql/servers/databases": {"autoPauseDelay": 60},
    "Microsoft.Storage/storageAccounts": {
        "allowSharedKeyAccess": False,
        "defaultToOAuthAuthentication": True,
        "allowBlobPublicAccess": False,
        "allowCrossTenantReplication": False,
        "isLocalUserEnabled": False,
        "supportsHttpsTrafficOnly": True,
        "minimumTlsVersion": "TLS1_2",
        "networkAcls.bypass": "AzureServices",
    },
    "Microsoft.Storage/storageAccounts/blobServices": {
        "deleteRetentionPolicy.enabled": True,
        "containerDeleteRetentionPolicy.enabled": True,
    },
    "Microsoft.Storage/storageAccounts/blobServices/containers": {"publicAccess": "None"},
    "Microsoft.StreamAnalytics/streamingjobs": {"compatibilityLevel": "1.2"},
}
"""What holds in every environment: encrypted, by identities only, and not lost by one mistake."""

EXCEPTIONS = {
    # Azure Machine Learning's own storage must have no hierarchical namespace, and the lake's must.
    ("storage", "Microsoft.Storage/storageAccounts"): {"isHnsEnabled": True, "isSftpEnabled": False},
}

NAMES = {
    "Microsoft.ContainerRegistry/registries": r"[a-z0-9]{5,50}",
    "Microsoft.DBforPostgreSQL/flexibleServers": r"[a-z0-9](?:[a-z0-9-]{1,61}[a-z0-9])",
    "Microsoft.DataFactory/factories": r"[A-Za-z0-9](?:[A-Za-z0-9-]{1,61}[A-Za-z0-9])",
    "Microsoft.Databricks/workspaces": r"[A-Za-z0-9_-]{3,64}",
    "Microsoft.EventHub/namespaces": r"[A-Za-z][A-Za-z0-9-]{4,48}[A-Za-z0-9]",
    "Microsoft.KeyVault/vaults": r"[A-Za-z](?!.*--)[A-Za-z0-9-]{1,22}[A-Za-z0-9]",
    "Microsoft.MachineLearningServices/workspaces": r"[A-Za-z0-9][A-Za-z0-9_-]{2,32}",
    "Microsoft.MachineLearningServices/workspaces/computes": r"[A-Za-z](?:[A-Za-z0-9-]{1,22}[A-Za-z0-9])",
    "Microsoft.OperationalInsights/workspaces": r"[A-Za-z0-9][A-Za-z0-9-]{2,61}[A-Za-z0-9]",
    "Microsoft.App/containerApps": r"[a-z](?!.*--)[a-z0-9-]{0,30}[a-z0-9]",
    "Microsoft.App/jobs": r"[a-z](?!.*--)[a-z0-9-]{0,30}[a-z0-9]",
    "Microsoft.App/managedEnvironments": r"[a-z](?!.*--)[a-z0-9-]{0,58}[a-z0-9]",
    "Microsoft.Purview/accounts": r"[A-Za-z0-9][A-Za-z0-9-]{1,61}[A-Za-z0-9]",
    "Microsoft.Resources/resourceGroups": r"[\w.()-]{1,89}[\w()-]",
    "Microsoft.Sql/servers": r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?",
    "Microsoft.Storage/storageAccounts": r"[a-z0-9]{3,24}",
    "Microsoft.StreamAnalytics/streamingjobs": r"[A-Za-z0-9_-]{3,63}",
    "Microsoft.ManagedIdentity/userAssignedIdentities": r"[A-Za-z0-9][A-Za-z0-9_-]{2,127}",
    "Microsoft.Network/virtualNetworks": r"[A-Za-z0-9][\w.-]{0,62}\w",
}
"""Azure's rules of names, where a name of ours could break them."""

ONE_IN_THE_WORLD = {
    "Microsoft.ContainerRegistry/registries",
    "Microsoft.DBforPostgreSQL/flexibleServers",
    "Microsoft.DataFactory/factories",
    "Microsoft.EventHub/namespaces",
    "Microsoft.KeyVault/vaults",
    "Microsoft.Purview/accounts",
    "Microsoft.Sql/servers",
    "Microsoft.Storage/storageAccounts",
}
