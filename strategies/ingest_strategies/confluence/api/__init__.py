"""The REST API of Confluence: client, contract, Cloud and Data Center, search by CQL, pagination, response shapes."""
