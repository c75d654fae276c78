"""The one place for names, literals and types in SQL."""
