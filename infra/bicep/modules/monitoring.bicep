metadata description = 'Where logs and metrics of everything else go, and who is told when something is wrong.'

@description('Name of the Log Analytics workspace.')
param name string

@description('Name of the action group that every alert goes to.')
param actionGroupName string

@description('Azure region.')
param location string

@description('Tags of every resource.')
param tags object

@description('How long logs are kept, days.')
@minValue(30)
@maxValue(730)
param retentionDays int

@description('The most that is taken in a day, GB; what comes after is lost until the next day. -1 for no limit.')
param dailyQuotaGb int

@description('E-mail addresses that alerts go to.')
param contacts array

@description('Whether logs may be sent from outside the virtual network. Diagnostic settings reach it either way.')
@allowed(['Enabled', 'Disabled'])
param publicNetworkAccess string

resource workspace 'Microsoft.OperationalInsights/workspaces@2025-02-01' = {
  name: name
  location: location
  tags: tags
  properties: {
    sku: {
      name: 'PerGB2018'
    }
    retentionInDays: retentionDays
    workspaceCapping: {
      dailyQuotaGb: dailyQuotaGb
    }
    publicNetworkAccessForIngestion: publicNetworkAccess
    // People and alerts ask through Azure's portal, as themselves; a private path would need a private link scope.
    publicNetworkAccessForQuery: 'Enabled'
    features: {
      disableLocalAuth: true
      enableLogAccessUsingOnlyResourcePermissions: true
    }
  }
}

resource diagnostics 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  scope: workspace
  name: 'to-log-analytics'
  properties: {
    workspaceId: workspace.id
    logs: [
      {
        categoryGroup: 'audit'
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

resource people 'Microsoft.Insights/actionGroups@2023-01-01' = {
  name: actionGroupName
  location: 'global'
  tags: tags
  properties: {
    enabled: true
    groupShortName: 'lake'
    emailReceivers: [for (contact, index) in contacts: {
      name: 'contact-${index}'
      emailAddress: contact
      useCommonAlertSchema: true
    }]
  }
}
