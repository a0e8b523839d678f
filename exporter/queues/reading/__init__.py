"""Reading a table of jobs in PostgreSQL: what queue systems that keep one share."""
