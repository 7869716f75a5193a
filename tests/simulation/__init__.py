"""Simulates the whole commit protocol in one process under a seeded scheduler: any order, any fault, reproducible from the seed.

Real: ledger, checkpoint, planning, coordinator, state writer, lease, recovery of intents, conversion of errors into
events. Simulated: the source, staging, the sink, the KV, clocks, processes and messages.

    scheduler            picks the process that continues; every request to another process is a point where any other may run
    fault_injection      the seed, and the rate of each kind of fault
    worlds               the protocol over an abstract source and sink, or one of them the product's code for databases
    logs                 a simulated database with a log of its changes, under the product's slots, planner and reader
    databases            simulated databases under the product's horizons, planner and SQL sinks
    lakes                a simulated object store under the product's sink of plain Parquet files: manifests, pointer, layouts, compaction
    source_table         the source: inserts, updates, deletes, open transactions, late rows
    integer_strategy     its strategy: full load along the key, then along the cursor; with look-back and rows ahead
    simulated_kv, simulated_sink, simulated_staging     with lost answers, late requests, lost pages
    simulated_executor   the processes of one run, which die one by one and may continue as zombies
    simulated_run        one run (with or without mappers), from the lease to its end
    history              one history: starts, resets, stops, suspensions, clock skew and crashes around the runs
    operators            what people do: resets, and checkpoints that go back to what a restored sink has
    invariants           what must be true after every step, and at the end
    mutations            deliberate bugs, which prove that the invariants detect bugs

`python -m tests.simulation --seeds 100000`; one of them again: `python -m tests.simulation --seed N --trace`. The world is drawn from the
seed; `--world` sets it.
"""
