metadata description = 'An Azure Machine Learning workspace with its storage and Application Insights, and a cluster that shrinks to nothing.'

@description('Name of the workspace.')
param name string

@description('Name of the workspace\'s own storage account: the service takes none with a hierarchical namespace, so not the lake\'s.')
param storageAccountName string

@description('Name of the Application Insights component.')
param applicationInsightsName string

@description('Azure region.')
param location string

@description('Tags of every resource.')
param tags object

@description('Name of the identity that the workspace and its cluster act as, in this resource group.')
param identity string

@description('Name of the container registry, in this resource group.')
param registry string

@description('Name of the workspace\'s own key vault, in this resource group: it manages what is in there, so not the lake\'s.')
param keyVault string

@description('Whether data is kept in three zones of the region instead of one.')
param zoneRedundant bool

@description('Machines of the cluster.')
param machineSize string

@description('The most machines that the cluster takes.')
@minValue(1)
@maxValue(100)
param maximumMachines int

@description('How long deleted files and containers can be brought back, days.')
@minValue(7)
@maxValue(365)
param softDeleteDays int

@description('Whether the workspace can be reached from outside the virtual network.')
@allowed(['Enabled', 'Disabled'])
param publicNetworkAccess string

@description('Resource id of the Log Analytics workspace.')
param workspaceId string

var blobDataContributor = subscriptionResourceId('Microsoft.Authorization/roleDefinitions', 'ba92f5b4-2d11-453d-a403-e96b0029c9fe')
var fileDataPrivilegedContributor = subscriptionResourceId('Microsoft.Authorization/roleDefinitions', '69566ab7-960f-475b-8e7c-b3118f30c6bd')
var contributor = subscriptionResourceId('Microsoft.Authorization/roleDefinitions', 'b24988ac-6180-42a0-ab88-20f7382dd24c')
var keyVaultAdministrator = subscriptionResourceId('Microsoft.Authorization/roleDefinitions', '00482a5a-887f-4fb3-b363-3b7fe8e74483')
var insightsContributor = subscriptionResourceId('Microsoft.Authorization/roleDefinitions', 'ae349356-3a1b-4a5e-921d-050484c6347e')
var acrPull = subscriptionResourceId('Microsoft.Authorization/roleDefinitions', '7f951dda-4ed3-4680-a7ca-43fe172d538d')
var acrPush = subscriptionResourceId('Microsoft.Authorization/roleDefinitions', '8311e382-0749-4cb8-b61a-304f252e45ec')

resource workspaceIdentity 'Microsoft.ManagedIdentity/userAssignedIdentities@2023-01-31' existing = {
  name: identity
}

resource images 'Microsoft.ContainerRegistry/registries@2025-04-01' existing = {
  name: registry
}

resource vault 'Microsoft.KeyVault/vaults@2024-11-01' existing = {
  name: keyVault
}

resource account 'Microsoft.Storage/storageAccounts@2025-06-01' = {
  name: storageAccountName
  location: location
  tags: tags
  kind: 'StorageV2'
  sku: {
    name: zoneRedundant ? 'Standard_ZRS' : 'Standard_LRS'
  }
  properties: {
    allowSharedKeyAccess: false
    defaultToOAuthAuthentication: true
    allowBlobPublicAccess: false
    allowCrossTenantReplication: false
    isLocalUserEnabled: false
    supportsHttpsTrafficOnly: true
    minimumTlsVersion: 'TLS1_2'
    publicNetworkAccess: publicNetworkAccess
    networkAcls: {
      bypass: 'AzureServices'
      defaultAction: publicNetworkAccess == 'Disabled' ? 'Deny' : 'Allow'
    }
  }
}

resource blobs 'Microsoft.Storage/storageAccounts/blobServices@2025-06-01' = {
  parent: account
  name: 'default'
  properties: {
    deleteRetentionPolicy: {
      enabled: true
      days: softDeleteDays
    }
    containerDeleteRetentionPolicy: {
      enabled: true
      days: softDeleteDays
    }
  }
}

resource insights 'Microsoft.Insights/components@2020-02-02' = {
  name: applicationInsightsName
  location: location
  tags: tags
  kind: 'web'
  properties: {
    Application_Type: 'web'
    WorkspaceResourceId: workspaceId
    DisableLocalAuth: true
    publicNetworkAccessForIngestion: publicNetworkAccess
    // As for the logs themselves: see monitoring.bicep.
    publicNetworkAccessForQuery: 'Enabled'
  }
}

// What the workspace needs of its own resources before it can be made.
resource usesBlobs 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: account
  name: guid(account.id, workspaceIdentity.id, blobDataContributor)
  properties: {
    roleDefinitionId: blobDataContributor
    principalId: workspaceIdentity.properties.principalId
    principalType: 'ServicePrincipal'
  }
}

