targetScope = 'subscription'
metadata description = 'Everything that one environment of the lake needs on Azure. docs/azure.md says how to deploy it, and what is left to do by hand.'

// Modules are given names and ids that are known before anything is deployed, never each other's outputs, so that
// `az deployment sub what-if` can look into every one of them. What must be there first is said by dependsOn.

@description('The business domain, in every name: shop.')
@minLength(3)
@maxLength(8)
param domain string

@description('The environment, in every name. Each has its own parameters file.')
@allowed(['dev', 'test', 'prod'])
param environmentName string

@description('Azure region of everything.')
param location string

@description('Whether everything is reached through a virtual network and private endpoints only. It cannot be changed later.')
param privateNetwork bool

@description('First two numbers of the virtual network\'s addresses, which must be free where people come from: 10.20.')
param addressPrefix string

@description('Whether services are spread over the region\'s zones.')
param zoneRedundant bool

@description('Whether the storage account and the key vault are locked against deletion.')
param deleteLock bool

@description('Who answers for the lake; a tag of every resource.')
param owner string

@description('Where the cost goes; a tag of every resource.')
param costCentre string

@description('E-mail addresses that alerts go to.')
@minLength(1)
param contacts array

@description('What a month may cost, in the currency of the subscription\'s bill. Reaching it stops nothing.')
@minValue(1)
param monthlyBudget int

@description('First day of the month in which the lake is first deployed, 2026-12-01. It must stay the same afterwards.')
param budgetStart string

@description('Object id of the Entra group that administers databases and puts secrets into the key vault.')
param administratorsId string

@description('Name of that group.')
param administratorsName string

@description('Folder of the lake in its container, shop, or empty for the container itself. LAKE_ROOT follows from it.')
param lakeFolder string

@description('How long deleted files can be brought back, days.')
param softDeleteDays int

@description('Whether each reading of a file of the lake is logged.')
param logReads bool

@description('How long logs are kept, days.')
param logDays int

@description('The most logs that are taken in a day, GB; -1 for no limit.')
param dailyLogQuotaGb int

@description('Event Hubs: throughput units to begin with.')
param throughputUnits int

@description('Event Hubs: throughput units that auto-inflate may go up to.')
param maximumThroughputUnits int

@description('Event Hubs: partitions of each hub, which cannot be changed later.')
param partitions int

@description('Event Hubs: how long a hub keeps events, hours.')
param eventHours int

@description('Whether events may be sent by Dagster\'s identity, as the live generators do.')
param generators bool

@description('Whether the Stream Analytics job is deployed. Stop a job that runs before deploying it again.')
param deployStreamAnalytics bool

@description('Stream Analytics: streaming units.')
param streamingUnits int

@description('Whether Databricks is deployed.')
param deployDatabricks bool

@description('Whether an Azure SQL database is deployed, for a source system. The lake itself reads SQLite and PostgreSQL.')
param deploySql bool

@description('Whether a data factory is deployed, for teams whose schedules are kept there.')
param deployDataFactory bool

@description('Whether Azure Machine Learning is deployed.')
param deployMachineLearning bool

@description('Azure Machine Learning: the machines of the cluster.')
param machineSize string

@description('Azure Machine Learning: the most machines that the cluster takes.')
param maximumMachines int

@description('Whether Purview is deployed; a tenant has one as a rule.')
param deployPurview bool

@description('Dagster\'s image with its digest, in this environment\'s registry: dagster-lake@sha256:...; empty while none was pushed.')
param dagsterImage string

@description('Application id of the app registration that guards Dagster\'s webserver; empty while there is none.')
param signInClientId string

@description('Object id of the Entra group that may use Dagster\'s webserver.')
param dagsterUsersId string

@description('What computes: duckdb in Dagster\'s code location, or databricks.')
@allowed(['duckdb', 'databricks'])
param engine string

@description('Names the masking key that is in the key vault as pii-key; stored with each masked value.')
param maskingKeyId string

@description('More settings that are secrets, beside the masking key: objects of name (LAKE_DATABASE_URL) and secret (its name in the key vault).')
param secretSettings array

@description('More settings that are no secrets: objects of name (LAKE_MEMORY_LIMIT) and value.')
param settings array

@description('Dagster: fewest webservers that are kept running, 0 or 1.')
param minimumWebservers int

