"""The fault campaign on the real thing: real servers, real processes, a seeded schedule of what dies or breaks.

    sources    PostgreSQL, MariaDB, a simulated Jira: each with somebody who goes on changing it, and with its truth
    proxy      connections that are cut, slow or held
    place      one installation: a source, Redis, a lake, a small staging disk
    strikes    what may happen to a run
    campaign   rounds: start a run, strike, mend, run until it succeeds, compare every row
    report     what was struck, and what was wrong

`python -m tests.faults --rounds 200 --seed 1`; `make test-faults` runs it, too.
"""
