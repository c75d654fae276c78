"""Landing by Auto Loader, as a job on Databricks."""
