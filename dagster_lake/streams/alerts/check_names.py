"""What the checks of alerts are called. Failures ask, so that nothing is told twice."""

NO_ALERTS = "no_alerts"
"""Of a stream that gives alerts: there are none in the hours that the run wrote."""
DELIVERED = "webhook_takes_them"
"""Of the notices: each channel has an address, and took what it was sent."""
