"""The queue: add runs, look at them, run, stop, retry and remove them."""
