metadata description = 'Starts the Stream Analytics job after it was made, and again when it failed: a deployment can make a job and cannot start it.'

@description('Name of the container apps job.')
param name string

@description('Azure region.')
param location string

@description('Tags of every resource.')
param tags object

@description('Name of the identity that starts the job, in this resource group.')
param identity string

@description('Resource id of the Container Apps environment.')
param environmentId string

@description('Resource id of the Stream Analytics job.')
param streamingJobId string

@description('Resource id of the Log Analytics workspace.')
param workspaceId string

resource starterIdentity 'Microsoft.ManagedIdentity/userAssignedIdentities@2023-01-31' existing = {
  name: identity
}

resource starter 'Microsoft.App/jobs@2025-07-01' = {
  name: name
  location: location
  tags: tags
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: {
      '${starterIdentity.id}': {}
    }
  }
  properties: {
    environmentId: environmentId
    workloadProfileName: 'Consumption'
    configuration: {
      triggerType: 'Schedule'
      scheduleTriggerConfig: {
        cronExpression: '*/10 * * * *'
        parallelism: 1
        replicaCompletionCount: 1
      }
      replicaTimeout: 300
      replicaRetryLimit: 0
    }
    template: {
      containers: [
        {
          name: 'starter'
          image: 'mcr.microsoft.com/azure-cli:2.64.0'
          command: [
            '/bin/bash'
            '-c'
          ]
          args: [
            loadTextContent('../stream_analytics/start.sh')
          ]
          env: [
            {
              name: 'AZURE_CLIENT_ID'
              value: starterIdentity.properties.clientId
            }
            {
              name: 'STREAMING_JOB'
              value: streamingJobId
            }
          ]
          resources: {
            cpu: json('0.5')
            memory: '1Gi'
          }
        }
      ]
    }
  }
}

resource diagnostics 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  scope: starter
  name: 'to-log-analytics'
  properties: {
    workspaceId: workspaceId
    metrics: [
      {
        category: 'AllMetrics'
        enabled: true
      }
    ]
  }
}
