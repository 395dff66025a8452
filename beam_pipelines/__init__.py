"""From PubMed Central full text to sharded training records: the Apache Beam half of pmc2vec.

Importing this package loads nothing else. `build` holds the program; the modules beside it are the
pure functions that it lifts.
"""

import logging

# Beam warns at every import, in every process, of a Google client that nothing here uses.
logging.getLogger().addFilter(lambda record: "apitools not found" not in str(record.msg))
