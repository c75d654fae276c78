"""The engine on Spark, in a local JVM or on Databricks."""
