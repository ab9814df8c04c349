"""What a recorded run leaves behind: the tape, the training step as a program, and what its calls do."""
