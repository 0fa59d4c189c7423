"""Minimizing: a criterion over theta, for one response and for many, and with one number held.

Nothing here is an engine: an engine asks for a minimum and says what belongs to it. It stands below
the engines, so that what comes after a fit (refits, profiles) can minimize without one.
"""
