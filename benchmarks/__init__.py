"""Every figure that README and docs quote; `make bench` prints them all."""