@description('Dagster: cores of the code location.')
param cores string

@description('Dagster: memory of the code location.')
param memory string

@description('Dagster: how long the run of an hour may take before people are told, minutes.')
param slowMinutes int

@description('PostgreSQL: size of the server.')
param postgresqlSize string

@description('PostgreSQL: the server\'s disk, GB: 32, 64, 128, ...; never less than the server has.')
param postgresqlStorageGb int

@description('PostgreSQL: tier of that size.')
param postgresqlTier string

var lakeContainer = 'lake'
var logsContainer = 'logs'
var postgresqlDatabase = 'dagster'
var unique = take(uniqueString(subscription().id, domain, environmentName), 6)
// The one naming convention: names.json has the pattern of each name.
var names = json(replace(replace(replace(loadTextContent('names.json'), '<domain>', domain), '<environment>', environmentName), '<unique>', unique))
var tags = {
  project: 'dagster_lake'
  domain: domain
  environment: environmentName
  owner: owner
  costCentre: costCentre
}
var lakePrefix = empty(lakeFolder) ? '' : '${lakeFolder}/'
var lakeRoot = 'abfss://${lakeContainer}@${names.lakeStorage}.dfs.${environment().suffixes.storage}${empty(lakeFolder) ? '' : '/${lakeFolder}'}'
var publicNetworkAccess = privateNetwork ? 'Disabled' : 'Enabled'
var dagsterRuns = !empty(dagsterImage)
var deployPipeline = deployDataFactory && dagsterRuns && !empty(signInClientId)

var subscriptionId = subscription().subscriptionId
var workspaceId = resourceId(subscriptionId, names.monitoringGroup, 'Microsoft.OperationalInsights/workspaces', names.logAnalytics)
var actionGroupId = resourceId(subscriptionId, names.monitoringGroup, 'Microsoft.Insights/actionGroups', names.actionGroup)
var lakeStorageId = resourceId(subscriptionId, names.dataGroup, 'Microsoft.Storage/storageAccounts', names.lakeStorage)
var eventHubsId = resourceId(subscriptionId, names.dataGroup, 'Microsoft.EventHub/namespaces', names.eventHubs)
var sqlServerId = resourceId(subscriptionId, names.dataGroup, 'Microsoft.Sql/servers', names.sqlServer)
var keyVaultId = resourceId(subscriptionId, names.dataGroup, 'Microsoft.KeyVault/vaults', names.keyVault)
var streamAnalyticsId = resourceId(subscriptionId, names.dataGroup, 'Microsoft.StreamAnalytics/streamingjobs', names.streamAnalytics)
var registryId = resourceId(subscriptionId, names.computeGroup, 'Microsoft.ContainerRegistry/registries', names.registry)
var accessConnectorId = resourceId(subscriptionId, names.computeGroup, 'Microsoft.Databricks/accessConnectors', names.accessConnector)
var databricksId = resourceId(subscriptionId, names.computeGroup, 'Microsoft.Databricks/workspaces', names.databricks)
var dataFactoryId = resourceId(subscriptionId, names.computeGroup, 'Microsoft.DataFactory/factories', names.dataFactory)
var machineLearningId = resourceId(subscriptionId, names.computeGroup, 'Microsoft.MachineLearningServices/workspaces', names.machineLearning)
var machineLearningStorageId = resourceId(subscriptionId, names.computeGroup, 'Microsoft.Storage/storageAccounts', names.machineLearningStorage)
var machineLearningVaultId = resourceId(subscriptionId, names.computeGroup, 'Microsoft.KeyVault/vaults', names.machineLearningVault)
var purviewId = resourceId(subscriptionId, names.computeGroup, 'Microsoft.Purview/accounts', names.purview)
var postgresqlId = resourceId(subscriptionId, names.computeGroup, 'Microsoft.DBforPostgreSQL/flexibleServers', names.postgresql)
var containerAppsId = resourceId(subscriptionId, names.computeGroup, 'Microsoft.App/managedEnvironments', names.containerApps)
var networkId = privateNetwork ? resourceId(subscriptionId, names.networkGroup, 'Microsoft.Network/virtualNetworks', names.virtualNetwork) : ''
var containerAppsSubnetId = privateNetwork ? '${networkId}/subnets/container-apps' : ''

