"""The run handle of training code: log, summarize, report, from within a run."""
