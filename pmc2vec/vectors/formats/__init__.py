"""The formats of word-vector files, a module for each family; `registry` lists them."""
