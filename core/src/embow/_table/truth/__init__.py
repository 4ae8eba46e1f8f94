"""Whether vectors belong to their sources and models, and giving a table another model."""
