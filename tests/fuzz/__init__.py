"""Coverage-guided fuzzing of every parser of strangers' bytes; ``make fuzz`` runs it for ten minutes."""
