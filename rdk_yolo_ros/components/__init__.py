"""The Python component container and images from node to node inside of it."""
