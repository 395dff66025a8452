"""Bytes of an input file -> articles -> sentences of tokens; pure, without Beam."""
