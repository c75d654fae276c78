metadata description = 'A workbook over the logs: runs, checks that failed, events in and out, and who read personal data.'

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
      items: [
        {
          type: 1
          name: 'about'
          content: {
            json: '# ${displayName}\nEach part says what it shows; docs/azure.md says what to do about it.'
          }
        }
        {
          type: 3
          name: 'runs'
          content: {
            version: 'KqlItem/1.0'
            title: 'Runs, by how they ended'
            query: loadTextContent('../queries/lake_runs.kql')
            size: 0
            queryType: 0
            resourceType: 'microsoft.operationalinsights/workspaces'
          }
        }
        {
          type: 3
          name: 'checks'
          content: {
            version: 'KqlItem/1.0'
            title: 'Checks that did not pass'
            query: loadTextContent('../queries/failed_checks.kql')
            size: 0
            queryType: 0
            resourceType: 'microsoft.operationalinsights/workspaces'
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
        {
          type: 3
          name: 'readers'
          content: {
            version: 'KqlItem/1.0'
            title: 'Who read personal data in clear'
            query: loadTextContent('../queries/sensitive_reads.kql')
            size: 0
            queryType: 0
            resourceType: 'microsoft.operationalinsights/workspaces'
          }
        }
      ]
    })
  }
}
