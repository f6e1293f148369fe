"""collect: raw rows, from wherever they come, become rows of the log. Consent and pseudonyms are settled here.

file ── lines ── formats ──┐
HTTP, simulator ── rows ───┴─► Chunk (raw columns) ── encode ──► Events, Names ── collector ──► log
"""
