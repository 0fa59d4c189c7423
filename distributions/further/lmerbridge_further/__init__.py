"""Models on data sets of R packages, and what lme4 says of them: ``lmerbridge check --scorecard``.

Files alone: lmerbridge finds them beside this one, in ``reference/further``.
"""
