"""From PubMed Central full text to sharded training records: the Apache Beam half of pmc2vec.

Importing this package loads nothing else. `build` holds the program; the modules beside it are the
pure functions that it lifts.
"""

import logging

# Beam 2.77 warns on import of a Google client that nothing here uses. Only the import of this
# package comes before that of Beam in every process: `python -m beam_pipelines.build` and a worker
# import Beam before their `main` runs. The filter is for the root logger's own records only.
logging.getLogger().addFilter(lambda record: "apitools not found" not in str(record.msg))
