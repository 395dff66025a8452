#!/usr/bin/env bash
# word2vec on Shakespeare, with the settings of TensorFlow's word2vec tutorial: lines as sentences,
# its tokenizer, a vocabulary of 4,096 words, whole windows of 2, 4 noise words drawn by rank.
#
#   examples/shakespeare.sh shakespeare.txt plays              (results in plays/)
#   examples/shakespeare.sh shakespeare.txt plays --epochs 3   (options of pmc2vec train)
set -euo pipefail
text=${1:?"give a text file"} out=${2:?"give a folder for what comes out"}
shift 2
if (($# == 0)); then set -- --epochs 20; fi

pmc2vec build --input "$text" --output "$out/dataset" --tokenizer tutorial --text_unit line \
  --min_count 1 --max_final_vocab 4096 --window 2 --no_shrink_windows --negative 4 \
  --noise log_uniform
pmc2vec train --dataset "$out/dataset" --workdir "$out/run" --vector_size 128 --batch_size 512 \
  "$@"
pmc2vec neighbours king night love --vectors "$out/run" --topn 5
