"""What is to be told to whom, and how it went: rows that outlive the process."""
