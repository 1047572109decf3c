"""What a ledger promises, through its public face, on every database."""
