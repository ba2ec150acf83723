"""Products, submissions and accounts: legal transitions and rules, without I/O."""
