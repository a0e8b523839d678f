"""What every daemon of Postwatch bolts onto: settings, logs, life cycle, web shell; no domain word."""
