"""Stand-in for KWDB's kwbase, made for drillbook's lab; MariaDB does the work."""
VERSION = '@VERSION@'


class Refused(Exception):
    """One sentence that says why."""
