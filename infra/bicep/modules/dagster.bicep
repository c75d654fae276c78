metadata description = 'Dagster on Container Apps: the code location, which computes, the daemon, and the webserver behind an Entra sign-in.'

@description('Name of the Container Apps environment.')
param name string

@description('Azure region.')
param location string

@description('Tags of every resource.')
param tags object

@description('Name of the resource group that Container Apps makes for itself in a private network.')
param managedGroup string

@description('The image, with its digest: <registry>/dagster-lake@sha256:...; empty while none was pushed, and then only the environment is made.')
param image string

@description('Name of the container registry, in this resource group.')
param registry string

@description('Name of the identity that Dagster acts as, in this resource group.')
param identity string

@description('Resource id of the subnet of Container Apps; empty without a virtual network.')
param subnetId string

@description('Whether the environment is spread over the region\'s zones; only a private one can be.')
param zoneRedundant bool

@description('Whether the webserver can be reached from outside the virtual network.')
@allowed(['Enabled', 'Disabled'])
param publicNetworkAccess string

@description('Application id of the app registration that guards the webserver; empty: the webserver answers inside the environment only.')
param signInClientId string

@description('Object id of the Entra group that may use the webserver.')
param usersGroupId string

@description('Name of the data factory, in this resource group, whose pipeline may use the webserver too; empty for none.')
param dataFactory string

@description('Fewest webservers that are kept running; 0 lets it sleep when nobody looks, and take half a minute to wake.')
@minValue(0)
@maxValue(1)
param minimumWebservers int

@description('Cores of the code location, where runs compute: 0.25 to 4.')
param cores string

@description('Memory of the code location: twice its cores, such as 4Gi.')
param memory string

@description('Settings of the lake, as environment variables: objects of name and value.')
param settings array

@description('Settings that are secrets: objects of name (the environment variable) and secret (its name in the key vault).')
param secretSettings array

@description('Address of the key vault, ending in a slash.')
param keyVaultUri string

@description('Name of the Databricks workspace, in this resource group, on which steps run; empty for none.')
param databricks string

@description('Host name of the PostgreSQL server.')
param postgresqlHost string

@description('Database of Dagster on that server.')
param postgresqlDatabase string

@description('Resource id of the Log Analytics workspace.')
param workspaceId string

var private = publicNetworkAccess == 'Disabled'
var runs = !empty(image)
var signIn = !empty(signInClientId)
var codePort = 4000
var webPort = 3000

// By this name Container Apps takes the identity itself as the sign-in's proof, in place of a client secret.
var signInSecret = 'override-use-mi-fic-assertion-client-id'

resource appIdentity 'Microsoft.ManagedIdentity/userAssignedIdentities@2023-01-31' existing = {
  name: identity
}

resource images 'Microsoft.ContainerRegistry/registries@2025-04-01' existing = {
  name: registry
}

resource factory 'Microsoft.DataFactory/factories@2018-06-01' existing = if (!empty(dataFactory)) {
  name: dataFactory
}

resource workspace 'Microsoft.Databricks/workspaces@2024-05-01' existing = if (!empty(databricks)) {
  name: databricks
}

var commonSettings = [
  {
    name: 'AZURE_CLIENT_ID'
    value: appIdentity.properties.clientId
  }
  {
    name: 'DAGSTER_HOME'
    value: '/opt/lake/deploy/azure'
  }
  {
    name: 'DAGSTER_CODE_HOST'
    value: 'dagster-code'
  }
  {
    name: 'DAGSTER_CODE_PORT'
    value: string(codePort)
  }
  {
    name: 'DAGSTER_POSTGRES_HOST'
    value: postgresqlHost
  }
  {
    name: 'DAGSTER_POSTGRES_DB'
    value: postgresqlDatabase
  }
  {
    name: 'DAGSTER_POSTGRES_USER'
    value: identity
  }
  {
    name: 'LAKE_METRICS'
    value: 'true'
  }
]
var databricksSettings = empty(databricks) ? [] : [
  {
    name: 'DATABRICKS_HOST'
    value: 'https://${workspace!.properties.workspaceUrl}'
  }
]
var secretEnvironment = [for setting in secretSettings: {
  name: setting.name
  secretRef: setting.secret
}]
var plainSettings = concat(commonSettings, databricksSettings, settings)

resource environmentOfApps 'Microsoft.App/managedEnvironments@2025-07-01' = {
  name: name
  location: location
  tags: tags
  properties: {
    zoneRedundant: private && zoneRedundant
    publicNetworkAccess: publicNetworkAccess
    vnetConfiguration: private ? {
      internal: true
      infrastructureSubnetId: subnetId
    } : null
    infrastructureResourceGroup: private ? managedGroup : null
    appLogsConfiguration: {
      destination: 'azure-monitor'
    }
    peerTrafficConfiguration: {
      encryption: {
        enabled: true
      }
    }
    workloadProfiles: [
      {
        name: 'Consumption'
        workloadProfileType: 'Consumption'
      }
    ]
  }
}

