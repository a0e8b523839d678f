"""Counting jobs: what every queue system shares, whatever tables it keeps them in."""
