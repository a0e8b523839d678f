"""What has to be done because time passes: fallbacks, escalations, repeats, ends that nobody tells, old rows."""