// ---- who may do what -------------------------------------------------------------------------------------------------

// Zones in which personal data is masked. Data in clear is in sensitive/ and landing/.
var maskedZones = [
  '${lakePrefix}silver/*'
  '${lakePrefix}streams/*'
  '${lakePrefix}gold/*'
]
var databricksGrants = deployDatabricks ? [
  {
    identity: names.databricksIdentity
    role: 'Storage Blob Data Contributor'
    container: lakeContainer
    folders: []
  }
] : []
var machineLearningGrants = deployMachineLearning ? [
  {
    identity: names.machineLearningIdentity
    role: 'Storage Blob Data Reader'
    container: lakeContainer
    folders: maskedZones
  }
] : []
var storageGrants = concat([
  {
    identity: names.dagsterIdentity
    role: 'Storage Blob Data Contributor'
    container: lakeContainer
    folders: []
  }
  {
    identity: names.dagsterIdentity
    role: 'Storage Blob Data Contributor'
    container: logsContainer
    folders: []
  }
  {
    identity: names.eventHubsIdentity
    role: 'Storage Blob Data Contributor'
    container: lakeContainer
    folders: [
      '${lakePrefix}landing/*'
    ]
  }
], databricksGrants, machineLearningGrants)
var receives = [
  {
    identity: names.dagsterIdentity
    role: 'Azure Event Hubs Data Receiver'
  }
]
var sends = generators ? [
  {
    identity: names.dagsterIdentity
    role: 'Azure Event Hubs Data Sender'
  }
] : []
var identityNames = concat([
  names.dagsterIdentity
  names.eventHubsIdentity
], deployDatabricks ? [
  names.databricksIdentity
] : [], deployMachineLearning ? [
  names.machineLearningIdentity
] : [], deployStreamAnalytics ? [
  names.streamStarterIdentity
] : [])

// ---- private addresses -----------------------------------------------------------------------------------------------

var blobZone = 'privatelink.blob.${environment().suffixes.storage}'
var dfsZone = 'privatelink.dfs.${environment().suffixes.storage}'
var fileZone = 'privatelink.file.${environment().suffixes.storage}'
var sqlZone = 'privatelink${environment().suffixes.sqlServerHostname}'
var registryZone = 'privatelink${environment().suffixes.acrLoginServer}'
var containerAppsZone = 'privatelink.${location}.azurecontainerapps.io'

