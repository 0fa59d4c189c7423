"""Mixed models in Python with the numbers that lme4 prints."""
