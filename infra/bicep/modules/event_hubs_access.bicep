metadata description = 'Who may send and receive events.'

@description('Name of the Event Hubs namespace, in this resource group.')
param namespace string

@description('Resource group of the identities.')
param identityGroup string

@description('The grants: identity (its name) and role (as in roles.json).')
param grants array

var roles = loadJsonContent('../roles.json')

resource existingNamespace 'Microsoft.EventHub/namespaces@2024-01-01' existing = {
  name: namespace
}

resource identities 'Microsoft.ManagedIdentity/userAssignedIdentities@2023-01-31' existing = [for grant in grants: {
  name: grant.identity
  scope: resourceGroup(identityGroup)
}]

resource assignments 'Microsoft.Authorization/roleAssignments@2022-04-01' = [for (grant, index) in grants: {
  scope: existingNamespace
  name: guid(existingNamespace.id, identities[index].id, roles[grant.role])
  properties: {
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles[grant.role])
    principalId: identities[index].properties.principalId
    principalType: 'ServicePrincipal'
  }
}]
