"""Training functions for the trial of `assert_learns`: twenty broken ones and twenty sound ones."""
