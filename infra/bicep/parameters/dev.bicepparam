using '../main.bicep'

// A lake to try things on: no network of its own, the smallest sizes, what can sleep sleeps.

// What is yours comes from lake.yaml: `lake deploy` checks it and hands it over. What lake.yaml leaves out is as here.
var yours = any(json(readEnvironmentVariable('LAKE_DEPLOYMENT')))

param domain = yours.domain
param environmentName = 'dev'
param location = yours.location
param privateNetwork = false
param addressPrefix = yours.?addressPrefix ?? '10.20'
param zoneRedundant = false
param deleteLock = false

param owner = yours.owner
param costCentre = yours.costCentre
param contacts = yours.contacts
param monthlyBudget = yours.monthlyBudget
param budgetStart = yours.budgetStart
param administratorsId = yours.administratorsId
param administratorsName = yours.administratorsName

param lakeFolder = yours.?lakeFolder ?? ''
param softDeleteDays = yours.?softDeleteDays ?? 7
param logReads = false
param logDays = yours.?logDays ?? 30
param dailyLogQuotaGb = yours.?dailyLogQuotaGb ?? 1

param throughputUnits = yours.?throughputUnits ?? 1
param maximumThroughputUnits = yours.?maximumThroughputUnits ?? 2
param partitions = yours.?partitions ?? 4
param eventHours = yours.?eventHours ?? 24
param generators = true

param deployStreamAnalytics = yours.?deployStreamAnalytics ?? false
param streamingUnits = yours.?streamingUnits ?? 3
param deployDatabricks = yours.?deployDatabricks ?? true
param deploySql = yours.?deploySql ?? false
param deployDataFactory = yours.?deployDataFactory ?? false
param deployMachineLearning = yours.?deployMachineLearning ?? false
param machineSize = yours.?machineSize ?? 'Standard_D4ds_v5'
param maximumMachines = yours.?maximumMachines ?? 1
param deployPurview = yours.?deployPurview ?? false

param dagsterImage = yours.dagsterImage
param signInClientId = yours.signInClientId
param dagsterUsersId = yours.dagsterUsersId
param engine = yours.?engine ?? 'duckdb'
param maskingKeyId = yours.maskingKeyId
param secretSettings = yours.secretSettings
param settings = yours.settings
param minimumWebservers = yours.?minimumWebservers ?? 0
param cores = yours.?cores ?? '1.0'
param memory = yours.?memory ?? '2Gi'
param slowMinutes = yours.?slowMinutes ?? 30

param postgresqlSize = yours.?postgresqlSize ?? 'Standard_B1ms'
param postgresqlStorageGb = yours.?postgresqlStorageGb ?? 32
param postgresqlTier = yours.?postgresqlTier ?? 'Burstable'