var alwaysPrivate = [
  {
    name: '${names.lakeStorage}-blob'
    target: lakeStorageId
    group: 'blob'
    zones: [
      blobZone
    ]
  }
  {
    name: '${names.lakeStorage}-dfs'
    target: lakeStorageId
    group: 'dfs'
    zones: [
      dfsZone
    ]
  }
  {
    name: names.eventHubs
    target: eventHubsId
    group: 'namespace'
    zones: [
      'privatelink.servicebus.windows.net'
    ]
  }
  {
    name: names.keyVault
    target: keyVaultId
    group: 'vault'
    zones: [
      'privatelink.vaultcore.azure.net'
    ]
  }
  {
    name: names.registry
    target: registryId
    group: 'registry'
    zones: [
      registryZone
    ]
  }
  {
    name: names.postgresql
    target: postgresqlId
    group: 'postgresqlServer'
    zones: [
      'privatelink.postgres.database.azure.com'
    ]
  }
  {
    name: names.containerApps
    target: containerAppsId
    group: 'managedEnvironments'
    zones: [
      containerAppsZone
    ]
  }
]
var databricksPrivate = deployDatabricks ? [
  {
    name: '${names.databricks}-api'
    target: databricksId
    group: 'databricks_ui_api'
    zones: [
      'privatelink.azuredatabricks.net'
    ]
  }
  {
    name: '${names.databricks}-sign-in'
    target: databricksId
    group: 'browser_authentication'
    zones: [
      'privatelink.azuredatabricks.net'
    ]
  }
] : []
var sqlPrivate = deploySql ? [
  {
    name: names.sqlServer
    target: sqlServerId
    group: 'sqlServer'
    zones: [
      sqlZone
    ]
  }
] : []
var dataFactoryPrivate = deployDataFactory ? [
  {
    name: names.dataFactory
    target: dataFactoryId
    group: 'dataFactory'
    zones: [
      'privatelink.datafactory.azure.net'
    ]
  }
  {
    name: '${names.dataFactory}-portal'
    target: dataFactoryId
    group: 'portal'
    zones: [
      'privatelink.adf.azure.com'
    ]
  }
] : []
var machineLearningPrivate = deployMachineLearning ? [
  {
    name: names.machineLearning
    target: machineLearningId
    group: 'amlworkspace'
    zones: [
      'privatelink.api.azureml.ms'
      'privatelink.notebooks.azure.net'
    ]
  }
  {
    name: '${names.machineLearningStorage}-blob'
    target: machineLearningStorageId
    group: 'blob'
    zones: [
      blobZone
    ]
  }
  {
    name: '${names.machineLearningStorage}-file'
    target: machineLearningStorageId
    group: 'file'
    zones: [
      fileZone
    ]
  }
  {
    name: names.machineLearningVault
    target: machineLearningVaultId
    group: 'vault'
    zones: [
      'privatelink.vaultcore.azure.net'
    ]
  }
] : []
var purviewPrivate = deployPurview ? [
  {
    name: names.purview
    target: purviewId
    group: 'account'
    zones: [
      'privatelink.purview.azure.com'
    ]
  }
  {
    name: '${names.purview}-portal'
    target: purviewId
    group: 'portal'
    zones: [
      'privatelink.purviewstudio.azure.com'
    ]
  }
] : []
var endpoints = concat(alwaysPrivate, databricksPrivate, sqlPrivate, dataFactoryPrivate, machineLearningPrivate, purviewPrivate)
var zones = concat([
  blobZone
  dfsZone
  'privatelink.servicebus.windows.net'
  'privatelink.vaultcore.azure.net'
  registryZone
  'privatelink.postgres.database.azure.com'
  containerAppsZone
], deployDatabricks ? [
  'privatelink.azuredatabricks.net'
] : [], deploySql ? [
  sqlZone
] : [], deployDataFactory ? [
  'privatelink.datafactory.azure.net'
  'privatelink.adf.azure.com'
] : [], deployMachineLearning ? [
  'privatelink.api.azureml.ms'
  'privatelink.notebooks.azure.net'
  fileZone
] : [], deployPurview ? [
  'privatelink.purview.azure.com'
  'privatelink.purviewstudio.azure.com'
] : [])

// ---- resource groups, their policies, and the budget ------------------------------------------------------------------

var groupNames = [
  names.networkGroup
  names.dataGroup
  names.computeGroup
  names.monitoringGroup
]
// What Databricks, Purview and Container Apps make for themselves costs as well.
var managedGroupNames = [
  names.databricksManagedGroup
  names.purviewManagedGroup
  names.containerAppsManagedGroup
]

resource groups 'Microsoft.Resources/resourceGroups@2024-11-01' = [for group in groupNames: {
  name: group
  location: location
  tags: tags
}]

module policies 'modules/policies.bicep' = [for (group, index) in groupNames: {
  name: 'policies-${index}'
  scope: resourceGroup(group)
  params: {
    location: location
    publicNetworkAccess: publicNetworkAccess
  }
  dependsOn: [
    groups
  ]
}]

resource budget 'Microsoft.Consumption/budgets@2024-08-01' = {
  name: names.budget
  properties: {
    category: 'Cost'
    amount: monthlyBudget
    timeGrain: 'Monthly'
    timePeriod: {
      startDate: '${budgetStart}T00:00:00Z'
    }
    filter: {
      dimensions: {
        name: 'ResourceGroupName'
        operator: 'In'
        values: concat(groupNames, managedGroupNames)
      }
    }
    notifications: {
      halfSpent: {
        enabled: true
        operator: 'GreaterThanOrEqualTo'
        threshold: 50
        thresholdType: 'Actual'
        contactEmails: contacts
        contactGroups: [
          actionGroupId
        ]
      }
      nearlySpent: {
        enabled: true
        operator: 'GreaterThanOrEqualTo'
        threshold: 90
        thresholdType: 'Actual'
        contactEmails: contacts
        contactGroups: [
          actionGroupId
        ]
      }
      willBeSpent: {
        enabled: true
        operator: 'GreaterThanOrEqualTo'
        threshold: 100
        thresholdType: 'Forecasted'
        contactEmails: contacts
        contactGroups: [
          actionGroupId
        ]
      }
    }
  }
  dependsOn: [
    monitoring
  ]
}

