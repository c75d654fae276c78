metadata description = 'A Purview account, which can scan the lake\'s masked zones and show where its columns come from.'

@description('Name of the account.')
param name string

@description('Azure region.')
param location string

@description('Tags of every resource.')
param tags object

@description('Name of the resource group that Purview makes for itself.')
param managedGroup string

@description('Whether the account can be reached from outside the virtual network.')
@allowed(['Enabled', 'Disabled'])
param publicNetworkAccess string

@description('Resource id of the Log Analytics workspace.')
param workspaceId string

resource account 'Microsoft.Purview/accounts@2021-12-01' = {
  name: name
  location: location
  tags: tags
  // Scans go out as the account itself; it has no place for another identity.
  identity: {
    type: 'SystemAssigned'
  }
  properties: {
    managedResourceGroupName: managedGroup
    publicNetworkAccess: publicNetworkAccess
    managedResourcesPublicNetworkAccess: publicNetworkAccess
    managedEventHubState: 'Disabled'
  }
}

resource diagnostics 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  scope: account
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
