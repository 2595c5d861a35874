"""Stand-in for DBackup, made for drillbook's lab. Not the product."""
