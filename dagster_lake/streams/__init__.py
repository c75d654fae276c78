"""Streams: what models declare, alerts, sinks, `lake stream`, Stream Analytics."""
