metadata description = 'Who may pull images.'

@description('Name of the container registry, in this resource group.')
param registry string

@description('Name of the identity that pulls, in this resource group.')
param puller string

var acrPull = subscriptionResourceId('Microsoft.Authorization/roleDefinitions', '7f951dda-4ed3-4680-a7ca-43fe172d538d')

resource existingRegistry 'Microsoft.ContainerRegistry/registries@2025-04-01' existing = {
  name: registry
}

resource pullerIdentity 'Microsoft.ManagedIdentity/userAssignedIdentities@2023-01-31' existing = {
  name: puller
}

resource pulls 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: existingRegistry
  name: guid(existingRegistry.id, pullerIdentity.id, acrPull)
  properties: {
    roleDefinitionId: acrPull
    principalId: pullerIdentity.properties.principalId
    principalType: 'ServicePrincipal'
  }
}
