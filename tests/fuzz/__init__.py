"""Bad input on purpose: a seeded corpus of malformed pictures, maps and API payloads, and what the app makes of it.

`python -m tests.fuzz --count 1000` runs it all and prints a table; `test_fuzz.py` runs a small part with the suite.
"""
