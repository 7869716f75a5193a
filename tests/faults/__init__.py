"""The fault campaign: injects faults from a seeded schedule into real servers and real processes, and compares every row afterwards.

    sources                   PostgreSQL, MariaDB, a simulated Jira: each with a writer that changes it, and with its expected rows
    proxy                     connections that are cut, slow or held
    installation_under_test   one installation: a source, Redis, a lake, a small staging disk
    injections                the faults that may hit a run
    campaign                  rounds: start a run, inject a fault, repair, run until it succeeds, compare every row
    report                    counts of injected faults, and violations

`python -m tests.faults --rounds 200 --seed 1`; `make test-faults` runs it, too.
"""
