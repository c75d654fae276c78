metadata description = 'The pipeline by which a data factory has Dagster run a lake hour, and waits for it.'

@description('Name of the factory, in this resource group.')
param factory string

@description('Name of the container app that is Dagster\'s webserver, in this resource group.')
param webserver string

@description('Name of the environment of that container app.')
param environmentOfApps string

@description('Application id of the app registration that guards the webserver.')
param signInClientId string

@description('Whether Dagster can be reached from outside the virtual network.')
@allowed(['Enabled', 'Disabled'])
param publicNetworkAccess string

var runtime = 'lake'

resource existingFactory 'Microsoft.DataFactory/factories@2018-06-01' existing = {
  name: factory
}

resource network 'Microsoft.DataFactory/factories/managedVirtualNetworks@2018-06-01' existing = {
  parent: existingFactory
  name: 'default'
}

resource app 'Microsoft.App/containerApps@2025-07-01' existing = {
  name: webserver
}

// Its connection waits until somebody approves it at the environment: see docs/azure.md.
resource toDagster 'Microsoft.DataFactory/factories/managedVirtualNetworks/managedPrivateEndpoints@2018-06-01' = if (publicNetworkAccess == 'Disabled') {
  parent: network
  name: 'dagster'
  properties: {
    privateLinkResourceId: resourceId('Microsoft.App/managedEnvironments', environmentOfApps)
    groupId: 'managedEnvironments'
    fqdns: [
      app.properties.configuration.ingress.fqdn
    ]
  }
}

resource closeTheHour 'Microsoft.DataFactory/factories/pipelines@2018-06-01' = {
  parent: existingFactory
  name: 'lake-hour'
  properties: {
    description: 'Has Dagster run the job hourly for one lake hour, and fails when that run does.'
    concurrency: 1
    parameters: {
      hour: {
        type: 'String'
        // Empty: the hour before the one in which the pipeline is started.
        defaultValue: ''
      }
    }
    variables: {
      hour: {
        type: 'String'
      }
      run: {
        type: 'String'
      }
      status: {
        type: 'String'
        defaultValue: 'QUEUED'
      }
    }
    activities: [
      {
        name: 'Choose the hour'
        type: 'SetVariable'
        typeProperties: {
          variableName: 'hour'
          value: {
            type: 'Expression'
            value: '@if(empty(pipeline().parameters.hour), formatDateTime(addHours(pipeline().TriggerTime, -1), \'yyyy-MM-ddTHH\'), pipeline().parameters.hour)'
          }
        }
      }
      {
        name: 'Launch'
        type: 'WebActivity'
        dependsOn: [
          {
            activity: 'Choose the hour'
            dependencyConditions: [
              'Succeeded'
            ]
          }
        ]
        typeProperties: {
          method: 'POST'
          url: 'https://${app.properties.configuration.ingress.fqdn}/graphql'
          headers: {
            'Content-Type': 'application/json'
          }
          body: {
            type: 'Expression'
            value: trim(loadTextContent('../queries/launch_hour.txt'))
          }
          authentication: {
            type: 'MSI'
            resource: 'api://${signInClientId}'
          }
          connectVia: {
            type: 'IntegrationRuntimeReference'
            referenceName: runtime
          }
        }
      }
      {
        name: 'Keep the run\'s id'
        type: 'SetVariable'
        dependsOn: [
          {
            activity: 'Launch'
            dependencyConditions: [
              'Succeeded'
            ]
          }
        ]
        typeProperties: {
          variableName: 'run'
          value: {
            type: 'Expression'
            // A refusal has no run, so that this fails and shows Dagster's answer.
            value: '@activity(\'Launch\').output.data.launchRun.run.runId'
          }
        }
      }
      {
        name: 'Wait for the run'
        type: 'Until'
        dependsOn: [
          {
            activity: 'Keep the run\'s id'
            dependencyConditions: [
              'Succeeded'
            ]
          }
        ]
        typeProperties: {
          expression: {
            type: 'Expression'
            value: '@contains(createArray(\'SUCCESS\', \'FAILURE\', \'CANCELED\'), variables(\'status\'))'
          }
          timeout: '0.04:00:00'
          activities: [
            {
              name: 'Pause'
              type: 'Wait'
              typeProperties: {
                waitTimeInSeconds: 30
              }
            }
            {
              name: 'Ask'
              type: 'WebActivity'
              dependsOn: [
                {
                  activity: 'Pause'
                  dependencyConditions: [
                    'Succeeded'
                  ]
                }
              ]
              policy: {
                retry: 3
                retryIntervalInSeconds: 30
              }
              typeProperties: {
                method: 'POST'
                url: 'https://${app.properties.configuration.ingress.fqdn}/graphql'
                headers: {
                  'Content-Type': 'application/json'
                }
                body: {
                  type: 'Expression'
                  value: trim(loadTextContent('../queries/run_status.txt'))
                }
                authentication: {
                  type: 'MSI'
                  resource: 'api://${signInClientId}'
                }
                connectVia: {
                  type: 'IntegrationRuntimeReference'
                  referenceName: runtime
                }
              }
            }
            {
              name: 'Keep the status'
              type: 'SetVariable'
              dependsOn: [
                {
                  activity: 'Ask'
                  dependencyConditions: [
                    'Succeeded'
                  ]
                }
              ]
              typeProperties: {
                variableName: 'status'
                value: {
                  type: 'Expression'
                  value: '@activity(\'Ask\').output.data.runOrError.status'
                }
              }
            }
          ]
        }
      }
      {
        name: 'Judge the run'
        type: 'IfCondition'
        dependsOn: [
          {
            activity: 'Wait for the run'
            dependencyConditions: [
              'Succeeded'
            ]
          }
        ]
        typeProperties: {
          expression: {
            type: 'Expression'
            value: '@equals(variables(\'status\'), \'SUCCESS\')'
          }
          ifFalseActivities: [
            {
              name: 'Fail'
              type: 'Fail'
              typeProperties: {
                message: {
                  type: 'Expression'
                  value: '@concat(\'Dagster run \', variables(\'run\'), \' of lake hour \', variables(\'hour\'), \' ended as \', variables(\'status\'))'
                }
                errorCode: 'RunFailed'
              }
            }
          ]
        }
      }
    ]
  }
}
