"""Record a teacher's outputs once, import vectors, and verify a record."""
