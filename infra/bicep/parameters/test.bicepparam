using '../main.bicep'

// The rehearsal of prod: private as it is, with its services, in one zone and smaller.

param domain = 'shop'
param environmentName = 'test'
param location = 'westeurope'
param privateNetwork = true
param addressPrefix = '10.21'
param zoneRedundant = false
param deleteLock = false

param owner = 'CHANGE_ME'
param costCentre = 'CHANGE_ME'
param contacts = [
  'change-me@example.com'
]
param monthlyBudget = 900
param budgetStart = '2026-12-01'
param administratorsId = '00000000-0000-0000-0000-000000000000'
param administratorsName = 'CHANGE_ME'

param lakeFolder = ''
param softDeleteDays = 7
param logReads = true
param logDays = 30
param dailyLogQuotaGb = 2

param throughputUnits = 1
param maximumThroughputUnits = 4
param partitions = 4
param eventHours = 24
param generators = true

param deployStreamAnalytics = true
param streamingUnits = 3
param deployDatabricks = true
param deploySql = false
param deployDataFactory = true
param deployMachineLearning = true
param machineSize = 'Standard_D4ds_v5'
param maximumMachines = 1
param deployPurview = false

// After the first deployment, the masking key and the image: see docs/azure.md.
param dagsterImage = ''
param signInClientId = ''
param dagsterUsersId = '00000000-0000-0000-0000-000000000000'
param engine = 'duckdb'
param maskingKeyId = 'shop-test-1'
param secretSettings = []
param settings = []
param minimumWebservers = 1
param cores = '2.0'
param memory = '4Gi'
param slowMinutes = 30

param postgresqlSize = 'Standard_B1ms'
param postgresqlTier = 'Burstable'
