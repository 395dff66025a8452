"""The formats of word vectors that other programs write and read, a module for each.

| file | holds | read by |
|---|---|---|
| vectors.txt | "V D", then a word and its numbers in each row | word2vec.c, gensim, most others |
| vectors.bin | "V D", then a word and little-endian float32 | word2vec.c, gensim |
| glove.txt | a word and its numbers in each row | GloVe, gensim (`no_header=True`), torchtext |
| vectors.kv, vectors.kv.vectors.npy | gensim's pickled KeyedVectors | gensim |
| vectors.parquet | columns word, count, vector | pandas, pyarrow, DuckDB, Spark |
| embedding.keras | TextVectorization and Embedding | Keras |
| saved_model/1/ | signatures `embed` and `neighbours` on strings | TensorFlow, TensorFlow Serving |

The workdir's own files are in `pmc2vec.vectors.vector_files`. Importing this package loads
nothing else.
"""
