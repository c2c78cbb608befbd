"""Blind user studies: who sees what, where answers are kept, and what they say.

- `design`  draws a participant's trials from what was served least, sides balanced
- `store`   studies, participants and votes in a database (SQLite or PostgreSQL) and pictures in a folder
- `stats`   preference, scores, agreement, exclusions, with intervals
- `report`  one study's results as data, CSV and JSON

Nothing of this is loaded by `import scsa_core`.
"""
