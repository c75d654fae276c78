metadata description = 'A private address in the network for each service, and the DNS zones by which it is found.'

@description('Name of the virtual network, in this resource group.')
param virtualNetwork string

@description('Azure region.')
param location string

@description('Tags of every resource.')
param tags object

@description('The endpoints: name, target (resource id), group (part of the service) and zones (DNS zones of its names).')
param endpoints array

@description('The private DNS zones that the endpoints name.')
param zones array

resource network 'Microsoft.Network/virtualNetworks@2025-05-01' existing = {
  name: virtualNetwork
}

resource dnsZones 'Microsoft.Network/privateDnsZones@2024-06-01' = [for zone in zones: {
  name: zone
  location: 'global'
  tags: tags
}]

resource links 'Microsoft.Network/privateDnsZones/virtualNetworkLinks@2024-06-01' = [for (zone, index) in zones: {
  parent: dnsZones[index]
  name: virtualNetwork
  location: 'global'
  tags: tags
  properties: {
    registrationEnabled: false
    virtualNetwork: {
      id: network.id
    }
  }
}]

// One after the other: a service refuses a second endpoint while it is still adding the first.
@batchSize(1)
resource privateEndpoints 'Microsoft.Network/privateEndpoints@2025-05-01' = [for endpoint in endpoints: {
  name: 'pep-${endpoint.name}'
  location: location
  tags: tags
  properties: {
    customNetworkInterfaceName: 'nic-pep-${endpoint.name}'
    subnet: {
      id: '${network.id}/subnets/private-endpoints'
    }
    privateLinkServiceConnections: [
      {
        name: endpoint.name
        properties: {
          privateLinkServiceId: endpoint.target
          groupIds: [
            endpoint.group
          ]
        }
      }
    ]
  }
}]

resource zoneGroups 'Microsoft.Network/privateEndpoints/privateDnsZoneGroups@2025-05-01' = [for (endpoint, index) in endpoints: {
  parent: privateEndpoints[index]
  name: 'default'
  properties: {
    privateDnsZoneConfigs: [for zone in endpoint.zones: {
      name: replace(zone, '.', '-')
      properties: {
        privateDnsZoneId: resourceId('Microsoft.Network/privateDnsZones', zone)
      }
    }]
  }
  dependsOn: [
    dnsZones
  ]
}]
