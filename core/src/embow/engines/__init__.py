"""Storage engines: the contract, filters, and the embedded engine."""
