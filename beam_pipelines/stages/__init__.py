"""The steps of the Beam job, each from files to files, and where those files stand."""
