"""From fitted batches to staged rows and one commit."""
