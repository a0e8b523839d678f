"""The exporter's commands, one file each."""
