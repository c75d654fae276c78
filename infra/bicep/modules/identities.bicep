metadata description = 'One user-assigned identity for each workload; what each may do is said in the modules that hold the resource.'

@description('Names of the identities.')
param names array

@description('Azure region.')
param location string

@description('Tags of every resource.')
param tags object

resource identities 'Microsoft.ManagedIdentity/userAssignedIdentities@2023-01-31' = [for name in names: {
  name: name
  location: location
  tags: tags
}]

@description('Object ids of the identities, in the order of their names.')
output principalIds array = [for (name, index) in names: identities[index].properties.principalId]
