"""Private keys and the certificates above them: the only place that touches a private key."""
