metadata description = 'A data factory in a network of its own, for teams whose schedules are kept there; its pipeline is in data_factory_pipeline.bicep.'

@description('Name of the factory.')
param name string

@description('Azure region.')
param location string

@description('Tags of every resource.')
param tags object

@description('Whether the factory can be reached from outside the virtual network.')
@allowed(['Enabled', 'Disabled'])
param publicNetworkAccess string

@description('Resource id of the Log Analytics workspace.')
param workspaceId string

resource factory 'Microsoft.DataFactory/factories@2018-06-01' = {
  name: name
  location: location
  tags: tags
  // Its own identity: a web activity can ask for a token as this one, and needs a credential object for any other.
  identity: {
    type: 'SystemAssigned'
  }
  properties: {
    publicNetworkAccess: publicNetworkAccess
  }
}

resource network 'Microsoft.DataFactory/factories/managedVirtualNetworks@2018-06-01' = {
  parent: factory
  name: 'default'
  properties: {}
}

resource runtime 'Microsoft.DataFactory/factories/integrationRuntimes@2018-06-01' = {
  parent: factory
  name: 'lake'
  properties: {
    type: 'Managed'
    description: 'Runs activities in the factory\'s own network, from which the lake\'s private addresses can be reached.'
    typeProperties: {
      computeProperties: {
        location: location
      }
    }
    managedVirtualNetwork: {
      type: 'ManagedVirtualNetworkReference'
      referenceName: network.name
    }
  }
}

resource diagnostics 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  scope: factory
  name: 'to-log-analytics'
  properties: {
    workspaceId: workspaceId
    logAnalyticsDestinationType: 'Dedicated'
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
