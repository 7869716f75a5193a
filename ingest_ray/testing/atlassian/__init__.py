"""The public names of the simulated Jira and Confluence, for tests of strategies and clients.

`with simulate(product="jira", issues=2000) as simulation:` serves a site in this process; `python -m ingest_ray.testing.atlassian`
and `ingest-ray simulate` serve one from a shell. Options, traps and control endpoints: `ingest_ray.simulators.atlassian`.
"""

from ingest_ray.simulators.atlassian import Simulation, simulate

__all__ = ["Simulation", "simulate"]
