metadata description = 'The virtual network of a private lake: subnets for Databricks, Container Apps and private endpoints; one way out, by NAT.'

@description('Name of the virtual network.')
param name string

@description('Name of the NAT gateway.')
param natGatewayName string

@description('Name of the NAT gateway\'s public address, the only one from which the lake calls out.')
param publicIpName string

@description('Azure region.')
param location string

@description('Tags of every resource.')
param tags object

@description('First two numbers of the network\'s addresses: 10.20 makes 10.20.0.0/21, with subnets of 256 addresses.')
param addressPrefix string

@description('Whether the outgoing address is spread over the region\'s zones.')
param zoneRedundant bool

@description('Resource id of the Log Analytics workspace.')
param workspaceId string

// Databricks sets these rules itself as soon as a workspace uses the subnet, by these names and priorities. They stand
// here so that deploying again does not take them away. Nothing goes to AzureDatabricks: that way is a private endpoint.
var databricksRules = [
  {
    name: 'Microsoft.Databricks-workspaces_UseOnly_databricks-worker-to-worker-inbound'
    properties: {
      description: 'Workers of a cluster speak to each other.'
      direction: 'Inbound'
      priority: 100
      access: 'Allow'
      protocol: '*'
      sourceAddressPrefix: 'VirtualNetwork'
      sourcePortRange: '*'
      destinationAddressPrefix: 'VirtualNetwork'
      destinationPortRange: '*'
    }
  }
  {
    name: 'Microsoft.Databricks-workspaces_UseOnly_databricks-worker-to-sql'
    properties: {
      description: 'Workers reach Azure SQL services.'
      direction: 'Outbound'
      priority: 101
      access: 'Allow'
      protocol: 'Tcp'
      sourceAddressPrefix: 'VirtualNetwork'
      sourcePortRange: '*'
      destinationAddressPrefix: 'Sql'
      destinationPortRange: '3306'
    }
  }
  {
    name: 'Microsoft.Databricks-workspaces_UseOnly_databricks-worker-to-storage'
    properties: {
      description: 'Workers reach Azure Storage.'
      direction: 'Outbound'
      priority: 102
      access: 'Allow'
      protocol: 'Tcp'
      sourceAddressPrefix: 'VirtualNetwork'
      sourcePortRange: '*'
      destinationAddressPrefix: 'Storage'
      destinationPortRange: '443'
    }
  }
  {
    name: 'Microsoft.Databricks-workspaces_UseOnly_databricks-worker-to-worker-outbound'
    properties: {
      description: 'Workers of a cluster speak to each other.'
      direction: 'Outbound'
      priority: 103
      access: 'Allow'
      protocol: '*'
      sourceAddressPrefix: 'VirtualNetwork'
      sourcePortRange: '*'
      destinationAddressPrefix: 'VirtualNetwork'
      destinationPortRange: '*'
    }
  }
  {
    name: 'Microsoft.Databricks-workspaces_UseOnly_databricks-worker-to-eventhub'
    properties: {
      description: 'Workers reach Event Hubs.'
      direction: 'Outbound'
      priority: 104
      access: 'Allow'
      protocol: 'Tcp'
      sourceAddressPrefix: 'VirtualNetwork'
      sourcePortRange: '*'
      destinationAddressPrefix: 'EventHub'
      destinationPortRange: '9093'
    }
  }
]

// The rest is Azure's default: in from the network itself, out to anywhere, nothing in from the internet.
var subnets = [
  {
    name: 'databricks-host'
    delegation: 'Microsoft.Databricks/workspaces'
    rules: databricksRules
  }
  {
    name: 'databricks-container'
    delegation: 'Microsoft.Databricks/workspaces'
    rules: databricksRules
  }
  {
    name: 'container-apps'
    delegation: 'Microsoft.App/environments'
    rules: []
  }
  {
    name: 'private-endpoints'
    delegation: ''
    rules: []
  }
]

resource securityGroups 'Microsoft.Network/networkSecurityGroups@2025-05-01' = [for subnet in subnets: {
  name: 'nsg-${name}-${subnet.name}'
  location: location
  tags: tags
  properties: {
    securityRules: subnet.rules
  }
}]

resource publicIp 'Microsoft.Network/publicIPAddresses@2025-05-01' = {
  name: publicIpName
  location: location
  tags: tags
  sku: {
    name: 'Standard'
  }
  zones: zoneRedundant ? ['1', '2', '3'] : []
  properties: {
    publicIPAllocationMethod: 'Static'
    publicIPAddressVersion: 'IPv4'
  }
}

resource natGateway 'Microsoft.Network/natGateways@2025-05-01' = {
  name: natGatewayName
  location: location
  tags: tags
  sku: {
    name: 'Standard'
  }
  properties: {
    idleTimeoutInMinutes: 10
    publicIpAddresses: [
      {
        id: publicIp.id
      }
    ]
  }
}

// The subnets are part of the network and not resources beside it, or deploying again would remove them first.
resource network 'Microsoft.Network/virtualNetworks@2025-05-01' = {
  name: name
  location: location
  tags: tags
  properties: {
    addressSpace: {
      addressPrefixes: [
        '${addressPrefix}.0.0/21'
      ]
    }
    subnets: [for (subnet, index) in subnets: {
      name: subnet.name
      properties: {
        addressPrefix: '${addressPrefix}.${index}.0/24'
        networkSecurityGroup: {
          id: securityGroups[index].id
        }
        natGateway: {
          id: natGateway.id
        }
        defaultOutboundAccess: false
        privateEndpointNetworkPolicies: 'NetworkSecurityGroupEnabled'
        delegations: empty(subnet.delegation) ? [] : [
          {
            name: 'delegation'
            properties: {
              serviceName: subnet.delegation
            }
          }
        ]
      }
    }]
  }
}

resource networkDiagnostics 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  scope: network
  name: 'to-log-analytics'
  properties: {
    workspaceId: workspaceId
    logs: [
      {
        categoryGroup: 'allLogs'
        enabled: true
      }
    ]
    metrics: [
      {
        category: 'AllMetrics'
        enabled: true
      }
    ]
  }
}

resource securityGroupDiagnostics 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = [for (subnet, index) in subnets: {
  scope: securityGroups[index]
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
}]

resource publicIpDiagnostics 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  scope: publicIp
  name: 'to-log-analytics'
  properties: {
    workspaceId: workspaceId
    logs: [
      {
        categoryGroup: 'allLogs'
        enabled: true
      }
    ]
    metrics: [
      {
        category: 'AllMetrics'
        enabled: true
      }
    ]
  }
}

resource natGatewayDiagnostics 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  scope: natGateway
  name: 'to-log-analytics'
  properties: {
    workspaceId: workspaceId
    metrics: [
      {
        category: 'AllMetrics'
        enabled: true
      }
    ]
  }
}
