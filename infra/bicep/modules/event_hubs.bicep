metadata description = 'The Event Hubs namespace: a hub for each event data set, captured as Avro into the lake\'s landing zone.'

@description('Name of the namespace.')
param name string

@description('Azure region.')
param location string

@description('Tags of every resource.')
param tags object

@description('Throughput units to begin with: 1 MB or 1,000 events a second in each, twice that out.')
@minValue(1)
@maxValue(40)
param throughputUnits int

@description('Throughput units that auto-inflate may go up to; nothing takes them down again.')
@minValue(1)
@maxValue(40)
param maximumThroughputUnits int

@description('Partitions of each hub, which cannot be changed later.')
@minValue(2)
@maxValue(32)
param partitions int

@description('How long a hub keeps events, hours; Capture and the lake keep them as long as the contract says.')
@minValue(1)
@maxValue(168)
param retentionHours int

@description('Whether the namespace is spread over the region\'s zones.')
param zoneRedundant bool

@description('Whether the namespace can be reached from outside the virtual network.')
@allowed(['Enabled', 'Disabled'])
param publicNetworkAccess string

@description('Name of the identity that Capture writes as, in the resource group identityGroup.')
param identity string

@description('Resource group of the identity.')
param identityGroup string

@description('Resource id of the storage account that Capture writes to.')
param storageAccountId string

@description('Container of the lake.')
param lakeContainer string

@description('Folder of the lake in its container, ending in a slash; empty for the container itself.')
param lakeFolder string

@description('Resource id of the Log Analytics workspace.')
param workspaceId string

// Made from the contracts by `python -m dagster_lake.deploy.bicep_inputs`: the hub of each event data set, and the folder it is captured in.
var hubs = loadJsonContent('../generated/event_hubs.json')

// The lake reads as a consumer group of its own (LAKE_EVENT_HUBS_CONSUMER_GROUP); Stream Analytics adds another.
var consumerGroup = 'lake'

resource captureIdentity 'Microsoft.ManagedIdentity/userAssignedIdentities@2023-01-31' existing = {
  name: identity
  scope: resourceGroup(identityGroup)
}

resource namespace 'Microsoft.EventHub/namespaces@2024-01-01' = {
  name: name
  location: location
  tags: tags
  sku: {
    name: 'Standard'
    tier: 'Standard'
    capacity: throughputUnits
  }
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: {
      '${captureIdentity.id}': {}
    }
  }
  properties: {
    isAutoInflateEnabled: maximumThroughputUnits > throughputUnits
    maximumThroughputUnits: maximumThroughputUnits > throughputUnits ? maximumThroughputUnits : 0
    zoneRedundant: zoneRedundant
    disableLocalAuth: true
    minimumTlsVersion: '1.2'
    publicNetworkAccess: publicNetworkAccess
  }
}

resource networkRules 'Microsoft.EventHub/namespaces/networkRuleSets@2024-01-01' = {
  parent: namespace
  name: 'default'
  properties: {
    publicNetworkAccess: publicNetworkAccess
    defaultAction: publicNetworkAccess == 'Disabled' ? 'Deny' : 'Allow'
    // Stream Analytics reads as a trusted service.
    trustedServiceAccessEnabled: true
  }
}

resource eventHubs 'Microsoft.EventHub/namespaces/eventhubs@2024-01-01' = [for one in hubs: {
  parent: namespace
  name: one.hub
  properties: {
    partitionCount: partitions
    retentionDescription: {
      cleanupPolicy: 'Delete'
      retentionTimeInHours: retentionHours
    }
    captureDescription: {
      enabled: true
      encoding: 'Avro'
      // The lake takes an hour for complete 20 minutes after its end, so this must stay below 15 minutes.
      intervalInSeconds: 300
      sizeLimitInBytes: 314572800
      skipEmptyArchives: true
      destination: {
        name: 'EventHubArchive.AzureBlockBlob'
        identity: {
          type: 'UserAssigned'
          userAssignedIdentity: captureIdentity.id
        }
        properties: {
          storageAccountResourceId: storageAccountId
          blobContainer: lakeContainer
          archiveNameFormat: '${lakeFolder}${one.folder}/{Namespace}/{EventHub}/{PartitionId}/{Year}/{Month}/{Day}/{Hour}/{Minute}/{Second}'
        }
      }
    }
  }
}]

resource consumerGroups 'Microsoft.EventHub/namespaces/eventhubs/consumergroups@2024-01-01' = [for (one, index) in hubs: {
  parent: eventHubs[index]
  name: consumerGroup
  properties: {
    userMetadata: 'Dagster, which reads each lake hour by its time and keeps no checkpoints.'
  }
}]

resource diagnostics 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  scope: namespace
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
