metadata description = 'Who may read the lake\'s secrets, and who puts them there.'

@description('Name of the key vault, in this resource group.')
param vault string

@description('Resource group of the identity.')
param identityGroup string

@description('Name of the identity that reads secrets.')
param reader string

@description('Object id of the Entra group that writes secrets.')
param writersId string

var secretsUser = subscriptionResourceId('Microsoft.Authorization/roleDefinitions', '4633458b-17de-408a-b874-0445c86b69e6')
var secretsOfficer = subscriptionResourceId('Microsoft.Authorization/roleDefinitions', 'b86a8fe4-44ce-4948-aee5-eccb2c155cd7')

resource existingVault 'Microsoft.KeyVault/vaults@2024-11-01' existing = {
  name: vault
}

resource readerIdentity 'Microsoft.ManagedIdentity/userAssignedIdentities@2023-01-31' existing = {
  name: reader
  scope: resourceGroup(identityGroup)
}

resource reads 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: existingVault
  name: guid(existingVault.id, readerIdentity.id, secretsUser)
  properties: {
    roleDefinitionId: secretsUser
    principalId: readerIdentity.properties.principalId
    principalType: 'ServicePrincipal'
  }
}

resource writes 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: existingVault
  name: guid(existingVault.id, writersId, secretsOfficer)
  properties: {
    roleDefinitionId: secretsOfficer
    principalId: writersId
    principalType: 'Group'
  }
}
