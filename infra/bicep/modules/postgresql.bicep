metadata description = 'The PostgreSQL server of Dagster\'s runs, events and schedules. It has no passwords: Entra identities only.'

@description('Name of the server.')
param name string

@description('Name of the database.')
param databaseName string

@description('Azure region.')
param location string

@description('Tags of every resource.')
param tags object

@description('Object id of the Entra group that administers the server.')
param administratorsId string

@description('Name of the Entra group that administers the server.')
param administratorsName string

@description('Size of the server: Standard_B1ms, Standard_D2ds_v5, ...')
param size string

@description('Tier of that size.')
@allowed(['Burstable', 'GeneralPurpose', 'MemoryOptimized'])
param tier string

@description('The server\'s disk, GB; it can never be made smaller.')
param storageGb int

@description('Whether a standby is kept in another zone, which doubles the price and needs the tier GeneralPurpose.')
param zoneRedundant bool

@description('Whether the server can be reached from outside the virtual network.')
@allowed(['Enabled', 'Disabled'])
param publicNetworkAccess string

@description('Resource id of the Log Analytics workspace.')
param workspaceId string

resource server 'Microsoft.DBforPostgreSQL/flexibleServers@2024-08-01' = {
  name: name
  location: location
  tags: tags
  sku: {
    name: size
    tier: tier
  }
  properties: {
    version: '16'
    authConfig: {
      activeDirectoryAuth: 'Enabled'
      passwordAuth: 'Disabled'
      tenantId: tenant().tenantId
    }
    storage: {
      // Azure makes it larger when it is nearly full, and refuses to make it smaller: then this is to be raised, too.
      storageSizeGB: storageGb
      autoGrow: 'Enabled'
    }
    backup: {
      backupRetentionDays: 14
      geoRedundantBackup: 'Disabled'
    }
    highAvailability: {
      mode: zoneRedundant ? 'ZoneRedundant' : 'Disabled'
    }
    network: {
      publicNetworkAccess: publicNetworkAccess
    }
  }
}

resource database 'Microsoft.DBforPostgreSQL/flexibleServers/databases@2024-08-01' = {
  parent: server
  name: databaseName
  properties: {
    charset: 'UTF8'
    collation: 'en_US.utf8'
  }
}

// The server takes one change at a time: hence each of these waits for the one before.
resource secureTransport 'Microsoft.DBforPostgreSQL/flexibleServers/configurations@2024-08-01' = {
  parent: server
  name: 'require_secure_transport'
  properties: {
    value: 'on'
    source: 'user-override'
  }
  dependsOn: [
    database
  ]
}

resource tlsVersion 'Microsoft.DBforPostgreSQL/flexibleServers/configurations@2024-08-01' = {
  parent: server
  name: 'ssl_min_protocol_version'
  properties: {
    value: 'TLSv1.2'
    source: 'user-override'
  }
  dependsOn: [
    secureTransport
  ]
}

// Without a network, Container Apps come from addresses that nobody knows beforehand: those of Azure.
resource fromAzure 'Microsoft.DBforPostgreSQL/flexibleServers/firewallRules@2024-08-01' = if (publicNetworkAccess == 'Enabled') {
  parent: server
  name: 'AllowAllAzureServicesAndResourcesWithinAzureIps'
  properties: {
    startIpAddress: '0.0.0.0'
    endIpAddress: '0.0.0.0'
  }
  dependsOn: [
    tlsVersion
  ]
}

resource administrators 'Microsoft.DBforPostgreSQL/flexibleServers/administrators@2024-08-01' = {
  parent: server
  name: administratorsId
  properties: {
    principalName: administratorsName
    principalType: 'Group'
    tenantId: tenant().tenantId
  }
  dependsOn: [
    fromAzure
    tlsVersion
  ]
}

resource diagnostics 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  scope: server
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
