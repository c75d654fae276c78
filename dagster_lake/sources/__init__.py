"""Where raw comes from; only read: event hubs, databases, and which of them the settings name."""
