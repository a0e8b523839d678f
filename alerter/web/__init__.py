"""What the alerter answers over HTTP."""
