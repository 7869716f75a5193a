"""Functions over arrays that run as machine code. Numba compiles them once per machine; later processes load the code without Numba."""
