"""A running service in frameworks of others: each module is a retriever of one, and needs that framework only (docs/programming.md)."""
