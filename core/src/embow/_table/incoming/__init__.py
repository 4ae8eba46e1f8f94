"""The user's data as batches fitted to a schema. Knows no engine and no function."""
