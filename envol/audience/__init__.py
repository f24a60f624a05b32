"""The segment language, its sentences and its compilers."""