resource usesFiles 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: account
  name: guid(account.id, workspaceIdentity.id, fileDataPrivilegedContributor)
  properties: {
    roleDefinitionId: fileDataPrivilegedContributor
    principalId: workspaceIdentity.properties.principalId
    principalType: 'ServicePrincipal'
  }
}

resource managesStorage 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: account
  name: guid(account.id, workspaceIdentity.id, contributor)
  properties: {
    roleDefinitionId: contributor
    principalId: workspaceIdentity.properties.principalId
    principalType: 'ServicePrincipal'
  }
}

resource managesVault 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: vault
  name: guid(vault.id, workspaceIdentity.id, contributor)
  properties: {
    roleDefinitionId: contributor
    principalId: workspaceIdentity.properties.principalId
    principalType: 'ServicePrincipal'
  }
}

resource usesVault 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: vault
  name: guid(vault.id, workspaceIdentity.id, keyVaultAdministrator)
  properties: {
    roleDefinitionId: keyVaultAdministrator
    principalId: workspaceIdentity.properties.principalId
    principalType: 'ServicePrincipal'
  }
}

resource managesInsights 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: insights
  name: guid(insights.id, workspaceIdentity.id, insightsContributor)
  properties: {
    roleDefinitionId: insightsContributor
    principalId: workspaceIdentity.properties.principalId
    principalType: 'ServicePrincipal'
  }
}

resource pullsImages 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: images
  name: guid(images.id, workspaceIdentity.id, acrPull)
  properties: {
    roleDefinitionId: acrPull
    principalId: workspaceIdentity.properties.principalId
    principalType: 'ServicePrincipal'
  }
}

resource pushesImages 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: images
  name: guid(images.id, workspaceIdentity.id, acrPush)
  properties: {
    roleDefinitionId: acrPush
    principalId: workspaceIdentity.properties.principalId
    principalType: 'ServicePrincipal'
  }
}

resource workspace 'Microsoft.MachineLearningServices/workspaces@2025-12-01' = {
  name: name
  location: location
  tags: tags
  kind: 'Default'
  sku: {
    name: 'Basic'
    tier: 'Basic'
  }
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: {
      '${workspaceIdentity.id}': {}
    }
  }
  properties: {
    friendlyName: name
    primaryUserAssignedIdentity: workspaceIdentity.id
    storageAccount: account.id
    keyVault: vault.id
    applicationInsights: insights.id
    containerRegistry: images.id
    systemDatastoresAuthMode: 'Identity'
    v1LegacyMode: false
    // Built by the cluster, for which pushing to the registry is enough: the registry's own tasks would need far more.
    imageBuildCompute: 'cpu'
    publicNetworkAccess: publicNetworkAccess
    managedNetwork: {
      isolationMode: publicNetworkAccess == 'Disabled' ? 'AllowInternetOutbound' : 'Disabled'
    }
  }
  dependsOn: [
    usesBlobs
    usesFiles
    managesStorage
    managesVault
    usesVault
    managesInsights
    pullsImages
    pushesImages
  ]
}

resource cluster 'Microsoft.MachineLearningServices/workspaces/computes@2025-12-01' = {
  parent: workspace
  name: 'cpu'
  location: location
  tags: tags
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: {
      '${workspaceIdentity.id}': {}
    }
  }
  properties: {
    computeType: 'AmlCompute'
    disableLocalAuth: true
    properties: {
      osType: 'Linux'
      vmSize: machineSize
      vmPriority: 'LowPriority'
      enableNodePublicIp: publicNetworkAccess == 'Enabled'
      remoteLoginPortPublicAccess: 'Disabled'
      scaleSettings: {
        minNodeCount: 0
        maxNodeCount: maximumMachines
        nodeIdleTimeBeforeScaleDown: 'PT5M'
      }
    }
  }
}

resource accountDiagnostics 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  scope: account
  name: 'to-log-analytics'
  properties: {
    workspaceId: workspaceId
    metrics: [
      {
        category: 'Transaction'
        enabled: true
      }
    ]
  }
}

resource blobDiagnostics 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  scope: blobs
  name: 'to-log-analytics'
  properties: {
    workspaceId: workspaceId
    logs: [
      {
        category: 'StorageWrite'
        enabled: true
      }
      {
        category: 'StorageDelete'
        enabled: true
      }
    ]
  }
}

resource workspaceDiagnostics 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  scope: workspace
  name: 'to-log-analytics'
  properties: {
    workspaceId: workspaceId
    logs: [
      {
        categoryGroup: 'allLogs'
        enabled: true
      }
    ]
    metrics: [
      {
        category: 'AllMetrics'
        enabled: true
      }
    ]
  }
}
