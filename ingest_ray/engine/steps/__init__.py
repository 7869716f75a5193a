"""The steps of a run as plain functions and objects, without Ray: plan, read, map, prepare, commit, recover."""
