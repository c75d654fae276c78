"""Event hubs: the embedded one, Azure's, and the files of Capture."""
