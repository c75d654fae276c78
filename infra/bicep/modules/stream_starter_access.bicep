metadata description = 'The right to look at the Stream Analytics job and to start it, and no other.'

@description('Name of the Stream Analytics job, in this resource group.')
param streamingJob string

@description('Name of the identity that starts it.')
param starter string

@description('Resource group of the identity.')
param identityGroup string

resource job 'Microsoft.StreamAnalytics/streamingjobs@2020-03-01' existing = {
  name: streamingJob
}

resource starterIdentity 'Microsoft.ManagedIdentity/userAssignedIdentities@2023-01-31' existing = {
  name: starter
  scope: resourceGroup(identityGroup)
}

resource role 'Microsoft.Authorization/roleDefinitions@2022-04-01' = {
  name: guid(resourceGroup().id, 'stream-starter')
  properties: {
    roleName: 'Stream starter (${resourceGroup().name})'
    description: 'Looks at Stream Analytics jobs and starts them.'
    type: 'CustomRole'
    permissions: [
      {
        actions: [
          'Microsoft.StreamAnalytics/streamingjobs/read'
          'Microsoft.StreamAnalytics/streamingjobs/start/action'
        ]
      }
    ]
    assignableScopes: [
      resourceGroup().id
    ]
  }
}

resource starts 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: job
  name: guid(job.id, starterIdentity.id, role.id)
  properties: {
    roleDefinitionId: role.id
    principalId: starterIdentity.properties.principalId
    principalType: 'ServicePrincipal'
  }
}
