"""Studies: several recipes, one table."""