// Runs are processes of this app, started by its gRPC server; there is one of it, so that two never compute the same.
// `dagster code-server start` would put another server before it, which cannot say which runs there are.
resource code 'Microsoft.App/containerApps@2025-07-01' = if (runs) {
  name: 'dagster-code'
  location: location
  tags: tags
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: {
      '${appIdentity.id}': {}
    }
  }
  properties: {
    environmentId: environmentOfApps.id
    workloadProfileName: 'Consumption'
    configuration: {
      activeRevisionsMode: 'Single'
      registries: [
        {
          server: images.properties.loginServer
          identity: appIdentity.id
        }
      ]
      ingress: {
        external: false
        transport: 'tcp'
        targetPort: codePort
        exposedPort: codePort
      }
      secrets: [for setting in secretSettings: {
        name: setting.secret
        keyVaultUrl: '${keyVaultUri}secrets/${setting.secret}'
        identity: appIdentity.id
      }]
    }
    template: {
      // A run that is under way gets the longest time there is to end when a new image comes. As long is it waited for
      // (restarted_seconds in deploy/azure/dagster.yaml).
      terminationGracePeriodSeconds: 600
      containers: [
        {
          name: 'code'
          image: image
          command: [
            'dagster'
          ]
          args: [
            'api'
            'grpc'
            '--host'
            '0.0.0.0'
            '--port'
            string(codePort)
            '--module-name'
            'dagster_lake.definitions'
            '--location-name'
            'dagster_lake'
            '--log-format'
            'json'
          ]
          resources: {
            cpu: json(cores)
            memory: memory
          }
          env: concat(plainSettings, secretEnvironment)
          probes: [
            {
              type: 'Startup'
              tcpSocket: {
                port: codePort
              }
              periodSeconds: 10
              failureThreshold: 30
            }
            {
              type: 'Liveness'
              tcpSocket: {
                port: codePort
              }
              periodSeconds: 30
              failureThreshold: 10
            }
          ]
        }
      ]
      scale: {
        minReplicas: 1
        maxReplicas: 1
      }
    }
  }
}

resource daemon 'Microsoft.App/containerApps@2025-07-01' = if (runs) {
  name: 'dagster-daemon'
  location: location
  tags: tags
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: {
      '${appIdentity.id}': {}
    }
  }
  properties: {
    environmentId: environmentOfApps.id
    workloadProfileName: 'Consumption'
    configuration: {
      activeRevisionsMode: 'Single'
      registries: [
        {
          server: images.properties.loginServer
          identity: appIdentity.id
        }
      ]
    }
    template: {
      containers: [
        {
          name: 'daemon'
          image: image
          command: [
            'dagster-daemon'
          ]
          args: [
            'run'
            '--workspace'
            'deploy/workspace.yaml'
            '--log-format'
            'json'
          ]
          resources: {
            cpu: json('0.5')
            memory: '1Gi'
          }
          env: plainSettings
        }
      ]
      // One: a second one would start every run twice.
      scale: {
        minReplicas: 1
        maxReplicas: 1
      }
    }
  }
  dependsOn: [
    code
  ]
}

resource webserver 'Microsoft.App/containerApps@2025-07-01' = if (runs) {
  name: 'dagster-webserver'
  location: location
  tags: tags
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: {
      '${appIdentity.id}': {}
    }
  }
  properties: {
    environmentId: environmentOfApps.id
    workloadProfileName: 'Consumption'
    configuration: {
      activeRevisionsMode: 'Single'
      registries: [
        {
          server: images.properties.loginServer
          identity: appIdentity.id
        }
      ]
      ingress: {
        external: signIn
        transport: 'auto'
        targetPort: webPort
        allowInsecure: false
      }
      secrets: signIn ? [
        {
          name: signInSecret
          value: appIdentity.properties.clientId
        }
      ] : []
    }
    template: {
      containers: [
        {
          name: 'webserver'
          image: image
          command: [
            'dagster-webserver'
          ]
          args: [
            '--host'
            '0.0.0.0'
            '--port'
            string(webPort)
            '--workspace'
            'deploy/workspace.yaml'
            '--log-format'
            'json'
          ]
          resources: {
            cpu: json('0.5')
            memory: '1Gi'
          }
          env: plainSettings
          probes: [
            {
              type: 'Startup'
              httpGet: {
                path: '/server_info'
                port: webPort
              }
              periodSeconds: 10
              failureThreshold: 30
            }
            {
              type: 'Liveness'
              httpGet: {
                path: '/server_info'
                port: webPort
              }
              periodSeconds: 30
              failureThreshold: 5
            }
          ]
        }
      ]
      scale: {
        minReplicas: minimumWebservers
        maxReplicas: 1
      }
    }
  }
  dependsOn: [
    code
  ]
}

// The offline type data has no authConfigs, so nothing checks its properties but tests/azure/test_bicep_dagster.py.
#disable-next-line unknown-type
resource guard 'Microsoft.App/containerApps/authConfigs@2025-07-01' = if (runs && signIn) {
  parent: webserver
  name: 'current'
  properties: {
    platform: {
      enabled: true
    }
    globalValidation: {
      unauthenticatedClientAction: 'RedirectToLoginPage'
      redirectToProvider: 'azureactivedirectory'
    }
    identityProviders: {
      azureActiveDirectory: {
        enabled: true
        registration: {
          clientId: signInClientId
          clientSecretSettingName: signInSecret
          openIdIssuer: '${environment().authentication.loginEndpoint}${tenant().tenantId}/v2.0'
        }
        validation: {
          allowedAudiences: [
            'api://${signInClientId}'
            signInClientId
          ]
          defaultAuthorizationPolicy: {
            allowedPrincipals: {
              groups: [
                usersGroupId
              ]
              identities: empty(dataFactory) ? [] : [
                factory!.identity.principalId
              ]
            }
          }
        }
      }
    }
  }
}

resource diagnostics 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  scope: environmentOfApps
  name: 'to-log-analytics'
  properties: {
    workspaceId: workspaceId
    logAnalyticsDestinationType: 'Dedicated'
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

resource codeDiagnostics 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = if (runs) {
  scope: code
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

resource daemonDiagnostics 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = if (runs) {
  scope: daemon
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

resource webserverDiagnostics 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = if (runs) {
  scope: webserver
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