// ---- monitoring, which all others send their logs to ------------------------------------------------------------------

module monitoring 'modules/monitoring.bicep' = {
  name: 'monitoring'
  scope: resourceGroup(names.monitoringGroup)
  params: {
    name: names.logAnalytics
    actionGroupName: names.actionGroup
    location: location
    tags: tags
    retentionDays: logDays
    dailyQuotaGb: dailyLogQuotaGb
    contacts: contacts
    publicNetworkAccess: publicNetworkAccess
  }
  dependsOn: [
    groups
  ]
}

module alerts 'modules/alerts.bicep' = {
  name: 'alerts'
  scope: resourceGroup(names.monitoringGroup)
  params: {
    prefix: 'alert-${domain}-${environmentName}'
    location: location
    tags: tags
    workspace: names.logAnalytics
    actionGroup: names.actionGroup
    dagsterRuns: dagsterRuns
    slowMinutes: slowMinutes
    eventHubsId: eventHubsId
    postgresqlId: postgresqlId
    streamAnalyticsId: deployStreamAnalytics ? streamAnalyticsId : ''
    dataFactoryId: deployDataFactory ? dataFactoryId : ''
  }
  dependsOn: [
    monitoring
    eventHubs
    postgresql
    streamAnalytics
    dataFactory
  ]
}

module workbook 'modules/workbook.bicep' = {
  name: 'workbook'
  scope: resourceGroup(names.monitoringGroup)
  params: {
    displayName: 'Lake ${domain} ${environmentName}'
    location: location
    tags: tags
    workspace: names.logAnalytics
    eventHubsId: eventHubsId
  }
  dependsOn: [
    monitoring
    eventHubs
  ]
}

// ---- network ---------------------------------------------------------------------------------------------------------

module network 'modules/network.bicep' = if (privateNetwork) {
  name: 'network'
  scope: resourceGroup(names.networkGroup)
  params: {
    name: names.virtualNetwork
    natGatewayName: names.natGateway
    publicIpName: names.publicIp
    location: location
    tags: tags
    addressPrefix: addressPrefix
    zoneRedundant: zoneRedundant
    workspaceId: workspaceId
  }
  dependsOn: [
    monitoring
  ]
}

module privateEndpoints 'modules/private_endpoints.bicep' = if (privateNetwork) {
  name: 'private-endpoints'
  scope: resourceGroup(names.networkGroup)
  params: {
    virtualNetwork: names.virtualNetwork
    location: location
    tags: tags
    endpoints: endpoints
    zones: zones
  }
  dependsOn: [
    network
    storage
    eventHubs
    keyVault
    registry
    postgresql
    dagster
    databricks
    sql
    dataFactory
    machineLearning
    purview
  ]
}

// ---- identities ------------------------------------------------------------------------------------------------------

module identities 'modules/identities.bicep' = {
  name: 'identities'
  scope: resourceGroup(names.computeGroup)
  params: {
    names: identityNames
    location: location
    tags: tags
  }
  dependsOn: [
    groups
  ]
}

// ---- data ------------------------------------------------------------------------------------------------------------

module storage 'modules/storage.bicep' = {
  name: 'storage'
  scope: resourceGroup(names.dataGroup)
  params: {
    name: names.lakeStorage
    location: location
    tags: tags
    lakeContainer: lakeContainer
    lakeFolder: lakePrefix
    logsContainer: logsContainer
    zoneRedundant: zoneRedundant
    publicNetworkAccess: publicNetworkAccess
    trustedResources: concat(deployDatabricks ? [
      accessConnectorId
    ] : [], deployStreamAnalytics ? [
      streamAnalyticsId
    ] : [], deployPurview ? [
      purviewId
    ] : [])
    softDeleteDays: softDeleteDays
    logDays: logDays
    deleteLock: deleteLock
    logReads: logReads
    workspaceId: workspaceId
  }
  dependsOn: [
    monitoring
  ]
}

