metadata description = 'Who may do what in the lake\'s storage account. Below a folder: a role may be kept to some folders of its container.'

@description('Name of the storage account, in this resource group.')
param account string

@description('Resource group of the identities.')
param identityGroup string

@description('The grants: identity (its name), role (as in roles.json), container, and folders: patterns as gold/*, none for all.')
param grants array

var roles = loadJsonContent('../roles.json')
// Reading, writing and deleting are allowed below the folders; listing names is allowed everywhere.
var condition = trim(loadTextContent('../blobs_below.txt'))
var orBelow = '\' OR @Resource[Microsoft.Storage/storageAccounts/blobServices/containers/blobs:path] StringLike \''

resource existingAccount 'Microsoft.Storage/storageAccounts@2025-06-01' existing = {
  name: account
}

resource blobs 'Microsoft.Storage/storageAccounts/blobServices@2025-06-01' existing = {
  parent: existingAccount
  name: 'default'
}

resource containers 'Microsoft.Storage/storageAccounts/blobServices/containers@2025-06-01' existing = [for grant in grants: {
  parent: blobs
  name: grant.container
}]

resource identities 'Microsoft.ManagedIdentity/userAssignedIdentities@2023-01-31' existing = [for grant in grants: {
  name: grant.identity
  scope: resourceGroup(identityGroup)
}]

resource assignments 'Microsoft.Authorization/roleAssignments@2022-04-01' = [for (grant, index) in grants: {
  scope: containers[index]
  name: guid(containers[index].id, identities[index].id, roles[grant.role])
  properties: {
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles[grant.role])
    principalId: identities[index].properties.principalId
    principalType: 'ServicePrincipal'
    condition: empty(grant.folders) ? null : replace(condition, '<folder>', join(grant.folders, orBelow))
    conditionVersion: empty(grant.folders) ? null : '2.0'
  }
}]
