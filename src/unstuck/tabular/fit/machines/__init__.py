"""Train on the rows of one table with several processes or machines.

A network is trained on batches whose rows belong to different workers: each sends the gradient of its share, summed in
float64, and the driver takes the step. Which rows form a batch depends on their numbers alone, so the number of workers
changes only the order of sums. `part` is what a worker does, `local` and `rayed` run workers, `training` is the driver.
"""
