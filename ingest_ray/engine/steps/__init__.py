"""What reader, planner, sink and state do, in plain functions and objects: no Ray. Actors are thin shells around these."""
