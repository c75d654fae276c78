metadata description = 'What nobody may do in a resource group of the lake, whatever their roles: Azure refuses it.'

@description('The only region that resources may be in.')
param location string

@description('Whether storage accounts may be reached from outside the virtual network.')
@allowed(['Enabled', 'Disabled'])
param publicNetworkAccess string

var everywhere = [
  {
    name: 'only-in-the-region'
    displayName: 'Resources stay in the lake\'s region'
    definition: 'e56962a6-4747-49cd-b67b-bf8b01975c4c'
    parameters: {
      listOfAllowedLocations: {
        value: [
          location
        ]
      }
    }
  }
  {
    name: 'no-storage-keys'
    displayName: 'Storage accounts take no shared keys'
    definition: '8c6a50c6-9ffd-4ae7-986f-5fa6111f9a54'
    parameters: {
      effect: {
        value: 'Deny'
      }
    }
  }
  {
    name: 'storage-tls'
    displayName: 'Storage accounts take TLS 1.2 at least'
    definition: 'fe83a0eb-a853-422d-aac2-1bffd182c5d0'
    parameters: {
      effect: {
        value: 'Deny'
      }
      minimumTlsVersion: {
        value: 'TLS1_2'
      }
    }
  }
]
var whenPrivate = [
  {
    name: 'no-public-storage'
    displayName: 'Storage accounts are reached by private endpoints only'
    definition: 'b2982f36-99f2-4db5-8eff-283140c09693'
    parameters: {
      effect: {
        value: 'Deny'
      }
    }
  }
]
var policies = publicNetworkAccess == 'Disabled' ? concat(everywhere, whenPrivate) : everywhere

resource assignments 'Microsoft.Authorization/policyAssignments@2025-11-01' = [for policy in policies: {
  name: policy.name
  properties: {
    displayName: policy.displayName
    policyDefinitionId: tenantResourceId('Microsoft.Authorization/policyDefinitions', policy.definition)
    parameters: policy.parameters
    enforcementMode: 'Default'
  }
}]
