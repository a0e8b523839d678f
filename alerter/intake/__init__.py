"""From a webhook's body to what has changed: decoding and decisions, both pure."""
