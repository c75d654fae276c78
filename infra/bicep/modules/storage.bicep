metadata description = 'The storage account of the lake: one container whose folders are the lake\'s zones, and one for what Dagster\'s steps print.'

@description('Name of the storage account.')
param name string

@description('Azure region.')
param location string

@description('Tags of every resource.')
param tags object

@description('Container of the lake: LAKE_ROOT is abfss://<container>@<account>.dfs.core.windows.net/<folder>.')
param lakeContainer string

@description('Folder of the lake in its container, ending in a slash; empty for the container itself.')
param lakeFolder string

@description('Container of the logs that Dagster keeps of steps.')
param logsContainer string

@description('Whether data is kept in three zones of the region instead of one.')
param zoneRedundant bool

@description('Whether the account can be reached from outside the virtual network.')
@allowed(['Enabled', 'Disabled'])
param publicNetworkAccess string

@description('Azure resources, by id, that may come past the firewall as themselves: those that have no private endpoint.')
param trustedResources array

@description('How long deleted files and containers can be brought back, days.')
@minValue(7)
@maxValue(365)
param softDeleteDays int

@description('How long logs of steps are kept, days.')
@minValue(7)
param logDays int

@description('Whether the account is locked against deletion.')
param deleteLock bool

@description('Whether each reading of a file is logged, which costs as much as the readings are many.')
param logReads bool

@description('Resource id of the Log Analytics workspace.')
param workspaceId string

// Made from the contracts by `python -m dagster_lake.deploy.bicep_inputs`: folders whose files go by age. Never one of
// Delta tables, whose logs would go on naming files that are gone.
var retained = loadJsonContent('../generated/retention.json')

var contractRules = [for rule in retained: {
  name: rule.name
  type: 'Lifecycle'
  enabled: true
  definition: {
    filters: {
      blobTypes: [
        'blockBlob'
      ]
      prefixMatch: [
        '${lakeContainer}/${lakeFolder}${rule.folder}/'
      ]
    }
    actions: {
      baseBlob: {
        delete: {
          daysAfterModificationGreaterThan: rule.days
        }
      }
    }
  }
}]
var logRules = [
  {
    name: 'dagster-logs'
    type: 'Lifecycle'
    enabled: true
    definition: {
      filters: {
        blobTypes: [
          'blockBlob'
          'appendBlob'
        ]
        prefixMatch: [
          '${logsContainer}/'
        ]
      }
      actions: {
        baseBlob: {
          delete: {
            daysAfterModificationGreaterThan: logDays
          }
        }
      }
    }
  }
]

resource account 'Microsoft.Storage/storageAccounts@2025-06-01' = {
  name: name
  location: location
  tags: tags
  kind: 'StorageV2'
  sku: {
    name: zoneRedundant ? 'Standard_ZRS' : 'Standard_LRS'
  }
  properties: {
    isHnsEnabled: true
    accessTier: 'Hot'
    allowSharedKeyAccess: false
    defaultToOAuthAuthentication: true
    allowBlobPublicAccess: false
    allowCrossTenantReplication: false
    isLocalUserEnabled: false
    isSftpEnabled: false
    supportsHttpsTrafficOnly: true
    minimumTlsVersion: 'TLS1_2'
    publicNetworkAccess: publicNetworkAccess
    networkAcls: {
      // Event Hubs Capture comes as a trusted service. These exceptions hold with public access disabled, too.
      bypass: 'AzureServices'
      defaultAction: publicNetworkAccess == 'Disabled' ? 'Deny' : 'Allow'
      resourceAccessRules: [for resource in trustedResources: {
        tenantId: tenant().tenantId
        resourceId: resource
      }]
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

resource containers 'Microsoft.Storage/storageAccounts/blobServices/containers@2025-06-01' = [for container in [lakeContainer, logsContainer]: {
  parent: blobs
  name: container
  properties: {
    publicAccess: 'None'
  }
}]

resource lifecycle 'Microsoft.Storage/storageAccounts/managementPolicies@2025-06-01' = {
  parent: account
  name: 'default'
  properties: {
    policy: {
      rules: concat(contractRules, logRules)
    }
  }
  dependsOn: [
    containers
  ]
}

resource lock 'Microsoft.Authorization/locks@2020-05-01' = if (deleteLock) {
  scope: account
  name: 'holds-the-lake'
  properties: {
    level: 'CanNotDelete'
    notes: 'The lake is in here. Remove this lock by hand before you delete it.'
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
      {
        category: 'Capacity'
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
        category: 'StorageRead'
        enabled: logReads
      }
      {
        category: 'StorageWrite'
        enabled: true
      }
      {
        category: 'StorageDelete'
        enabled: true
      }
    ]
    metrics: [
      {
        category: 'Transaction'
        enabled: true
      }
    ]
  }
}
