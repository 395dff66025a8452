"""Sections of text -> sentences -> tokens, and which articles are kept; pure, without Beam."""
