metadata description = 'What Purview may read of the lake: some folders, and never data in clear.'

@description('Name of the storage account, in this resource group.')
param account string

@description('Container of the lake.')
param container string

@description('Folders that Purview may read, as patterns: gold/*.')
param folders array

@description('Name of the Purview account.')
param purview string

@description('Resource group of the Purview account.')
param purviewGroup string

var blobDataReader = subscriptionResourceId('Microsoft.Authorization/roleDefinitions', '2a2b9908-6ea1-4ae2-8e65-a410df84e7d1')
var condition = trim(loadTextContent('../blobs_below.txt'))
var orBelow = '\' OR @Resource[Microsoft.Storage/storageAccounts/blobServices/containers/blobs:path] StringLike \''

resource scanner 'Microsoft.Purview/accounts@2021-12-01' existing = {
  name: purview
  scope: resourceGroup(purviewGroup)
}

resource existingAccount 'Microsoft.Storage/storageAccounts@2025-06-01' existing = {
  name: account
}

resource blobs 'Microsoft.Storage/storageAccounts/blobServices@2025-06-01' existing = {
  parent: existingAccount
  name: 'default'
}

resource lake 'Microsoft.Storage/storageAccounts/blobServices/containers@2025-06-01' existing = {
  parent: blobs
  name: container
}

resource scans 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: lake
  name: guid(lake.id, scanner.id, blobDataReader)
  properties: {
    roleDefinitionId: blobDataReader
    principalId: scanner.identity.principalId
    principalType: 'ServicePrincipal'
    condition: replace(condition, '<folder>', join(folders, orBelow))
    conditionVersion: '2.0'
  }
}
