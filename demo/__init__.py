"""Postwatch at work on real servers, from one command."""
