#!/usr/bin/env bash
# word2vec on Shakespeare, with the settings of TensorFlow's word2vec tutorial: lines as sequences of
# at most ten tokens, its tokenizer, 4,096 words with '' and [UNK], whole windows of 2, targets
# thinned by make_sampling_table, 4 noise words drawn by rank; softmax over the word and its noise,
# Adam, some 1,024 pairs in a step, 20 epochs, the target embedding as the result.
#
#   examples/shakespeare.sh shakespeare.txt plays              (results in plays/)
#   examples/shakespeare.sh shakespeare.txt plays --epochs 3   (options of pmc2vec train)
set -euo pipefail
text=${1:?"give a text file"} out=${2:?"give a folder for what comes out"}
shift 2
if (($# == 0)); then set -- --epochs 20; fi

pmc2vec build --input "$text" --output "$out/dataset" --tokenizer tutorial --text_unit line \
  --sequence_length 10 --unknown keep --min_count 1 --max_final_vocab 4094 --window 2 \
  --no_shrink_windows --subsampling keras --sample 1e-5 --negative 4 --noise log_uniform \
  --validation_fraction 0
pmc2vec train --dataset "$out/dataset" --workdir "$out/run" --vector_size 128 \
  --objective softmax --optimizer adam --batch_size 3072 --output_vectors target "$@"
pmc2vec neighbours king night love --vectors "$out/run" --topn 5
