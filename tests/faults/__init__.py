"""The fault campaign on the real thing: real servers, real processes, a seeded schedule of what dies or breaks.

    place      PostgreSQL, Redis, a lake, a small staging disk, connections through a proxy; one installation
    proxy      connections that are cut, or slow
    writer     somebody who goes on writing at the source meanwhile
    strikes    what may happen to a run
    campaign   rounds: start a run, strike, heal, run until it succeeds, compare every row

`python -m tests.faults --rounds 200 --seed 1`; `make test-faults` runs it, too.
"""
