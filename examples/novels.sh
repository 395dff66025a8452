#!/usr/bin/env bash
# Vectors from a folder of novels: plain text, a paragraph at a time, names of two words as one.
#
#   examples/novels.sh novels out                  (*.txt in novels/, results in out/)
#   examples/novels.sh novels out --epochs 3       (options of pmc2vec train)
set -euo pipefail
novels=${1:?"give a folder of .txt files"} out=${2:?"give a folder for what comes out"}
shift 2
if (($# == 0)); then set -- --epochs 10; fi

pmc2vec build --input "$novels" --output "$out/dataset" --text_unit paragraph --phrases 1
pmc2vec inspect "$out/dataset"
pmc2vec train --dataset "$out/dataset" --workdir "$out/run" --vector_size 100 "$@"
pmc2vec neighbours house water --vectors "$out/run" --topn 5
