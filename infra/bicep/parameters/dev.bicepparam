using '../main.bicep'

// A lake to try things on: no network of its own, the smallest sizes, what can sleep sleeps.

param domain = 'shop'
param environmentName = 'dev'
param location = 'westeurope'
param privateNetwork = false
param addressPrefix = '10.20'
param zoneRedundant = false
param deleteLock = false

param owner = 'CHANGE_ME'
param costCentre = 'CHANGE_ME'
param contacts = [
  'change-me@example.com'
]
param monthlyBudget = 300
param budgetStart = '2026-12-01'
param administratorsId = '00000000-0000-0000-0000-000000000000'
param administratorsName = 'CHANGE_ME'

param lakeFolder = ''
param softDeleteDays = 7
param logReads = false
param logDays = 30
param dailyLogQuotaGb = 1

param throughputUnits = 1
param maximumThroughputUnits = 2
param partitions = 4
param eventHours = 24
param generators = true

param deployStreamAnalytics = false
param streamingUnits = 3
param deployDatabricks = true
param deploySql = false
param deployDataFactory = false
param deployMachineLearning = false
param machineSize = 'Standard_D4ds_v5'
param maximumMachines = 1
param deployPurview = false

// After the first deployment, the masking key and the image: see docs/azure.md.
param dagsterImage = ''
param signInClientId = ''
param dagsterUsersId = '00000000-0000-0000-0000-000000000000'
param engine = 'duckdb'
param maskingKeyId = 'shop-dev-1'
param secretSettings = []
param settings = []
param minimumWebservers = 0
param cores = '1.0'
param memory = '2Gi'
param slowMinutes = 30

param postgresqlSize = 'Standard_B1ms'
param postgresqlTier = 'Burstable'
