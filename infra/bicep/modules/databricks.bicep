metadata description = 'The Databricks workspace, and the connector as whose identity Unity Catalog reaches the lake.'

@description('Name of the workspace.')
param name string

@description('Name of the access connector; catalog.yaml names it as access_connector_id.')
param accessConnectorName string

@description('Azure region.')
param location string

@description('Tags of every resource.')
param tags object

@description('Name of the resource group that Databricks makes for itself; nothing else may be in it.')
param managedGroup string

@description('Name of the identity of the access connector, in this resource group.')
param identity string

@description('Resource id of the virtual network that clusters run in; empty for one that Databricks makes for itself.')
param networkId string

@description('Whether the workspace can be reached from outside the virtual network. Disabled needs networkId.')
@allowed(['Enabled', 'Disabled'])
param publicNetworkAccess string

@description('Resource id of the Log Analytics workspace.')
param workspaceId string

// Clusters have no public addresses, with a network or without.
var noPublicIp = {
  enableNoPublicIp: {
    value: true
  }
  requireInfrastructureEncryption: {
    value: true
  }
}
var injected = {
  customVirtualNetworkId: {
    value: networkId
  }
  customPublicSubnetName: {
    value: 'databricks-host'
  }
  customPrivateSubnetName: {
    value: 'databricks-container'
  }
}

resource connectorIdentity 'Microsoft.ManagedIdentity/userAssignedIdentities@2023-01-31' existing = {
  name: identity
}

resource connector 'Microsoft.Databricks/accessConnectors@2024-05-01' = {
  name: accessConnectorName
  location: location
  tags: tags
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: {
      '${connectorIdentity.id}': {}
    }
  }
  properties: {}
}

resource workspace 'Microsoft.Databricks/workspaces@2024-05-01' = {
  name: name
  location: location
  tags: tags
  sku: {
    name: 'premium'
  }
  properties: {
    managedResourceGroupId: subscriptionResourceId('Microsoft.Resources/resourceGroups', managedGroup)
    parameters: empty(networkId) ? noPublicIp : union(noPublicIp, injected)
    publicNetworkAccess: publicNetworkAccess
    requiredNsgRules: publicNetworkAccess == 'Disabled' ? 'NoAzureDatabricksRules' : 'AllRules'
  }
}

resource diagnostics 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
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
  }
}