module storageAccess 'modules/storage_access.bicep' = {
  name: 'storage-access'
  scope: resourceGroup(names.dataGroup)
  params: {
    account: names.lakeStorage
    identityGroup: names.computeGroup
    grants: storageGrants
  }
  dependsOn: [
    storage
    identities
  ]
}

module eventHubs 'modules/event_hubs.bicep' = {
  name: 'event-hubs'
  scope: resourceGroup(names.dataGroup)
  params: {
    name: names.eventHubs
    location: location
    tags: tags
    throughputUnits: throughputUnits
    maximumThroughputUnits: maximumThroughputUnits
    partitions: partitions
    retentionHours: eventHours
    zoneRedundant: zoneRedundant
    publicNetworkAccess: publicNetworkAccess
    identity: names.eventHubsIdentity
    identityGroup: names.computeGroup
    storageAccountId: lakeStorageId
    lakeContainer: lakeContainer
    lakeFolder: lakePrefix
    workspaceId: workspaceId
  }
  // Capture is refused until its identity may write.
  dependsOn: [
    storageAccess
  ]
}

module eventHubsAccess 'modules/event_hubs_access.bicep' = {
  name: 'event-hubs-access'
  scope: resourceGroup(names.dataGroup)
  params: {
    namespace: names.eventHubs
    identityGroup: names.computeGroup
    grants: concat(receives, sends)
  }
  dependsOn: [
    eventHubs
  ]
}

module keyVault 'modules/key_vault.bicep' = {
  name: 'key-vault'
  scope: resourceGroup(names.dataGroup)
  params: {
    name: names.keyVault
    location: location
    tags: tags
    publicNetworkAccess: publicNetworkAccess
    deleteLock: deleteLock
    workspaceId: workspaceId
  }
  dependsOn: [
    monitoring
  ]
}

module keyVaultAccess 'modules/key_vault_access.bicep' = {
  name: 'key-vault-access'
  scope: resourceGroup(names.dataGroup)
  params: {
    vault: names.keyVault
    identityGroup: names.computeGroup
    reader: names.dagsterIdentity
    writersId: administratorsId
  }
  dependsOn: [
    keyVault
    identities
  ]
}

module sql 'modules/sql.bicep' = if (deploySql) {
  name: 'sql'
  scope: resourceGroup(names.dataGroup)
  params: {
    name: names.sqlServer
    databaseName: names.sqlDatabase
    location: location
    tags: tags
    administratorsId: administratorsId
    administratorsName: administratorsName
    maximumCores: 2
    autoPauseMinutes: 60
    zoneRedundant: zoneRedundant
    publicNetworkAccess: publicNetworkAccess
    workspaceId: workspaceId
  }
  dependsOn: [
    monitoring
  ]
}

module streamAnalytics 'modules/stream_analytics.bicep' = if (deployStreamAnalytics) {
  name: 'stream-analytics'
  scope: resourceGroup(names.dataGroup)
  params: {
    name: names.streamAnalytics
    location: location
    tags: tags
    eventHubNamespace: names.eventHubs
    storageAccount: names.lakeStorage
    lakeContainer: lakeContainer
    lakeFolder: lakePrefix
    streamingUnits: streamingUnits
    workspaceId: workspaceId
  }
  dependsOn: [
    eventHubs
  ]
}

// ---- compute ---------------------------------------------------------------------------------------------------------

module registry 'modules/registry.bicep' = {
  name: 'registry'
  scope: resourceGroup(names.computeGroup)
  params: {
    name: names.registry
    location: location
    tags: tags
    zoneRedundant: zoneRedundant
    publicNetworkAccess: publicNetworkAccess
    workspaceId: workspaceId
  }
  dependsOn: [
    monitoring
  ]
}

module registryAccess 'modules/registry_access.bicep' = {
  name: 'registry-access'
  scope: resourceGroup(names.computeGroup)
  params: {
    registry: names.registry
    puller: names.dagsterIdentity
  }
  dependsOn: [
    registry
    identities
  ]
}

module databricks 'modules/databricks.bicep' = if (deployDatabricks) {
  name: 'databricks'
  scope: resourceGroup(names.computeGroup)
  params: {
    name: names.databricks
    accessConnectorName: names.accessConnector
    location: location
    tags: tags
    managedGroup: names.databricksManagedGroup
    identity: names.databricksIdentity
    networkId: networkId
    publicNetworkAccess: publicNetworkAccess
    workspaceId: workspaceId
  }
  dependsOn: [
    monitoring
    identities
    network
  ]
}

