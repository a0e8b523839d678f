"""Where everything is kept that must survive: SQLite or PostgreSQL, by the same statements."""
