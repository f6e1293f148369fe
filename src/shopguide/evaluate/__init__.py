"""evaluate: how good the advice is, measured on data, by the code of the live line."""
