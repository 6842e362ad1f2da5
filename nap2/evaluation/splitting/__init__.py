"""Who learns and who judges: splits, folds, and the strata they are drawn from."""
