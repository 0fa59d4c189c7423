"""Other packages as engines, for comparison: each reports its own numbers in our schema.

They never take part in ``engine="auto"``, and in ``lmerbridge check`` only where they are named
or a scorecard is asked for.
"""
