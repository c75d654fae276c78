"""Every setting, read when a resource or a command starts and never at import."""
