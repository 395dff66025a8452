"""Made-up articles with planted meaning, and the checks of what vectors recover of it."""
