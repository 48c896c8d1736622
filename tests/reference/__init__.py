"""Referees: loops written from the papers, without any function of the package."""
