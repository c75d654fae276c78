metadata description = 'The Stream Analytics job: the lake\'s streams once more, seconds after the events, as files beside the tables. See ../stream_analytics/README.md.'

@description('Name of the job.')
param name string

@description('Azure region.')
param location string = resourceGroup().location

@description('Tags of every resource.')
param tags object = {}

@description('Name of the Event Hubs namespace, in this resource group, that holds the hubs pageviews and stars.')
param eventHubNamespace string

@description('Name of the storage account, in this resource group, that holds the lake.')
param storageAccount string

@description('Container of the lake.')
param lakeContainer string

@description('Folder of the lake in its container, ending in a slash; empty for the container itself.')
param lakeFolder string = ''

@description('Streaming units: 3 are one V2 unit at a third; 10, 20, ... are whole V2 units.')
@allowed([3, 7, 10, 20, 30, 40, 50, 60])
param streamingUnits int = 10

@description('Resource id of the Log Analytics workspace.')
param workspaceId string

// What the streams declare: tests/unit/test_stream_declarations.py holds these against them.
var lateArrivalSeconds = 60
var outOfOrderSeconds = 50
var outputs = [
  { name: 'vip_pageviews', format: 'Parquet' }
  { name: 'pageviews_by_http_method_5m', format: 'Json' }
  { name: 'high_latency_alerts', format: 'Json' }
  { name: 'high_latency_alerts_enriched', format: 'Json' }
  { name: 'low_star_pageviews', format: 'Parquet' }
  { name: 'pageviews_stars_correlation', format: 'Parquet' }
  { name: 'first_pageview_per_hour', format: 'Json' }
  { name: 'sessions', format: 'Parquet' }
  { name: 'latency_anomalies', format: 'Json' }
]
var queries = [
  loadTextContent('../stream_analytics/steps.asaql')
  loadTextContent('../stream_analytics/vip_pageviews.asaql')
  loadTextContent('../stream_analytics/pageviews_by_http_method_5m.asaql')
  loadTextContent('../stream_analytics/high_latency_alerts.asaql')
  loadTextContent('../stream_analytics/high_latency_alerts_enriched.asaql')
  loadTextContent('../stream_analytics/low_star_pageviews.asaql')
  loadTextContent('../stream_analytics/pageviews_stars_correlation.asaql')
  loadTextContent('../stream_analytics/first_pageview_per_hour.asaql')
  loadTextContent('../stream_analytics/sessions.asaql')
  loadTextContent('../stream_analytics/latency_anomalies.asaql')
]
var query = join(queries, '\n')

var hubs = ['pageviews', 'stars']
var referenceData = ['users', 'vip_users']
// A consumer group of its own: the lake reads the same hubs.
var consumerGroup = 'stream-analytics'

var eventHubsDataReceiver = subscriptionResourceId('Microsoft.Authorization/roleDefinitions', 'a638d3c7-ab3a-418d-83e6-5f17a39d4fde')
var storageBlobDataContributor = subscriptionResourceId('Microsoft.Authorization/roleDefinitions', 'ba92f5b4-2d11-453d-a403-e96b0029c9fe')

resource namespace 'Microsoft.EventHub/namespaces@2024-01-01' existing = {
  name: eventHubNamespace
}

resource hub 'Microsoft.EventHub/namespaces/eventhubs@2024-01-01' existing = [
  for hubName in hubs: {
    parent: namespace
    name: hubName
  }
]

resource group 'Microsoft.EventHub/namespaces/eventhubs/consumergroups@2024-01-01' = [
  for (hubName, index) in hubs: {
    parent: hub[index]
    name: consumerGroup
    properties: {}
  }
]

resource account 'Microsoft.Storage/storageAccounts@2025-06-01' existing = {
  name: storageAccount
}

resource blobs 'Microsoft.Storage/storageAccounts/blobServices@2025-06-01' existing = {
  parent: account
  name: 'default'
}

resource container 'Microsoft.Storage/storageAccounts/blobServices/containers@2025-06-01' existing = {
  parent: blobs
  name: lakeContainer
}

