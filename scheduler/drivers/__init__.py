"""Who carries the engine's decisions out: one process, or virtual time. Ray Tune is an adapter."""
