"""What every daemon of Postwatch bolts onto: settings, logs, life cycle, web shell. Knows no word of the domain."""
