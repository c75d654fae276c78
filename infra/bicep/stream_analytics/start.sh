# Starts the Stream Analytics job $STREAMING_JOB when it was never started or failed. One that a person stopped stays so.
set -euo pipefail
api=https://management.azure.com$STREAMING_JOB
az login --identity --client-id "$AZURE_CLIENT_ID" --output none
state=$(az rest --method get --url "$api?api-version=2020-03-01" --query properties.jobState --output tsv)
case $state in
  Created) start=JobStartTime ;;
  Failed) start=LastOutputEventTime ;;
  *) echo "The job is $state"; exit 0 ;;
esac
az rest --method post --url "$api/start?api-version=2020-03-01" --body "{\"outputStartMode\": \"$start\"}"
echo "The job was $state, and starts from $start"
