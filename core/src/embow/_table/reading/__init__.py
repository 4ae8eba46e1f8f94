"""From a snapshot to an answer."""
