"""The REST API of Confluence: client, Cloud and Data Center, CQL, pagination, response shapes."""
