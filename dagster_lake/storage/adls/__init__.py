"""Azure Data Lake Storage: paths, credentials, blobs."""
