"""Reports: pages for people, rendered from gold."""
