"""Fault injection: power cuts, kills, I/O errors, damage and contention.

Every test has a control: the same harness on a setting that is known to be bad must show the
fault, otherwise the harness is blind. `CLEW_TORTURE=1` runs the long form.
"""
