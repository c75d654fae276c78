using '../main.bicep'

// Production: private, over three zones, locked against deletion.

param domain = 'shop'
param environmentName = 'prod'
param location = 'westeurope'
param privateNetwork = true
param addressPrefix = '10.22'
param zoneRedundant = true
param deleteLock = true

param owner = 'CHANGE_ME'
param costCentre = 'CHANGE_ME'
param contacts = [
  'change-me@example.com'
]
param monthlyBudget = 2500
param budgetStart = '2026-12-01'
param administratorsId = '00000000-0000-0000-0000-000000000000'
param administratorsName = 'CHANGE_ME'

param lakeFolder = ''
param softDeleteDays = 14
param logReads = true
param logDays = 90
param dailyLogQuotaGb = 10

param throughputUnits = 2
param maximumThroughputUnits = 10
param partitions = 16
param eventHours = 168
param generators = false

param deployStreamAnalytics = true
param streamingUnits = 10
param deployDatabricks = true
param deploySql = false
param deployDataFactory = true
param deployMachineLearning = true
param machineSize = 'Standard_D4ds_v5'
param maximumMachines = 4
param deployPurview = false

// After the first deployment, the masking key and the image: see docs/azure.md.
param dagsterImage = ''
param signInClientId = ''
param dagsterUsersId = '00000000-0000-0000-0000-000000000000'
param engine = 'duckdb'
param maskingKeyId = 'shop-prod-1'
param secretSettings = []
param settings = []
param minimumWebservers = 1
param cores = '4.0'
param memory = '8Gi'
param slowMinutes = 30

param postgresqlSize = 'Standard_D2ds_v5'
param postgresqlTier = 'GeneralPurpose'
