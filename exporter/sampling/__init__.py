"""Samplers in the background: their schedule, their budget, their outcomes."""
