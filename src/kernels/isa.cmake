# One translation unit per instruction set; each isa_*.cpp gets its own flags and nothing else does.
