"""Use cases about runs: admission, execution, records, history, pause, schedules, quarantine, remap."""
