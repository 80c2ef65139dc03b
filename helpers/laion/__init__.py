"""LAION-5B's pipeline in miniature, one step a file: from the metadata of web pages to shards of pairs."""
