"""What a row must hold for its trainer, beyond what the official validators check."""
