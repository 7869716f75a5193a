"""The whole protocol in one process, under a seeded scheduler: any order, any fault, and the same again from its seed.

Real: ledger, checkpoint, planning, coordinator, state writer, lease, the settling of intents, the turning of errors into
events. Simulated: the source, staging, the sink, the KV, clocks, processes and messages.

    scheduler   who goes on next; every request to another process is a point where anything else may happen
    chance      the seed, and how often which fault strikes
    table       the source: inserts, updates, deletes, open transactions, late rows
    ints        its strategy: full load along the key, then along the cursor; with look-back and rows ahead
    store, sink, pages          KV, sink and staging with lost answers, late requests, lost pages
    crew, run                   one run (with or without mappers): its processes, which die one by one or together, and may go on as zombies
    world                       people and machines around it: starts, resets, stops, suspensions, clock skew, crashes
    judge                       what must be true after every step, and at the end
    mutations                   deliberate bugs, to prove that the judge sees them

`python -m tests.simulation --seeds 100000`; one of them again: `python -m tests.simulation --seed N --trace`.
"""
