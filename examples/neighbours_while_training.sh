#!/usr/bin/env bash
# Nearest neighbours while training, as in the Keras and the first TensorFlow tutorials: a few words
# whose neighbours are told after each epoch, on the console and as a table in TensorBoard.
#
#   examples/neighbours_while_training.sh cancer/dataset out melanoma insulin fever
set -euo pipefail
dataset=${1:?"give a dataset"} out=${2:?"give a folder for what comes out"}
shift 2

pmc2vec train --dataset "$dataset" --workdir "$out" --epochs 5 --vector_size 64 \
  --probe_words "${@:?"name words to watch"}"
echo "all of it: pmc2vec tensorboard --workdir $out"
