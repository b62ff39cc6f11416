"""Many jobs, one budget: the spec, the ledger, and the plan."""
