metadata description = 'Dagster\'s identity as an administrator of its PostgreSQL server, which holds nothing else. Apart, since an object id is known only once the identity is there.'

@description('Name of the server.')
param server string

@description('Object id of the identity.')
param principalId string

@description('Name of the identity, by which it logs in.')
param principalName string

resource existingServer 'Microsoft.DBforPostgreSQL/flexibleServers@2024-08-01' existing = {
  name: server
}

resource administrator 'Microsoft.DBforPostgreSQL/flexibleServers/administrators@2024-08-01' = {
  parent: existingServer
  name: principalId
  properties: {
    principalName: principalName
    principalType: 'ServicePrincipal'
    tenantId: tenant().tenantId
  }
}
