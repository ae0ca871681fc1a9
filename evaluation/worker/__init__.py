"""What only a worker does: fetch, prepare, run in the cage, score. The web imports none of it."""