module machineLearningVault 'modules/key_vault.bicep' = if (deployMachineLearning) {
  name: 'machine-learning-vault'
  scope: resourceGroup(names.computeGroup)
  params: {
    name: names.machineLearningVault
    location: location
    tags: tags
    publicNetworkAccess: publicNetworkAccess
    deleteLock: deleteLock
    workspaceId: workspaceId
  }
  dependsOn: [
    monitoring
  ]
}

module machineLearning 'modules/ml_workspace.bicep' = if (deployMachineLearning) {
  name: 'machine-learning'
  scope: resourceGroup(names.computeGroup)
  params: {
    name: names.machineLearning
    storageAccountName: names.machineLearningStorage
    applicationInsightsName: names.applicationInsights
    location: location
    tags: tags
    identity: names.machineLearningIdentity
    registry: names.registry
    keyVault: names.machineLearningVault
    zoneRedundant: zoneRedundant
    machineSize: machineSize
    maximumMachines: maximumMachines
    softDeleteDays: softDeleteDays
    publicNetworkAccess: publicNetworkAccess
    workspaceId: workspaceId
  }
  dependsOn: [
    machineLearningVault
    registry
    identities
  ]
}

module purview 'modules/purview.bicep' = if (deployPurview) {
  name: 'purview'
  scope: resourceGroup(names.computeGroup)
  params: {
    name: names.purview
    location: location
    tags: tags
    managedGroup: names.purviewManagedGroup
    publicNetworkAccess: publicNetworkAccess
    workspaceId: workspaceId
  }
  dependsOn: [
    monitoring
  ]
}

module purviewAccess 'modules/purview_access.bicep' = if (deployPurview) {
  name: 'purview-access'
  scope: resourceGroup(names.dataGroup)
  params: {
    account: names.lakeStorage
    container: lakeContainer
    folders: maskedZones
    purview: names.purview
    purviewGroup: names.computeGroup
  }
  dependsOn: [
    purview
    storage
  ]
}

// ---- Dagster ---------------------------------------------------------------------------------------------------------

module postgresql 'modules/postgresql.bicep' = {
  name: 'postgresql'
  scope: resourceGroup(names.computeGroup)
  params: {
    name: names.postgresql
    databaseName: postgresqlDatabase
    location: location
    tags: tags
    administratorsId: administratorsId
    administratorsName: administratorsName
    size: postgresqlSize
    storageGb: postgresqlStorageGb
    tier: postgresqlTier
    zoneRedundant: zoneRedundant
    publicNetworkAccess: publicNetworkAccess
    workspaceId: workspaceId
  }
  dependsOn: [
    monitoring
  ]
}

module postgresqlAccess 'modules/postgresql_access.bicep' = {
  name: 'postgresql-access'
  scope: resourceGroup(names.computeGroup)
  params: {
    server: names.postgresql
    // The one value that is known only while deploying.
    principalId: identities.outputs.principalIds[0]
    principalName: names.dagsterIdentity
  }
  dependsOn: [
    postgresql
  ]
}

module dataFactory 'modules/data_factory.bicep' = if (deployDataFactory) {
  name: 'data-factory'
  scope: resourceGroup(names.computeGroup)
  params: {
    name: names.dataFactory
    location: location
    tags: tags
    publicNetworkAccess: publicNetworkAccess
    workspaceId: workspaceId
  }
  dependsOn: [
    monitoring
  ]
}

