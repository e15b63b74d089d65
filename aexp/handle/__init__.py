"""The run as training code holds it: log, summarize, report."""
