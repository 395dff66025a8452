#!/usr/bin/env bash
# Nearest neighbours while training, as in the first TensorFlow tutorial: 16 random words among the
# 100 most frequent, 8 neighbours of each, every 10,000 steps, on the console and in TensorBoard.
#
#   examples/neighbours_while_training.sh cancer/dataset out
#   examples/neighbours_while_training.sh cancer/dataset out melanoma insulin fever
set -euo pipefail
dataset=${1:?"give a dataset"} out=${2:?"give a folder for what comes out"}
shift 2
if (($# == 0)); then set -- random:16:100; fi

pmc2vec train --dataset "$dataset" --workdir "$out" --epochs 5 --vector_size 64 \
  --probe_words "$@" --probe_neighbours 8 --probe_every 10000
echo "all of it: pmc2vec tensorboard --workdir $out"