module dagster 'modules/dagster.bicep' = {
  name: 'dagster'
  scope: resourceGroup(names.computeGroup)
  params: {
    name: names.containerApps
    location: location
    tags: tags
    managedGroup: names.containerAppsManagedGroup
    image: empty(dagsterImage) ? '' : '${names.registry}${environment().suffixes.acrLoginServer}/${dagsterImage}'
    registry: names.registry
    identity: names.dagsterIdentity
    subnetId: containerAppsSubnetId
    zoneRedundant: zoneRedundant
    publicNetworkAccess: publicNetworkAccess
    signInClientId: signInClientId
    usersGroupId: dagsterUsersId
    dataFactory: deployDataFactory ? names.dataFactory : ''
    minimumWebservers: minimumWebservers
    cores: cores
    memory: memory
    settings: concat([
      {
        name: 'LAKE_ROOT'
        value: lakeRoot
      }
      {
        name: 'LAKE_ENGINE'
        value: engine
      }
      {
        name: 'LAKE_EVENT_HUBS'
        value: '${names.eventHubs}.servicebus.windows.net'
      }
      {
        name: 'LAKE_EVENT_HUBS_CONSUMER_GROUP'
        value: 'lake'
      }
      {
        name: 'LAKE_PII_KEY_ID'
        value: maskingKeyId
      }
      {
        name: 'LAKE_STREAM_ANALYTICS'
        value: string(deployStreamAnalytics)
      }
      {
        name: 'AZURE_STORAGE_ACCOUNT'
        value: names.lakeStorage
      }
      {
        name: 'AZURE_LOGS_CONTAINER'
        value: logsContainer
      }
    ], settings)
    secretSettings: concat([
      {
        name: 'LAKE_PII_KEY'
        secret: 'pii-key'
      }
    ], secretSettings)
    keyVaultUri: 'https://${names.keyVault}${environment().suffixes.keyvaultDns}/'
    databricks: deployDatabricks && engine == 'databricks' ? names.databricks : ''
    postgresqlHost: '${names.postgresql}.postgres.database.azure.com'
    postgresqlDatabase: postgresqlDatabase
    workspaceId: workspaceId
  }
  dependsOn: [
    registryAccess
    storageAccess
    eventHubsAccess
    keyVaultAccess
    postgresqlAccess
    network
    databricks
    dataFactory
  ]
}

module dataFactoryPipeline 'modules/data_factory_pipeline.bicep' = if (deployPipeline) {
  name: 'data-factory-pipeline'
  scope: resourceGroup(names.computeGroup)
  params: {
    factory: names.dataFactory
    webserver: 'dagster-webserver'
    environmentOfApps: names.containerApps
    signInClientId: signInClientId
    publicNetworkAccess: publicNetworkAccess
  }
  dependsOn: [
    dagster
  ]
}

module streamStarterAccess 'modules/stream_starter_access.bicep' = if (deployStreamAnalytics) {
  name: 'stream-starter-access'
  scope: resourceGroup(names.dataGroup)
  params: {
    streamingJob: names.streamAnalytics
    starter: names.streamStarterIdentity
    identityGroup: names.computeGroup
  }
  dependsOn: [
    streamAnalytics
    identities
  ]
}

module streamStarter 'modules/stream_starter.bicep' = if (deployStreamAnalytics) {
  name: 'stream-starter'
  scope: resourceGroup(names.computeGroup)
  params: {
    name: 'stream-starter'
    location: location
    tags: tags
    identity: names.streamStarterIdentity
    environmentId: containerAppsId
    streamingJobId: streamAnalyticsId
    workspaceId: workspaceId
  }
  dependsOn: [
    dagster
    streamStarterAccess
  ]
}

// ---- what the steps after this one need: no secrets, only names --------------------------------------------------------

@description('LAKE_ROOT, and storage_root of catalog.yaml.')
output lakeRoot string = lakeRoot

@description('access_connector_id of catalog.yaml.')
output accessConnectorId string = deployDatabricks ? accessConnectorId : ''

@description('managed_identity_id of catalog.yaml.')
output databricksIdentityId string = deployDatabricks ? resourceId(subscriptionId, names.computeGroup, 'Microsoft.ManagedIdentity/userAssignedIdentities', names.databricksIdentity) : ''

@description('Resource id of the Databricks workspace, whose address only the workspace knows.')
output databricksWorkspaceId string = deployDatabricks ? databricksId : ''

@description('Name of Dagster\'s identity; its application id is step_principal of catalog.yaml.')
output dagsterIdentity string = names.dagsterIdentity

@description('Resource group of everything that computes.')
output computeGroup string = names.computeGroup

@description('Resource group of everything that holds data.')
output dataGroup string = names.dataGroup

@description('Name of the registry that the image is pushed to.')
output registryName string = names.registry

@description('Name of the vault that the masking key is put into.')
output vaultName string = names.keyVault

@description('Address that events are sent to.')
output eventHubs string = '${names.eventHubs}.servicebus.windows.net'
