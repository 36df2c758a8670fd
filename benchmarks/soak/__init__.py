"""The nodes for an hour: whether memory, latency, threads or descriptors grow."""
