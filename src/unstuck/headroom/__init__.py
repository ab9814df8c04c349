"""What simple strong learners reach on the recorded rows: whether the data hold what the network does not get."""
