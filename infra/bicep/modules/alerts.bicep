metadata description = 'What people are told of: failed runs, hours that are not closed, slow runs, dead letters, and trouble in the services beneath. Cost is the budget\'s in main.bicep.'

@description('What the names of the alerts begin with.')
param prefix string

@description('Azure region.')
param location string

@description('Tags of every resource.')
param tags object

@description('Name of the Log Analytics workspace, in this resource group.')
param workspace string

@description('Name of the action group, in this resource group.')
param actionGroup string

@description('Whether Dagster is there, whose metrics the alerts read.')
param dagsterRuns bool

@description('How long the run of an hour may take, minutes.')
param slowMinutes int

@description('Resource id of the Event Hubs namespace.')
param eventHubsId string

@description('Resource id of the PostgreSQL server.')
param postgresqlId string

@description('Resource id of the Stream Analytics job; empty for none.')
param streamAnalyticsId string

@description('Resource id of the data factory; empty for none.')
param dataFactoryId string

// Each reads the metrics that the sensor run_metrics prints; tests/azure/test_bicep_operations.py tries the queries on
// real ones. docs/operations.md says of each alert what to do.
var logAlerts = [
  {
    name: 'failed-runs'
    description: 'A run of Dagster failed, and is not run again by itself.'
    severity: 1
    query: loadTextContent('../queries/failed_runs.kql')
    measure: 'Failed'
    aggregation: 'Total'
    operator: 'GreaterThan'
    threshold: 0
    window: 'PT15M'
    frequency: 'PT5M'
  }
  {
    name: 'ingestion-lag'
    description: 'No lake hour was closed in two hours: the newest data is older than that.'
    severity: 1
    query: loadTextContent('../queries/closed_hours.kql')
    measure: 'Closed'
    aggregation: 'Total'
    operator: 'LessThan'
    threshold: 1
    window: 'PT2H'
    frequency: 'PT15M'
  }
  {
    name: 'slow-hours'
    description: 'The run of an hour took longer than it should.'
    severity: 2
    query: loadTextContent('../queries/slow_runs.kql')
    measure: 'Minutes'
    aggregation: 'Maximum'
    operator: 'GreaterThan'
    threshold: slowMinutes
    window: 'PT2H'
    frequency: 'PT15M'
  }
  {
    name: 'dead-letters'
    description: 'More than a fifth of a data set went to quarantine, or rows in are not rows out.'
    severity: 2
    query: loadTextContent('../queries/dead_letters.kql')
    measure: 'Times'
    aggregation: 'Total'
    operator: 'GreaterThan'
    threshold: 0
    window: 'PT1H'
    frequency: 'PT15M'
  }
]

var serviceAlerts = [
  {
    name: 'events-throttled'
    description: 'Event Hubs refuses events: more throughput units are needed than auto-inflate may take.'
    severity: 2
    scope: eventHubsId
    metric: 'ThrottledRequests'
    aggregation: 'Total'
    threshold: 100
  }
  {
    name: 'capture-backlog'
    description: 'Capture does not keep up, or may not write to the lake.'
    severity: 2
    scope: eventHubsId
    metric: 'CaptureBacklog'
    aggregation: 'Maximum'
    threshold: 100000
  }
  {
    name: 'postgresql-full'
    description: 'Nine tenths of the disk of Dagster\'s database are used.'
    severity: 2
    scope: postgresqlId
    metric: 'storage_percent'
    aggregation: 'Maximum'
    threshold: 90
  }
]
var streamAlerts = empty(streamAnalyticsId) ? [] : [
  {
    name: 'streams-behind'
    description: 'Stream Analytics is ten minutes behind the events.'
    severity: 2
    scope: streamAnalyticsId
    metric: 'OutputWatermarkDelaySeconds'
    aggregation: 'Maximum'
    threshold: 600
  }
  {
    name: 'streams-dead-letters'
    description: 'Stream Analytics could not read events, and left them out.'
    severity: 2
    scope: streamAnalyticsId
    metric: 'DeserializationError'
    aggregation: 'Total'
    threshold: 0
  }
  {
    name: 'streams-errors'
    description: 'Stream Analytics could not compute or write rows, and dropped them.'
    severity: 2
    scope: streamAnalyticsId
    metric: 'Errors'
    aggregation: 'Total'
    threshold: 0
  }
]
var factoryAlerts = empty(dataFactoryId) ? [] : [
  {
    name: 'failed-pipelines'
    description: 'A pipeline of the data factory failed.'
    severity: 1
    scope: dataFactoryId
    metric: 'PipelineFailedRuns'
    aggregation: 'Total'
    threshold: 0
  }
]

resource logs 'Microsoft.OperationalInsights/workspaces@2025-02-01' existing = {
  name: workspace
}

resource people 'Microsoft.Insights/actionGroups@2023-01-01' existing = {
  name: actionGroup
}

resource queryRules 'Microsoft.Insights/scheduledQueryRules@2023-12-01' = [for alert in logAlerts: if (dagsterRuns) {
  name: '${prefix}-${alert.name}'
  location: location
  tags: tags
  kind: 'LogAlert'
  properties: {
    displayName: alert.name
    description: alert.description
    severity: alert.severity
    enabled: true
    scopes: [
      logs.id
    ]
    evaluationFrequency: alert.frequency
    windowSize: alert.window
    // The table comes to be with its first line.
    skipQueryValidation: true
    criteria: {
      allOf: [
        {
          query: alert.query
          metricMeasureColumn: alert.measure
          timeAggregation: alert.aggregation
          operator: alert.operator
          threshold: alert.threshold
          failingPeriods: {
            numberOfEvaluationPeriods: 1
            minFailingPeriodsToAlert: 1
          }
        }
      ]
    }
    autoMitigate: true
    actions: {
      actionGroups: [
        people.id
      ]
    }
  }
}]

resource metricRules 'Microsoft.Insights/metricAlerts@2018-03-01' = [for alert in concat(serviceAlerts, streamAlerts, factoryAlerts): {
  name: '${prefix}-${alert.name}'
  location: 'global'
  tags: tags
  properties: {
    description: alert.description
    severity: alert.severity
    enabled: true
    scopes: [
      alert.scope
    ]
    evaluationFrequency: 'PT5M'
    windowSize: 'PT15M'
    criteria: {
      'odata.type': 'Microsoft.Azure.Monitor.SingleResourceMultipleMetricCriteria'
      allOf: [
        {
          criterionType: 'StaticThresholdCriterion'
          name: alert.name
          metricName: alert.metric
          timeAggregation: alert.aggregation
          operator: 'GreaterThan'
          threshold: alert.threshold
        }
      ]
    }
    autoMitigate: true
    actions: [
      {
        actionGroupId: people.id
      }
    ]
  }
}]
