"""What each route does: decode nothing, decide nothing, ask the ledger."""
