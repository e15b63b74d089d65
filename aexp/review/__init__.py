"""Judge the runs of a campaign: rates, arms, outliers, gaps; and report them."""
