"""Names that vulture takes for unused, each with the reason why it is used all the same.

Package hooks: Python calls them.
"""
