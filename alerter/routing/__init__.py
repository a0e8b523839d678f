"""Who is told: pure decisions, from the configuration, an alert's labels and the time."""