resource job 'Microsoft.StreamAnalytics/streamingjobs@2020-03-01' = {
  name: name
  location: location
  tags: tags
  identity: {
    type: 'SystemAssigned'
  }
  properties: {
    sku: {
      name: 'Standard'
    }
    jobType: 'Cloud'
    compatibilityLevel: '1.2'
    dataLocale: 'en-US'
    eventsLateArrivalMaxDelayInSeconds: lateArrivalSeconds
    eventsOutOfOrderMaxDelayInSeconds: outOfOrderSeconds
    eventsOutOfOrderPolicy: 'Adjust'
    // A row that cannot be written is dropped and logged; Stop would hold every output up for it.
    outputErrorPolicy: 'Drop'
    contentStoragePolicy: 'SystemAccount'
  }
}

resource eventInputs 'Microsoft.StreamAnalytics/streamingjobs/inputs@2020-03-01' = [
  for (hubName, index) in hubs: {
    parent: job
    name: hubName
    properties: {
      type: 'Stream'
      datasource: {
        type: 'Microsoft.EventHub/EventHub'
        properties: {
          serviceBusNamespace: namespace.name
          eventHubName: hubName
          consumerGroupName: group[index].name
          authenticationMode: 'Msi'
        }
      }
      serialization: {
        type: 'Json'
        properties: {
          encoding: 'UTF8'
        }
      }
    }
  }
]

resource referenceInputs 'Microsoft.StreamAnalytics/streamingjobs/inputs@2020-03-01' = [
  for dataSet in referenceData: {
    parent: job
    name: dataSet
    properties: {
      type: 'Reference'
      datasource: {
        type: 'Microsoft.Storage/Blob'
        properties: {
          storageAccounts: [
            {
              accountName: account.name
            }
          ]
          container: container.name
          pathPattern: '${lakeFolder}stream_analytics/reference/${dataSet}/{date}/{time}.json'
          dateFormat: 'yyyy-MM-dd'
          timeFormat: 'HH-mm'
          authenticationMode: 'Msi'
        }
      }
      serialization: {
        type: 'Json'
        properties: {
          encoding: 'UTF8'
        }
      }
    }
  }
]

resource fileOutputs 'Microsoft.StreamAnalytics/streamingjobs/outputs@2020-03-01' = [
  for stream in outputs: {
    parent: job
    name: stream.name
    properties: {
      datasource: {
        type: 'Microsoft.Storage/Blob'
        properties: {
          storageAccounts: [
            {
              accountName: account.name
            }
          ]
          container: container.name
          pathPattern: '${lakeFolder}stream_analytics/${stream.name}/year={datetime:yyyy}/month={datetime:MM}/day={datetime:dd}/hour={datetime:HH}'
          authenticationMode: 'Msi'
        }
      }
      serialization: stream.format == 'Parquet' ? {
        type: 'Parquet'
        properties: {}
      } : {
        type: 'Json'
        properties: {
          encoding: 'UTF8'
          format: 'LineSeparated'
        }
      }
      // A Parquet file holds one batch: so many rows, or so much time.
      sizeWindow: 2000
      timeWindow: '00:01:00'
    }
  }
]

resource transformation 'Microsoft.StreamAnalytics/streamingjobs/transformations@2020-03-01' = {
  parent: job
  name: 'streams'
  properties: {
    streamingUnits: streamingUnits
    query: query
  }
  dependsOn: [
    eventInputs
    referenceInputs
    fileOutputs
  ]
}

resource readsEvents 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: namespace
  name: guid(namespace.id, job.id, eventHubsDataReceiver)
  properties: {
    roleDefinitionId: eventHubsDataReceiver
    principalId: job.identity.principalId
    principalType: 'ServicePrincipal'
  }
}

resource writesTheLake 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: container
  name: guid(container.id, job.id, storageBlobDataContributor)
  properties: {
    roleDefinitionId: storageBlobDataContributor
    principalId: job.identity.principalId
    principalType: 'ServicePrincipal'
    condition: replace(trim(loadTextContent('../blobs_below.txt')), '<folder>', '${lakeFolder}stream_analytics/*')
    conditionVersion: '2.0'
  }
}

resource diagnostics 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  scope: job
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

@description('Name of the job, to start it with.')
output jobName string = job.name

@description('Object id of the job\'s managed identity.')
output principalId string = job.identity.principalId
