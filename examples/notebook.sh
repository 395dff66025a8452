#!/usr/bin/env bash
# The student's notebook as four commands, on PubMed Central's bulk archives, with its settings:
# articles on cancer, a vocabulary of 25,000 words, windows of 5, 4 noise words, 128 dimensions.
#
#   examples/notebook.sh bulk cancer               (articles in bulk/, results in cancer/)
#   examples/notebook.sh bulk cancer --epochs 3    (options of pmc2vec train)
set -euo pipefail
bulk=${1:?"give the folder of the archives"} out=${2:?"give a folder for what comes out"}
shift 2

pmc2vec build --input "$bulk" --output "$out/dataset" --keywords cancer melanoma carcinoma \
  --max_final_vocab 25000 --window 5 --negative 4
pmc2vec train --dataset "$out/dataset" --workdir "$out/run" --vector_size 128 "$@"
pmc2vec neighbours melanoma cancer --vectors "$out/run" --topn 5
pmc2vec export --workdir "$out/run" --format word2vec_binary
