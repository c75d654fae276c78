"""Failures of the lake itself: found, and told to the owners of the data sets they concern, by the alerts' outbox."""
