"""Takes alerts from Alertmanager in, loses none, and gets the right person told."""
