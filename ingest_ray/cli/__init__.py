"""`ingest-ray`: the command line. Translates between people and the use cases of `ingest_ray.service`.

`--help` must be quick, and most commands need few of the libraries. So the modules in `commands` import use cases and tables
inside of the function of the command that calls them, and nothing else at import; mypy checks these calls like any others.
"""
