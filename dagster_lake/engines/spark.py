"""The scale engine: Apache Spark computes and writes, in a local JVM, on a cluster or on Databricks."""
