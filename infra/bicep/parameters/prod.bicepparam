using '../main.bicep'

// Production: private, over three zones, locked against deletion.

// What is yours comes from lake.yaml: `lake deploy` checks it and hands it over. What lake.yaml leaves out is as here.
var yours = any(json(readEnvironmentVariable('LAKE_DEPLOYMENT')))

param domain = yours.domain
param environmentName = 'prod'
param location = yours.location
param privateNetwork = true
param addressPrefix = yours.?addressPrefix ?? '10.22'
param zoneRedundant = true
param deleteLock = true

param owner = yours.owner
param costCentre = yours.costCentre
param contacts = yours.contacts
param monthlyBudget = yours.monthlyBudget
param budgetStart = yours.budgetStart
param administratorsId = yours.administratorsId
param administratorsName = yours.administratorsName

param lakeFolder = yours.?lakeFolder ?? ''
param softDeleteDays = yours.?softDeleteDays ?? 14
param logReads = true
param logDays = yours.?logDays ?? 90
param dailyLogQuotaGb = yours.?dailyLogQuotaGb ?? 10

param throughputUnits = yours.?throughputUnits ?? 2
param maximumThroughputUnits = yours.?maximumThroughputUnits ?? 10
param partitions = yours.?partitions ?? 16
param eventHours = yours.?eventHours ?? 168
param generators = false

param deployStreamAnalytics = yours.?deployStreamAnalytics ?? true
param streamingUnits = yours.?streamingUnits ?? 10
param deployDatabricks = yours.?deployDatabricks ?? true
param deploySql = yours.?deploySql ?? false
param deployDataFactory = yours.?deployDataFactory ?? true
param deployMachineLearning = yours.?deployMachineLearning ?? true
param machineSize = yours.?machineSize ?? 'Standard_D4ds_v5'
param maximumMachines = yours.?maximumMachines ?? 4
param deployPurview = yours.?deployPurview ?? false

param dagsterImage = yours.dagsterImage
param signInClientId = yours.signInClientId
param dagsterUsersId = yours.dagsterUsersId
param engine = yours.?engine ?? 'duckdb'
param maskingKeyId = yours.maskingKeyId
param secretSettings = yours.secretSettings
param settings = yours.settings
param minimumWebservers = yours.?minimumWebservers ?? 1
param cores = yours.?cores ?? '4.0'
param memory = yours.?memory ?? '8Gi'
param slowMinutes = yours.?slowMinutes ?? 30

param postgresqlSize = yours.?postgresqlSize ?? 'Standard_D2ds_v5'
param postgresqlStorageGb = yours.?postgresqlStorageGb ?? 32
param postgresqlTier = yours.?postgresqlTier ?? 'GeneralPurpose'
