"""Decoding against the plain vectorised way and a C++ loop, over the number of objects."""
