metadata description = 'A workbook over the logs: runs and their checks, how long, how late and how much, events in and out, errors, cost, and who read personal data.'

@description('Name that people see.')
param displayName string

@description('Azure region.')
param location string

@description('Tags of every resource.')
param tags object

@description('Name of the Log Analytics workspace, in this resource group.')
param workspace string

@description('Resource id of the Event Hubs namespace.')
param eventHubsId string

resource logs 'Microsoft.OperationalInsights/workspaces@2025-02-01' existing = {
  name: workspace
}

var pages = [
  {
    name: 'runs'
    title: 'Runs, by how they ended'
    query: loadTextContent('../queries/lake_runs.kql')
  }
  {
    name: 'lag'
    title: 'How long after its end an hour was done, minutes'
    query: loadTextContent('../queries/lag.kql')
  }
  {
    name: 'checks'
    title: 'Checks that did not pass'
    query: loadTextContent('../queries/failed_checks.kql')
  }
  {
    name: 'rows'
    title: 'Rows written'
    query: loadTextContent('../queries/rows.kql')
  }
  {
    name: 'durations'
    title: 'How long tables take, seconds'
    query: loadTextContent('../queries/durations.kql')
  }
  {
    name: 'errors'
    title: 'What processes said of errors'
    query: loadTextContent('../queries/errors.kql')
  }
  {
    name: 'databricks'
    title: 'Databricks, units and estimated cost by day'
    query: loadTextContent('../queries/databricks_cost.kql')
  }
  {
    name: 'readers'
    title: 'Who read personal data in clear'
    query: loadTextContent('../queries/sensitive_reads.kql')
  }
]
var asked = [for page in pages: {
  type: 3
  name: page.name
  content: {
    version: 'KqlItem/1.0'
    title: page.title
    query: page.query
    size: 0
    queryType: 0
    resourceType: 'microsoft.operationalinsights/workspaces'
  }
}]

resource workbook 'Microsoft.Insights/workbooks@2023-06-01' = {
  name: guid(logs.id, 'lake')
  location: location
  tags: tags
  kind: 'shared'
  properties: {
    displayName: displayName
    category: 'workbook'
    sourceId: logs.id
    serializedData: string({
      version: 'Notebook/1.0'
      fallbackResourceIds: [
        logs.id
      ]
      items: concat([
        {
          type: 1
          name: 'about'
          content: {
            json: '# ${displayName}\nEach part says what it shows; docs/operations.md says what to do about it.'
          }
        }
        {
          type: 10
          name: 'events'
          content: {
            version: 'MetricsItem/2.0'
            chartId: 'events'
            size: 0
            chartType: 2
            resourceType: 'microsoft.eventhub/namespaces'
            metricScope: 0
            resourceIds: [
              eventHubsId
            ]
            timeContext: {
              durationMs: 86400000
            }
            metrics: [
              {
                namespace: 'microsoft.eventhub/namespaces'
                metric: 'microsoft.eventhub/namespaces--IncomingMessages'
                aggregation: 1
              }
              {
                namespace: 'microsoft.eventhub/namespaces'
                metric: 'microsoft.eventhub/namespaces--OutgoingMessages'
                aggregation: 1
              }
            ]
            title: 'Events in and out'
          }
        }
      ], asked)
    })
  }
}
