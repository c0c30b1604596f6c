# One translation unit per instruction set; each isa_*.cpp gets its own flags and nothing else does.
if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64|amd64)$")
  set(avx2 -mavx2 -mfma -mf16c -mbmi2)
  set(avx512 ${avx2} -mavx512f -mavx512bw -mavx512vl -mavx512dq -mprefer-vector-width=512)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    # GCC's own AVX-512 headers read a deliberately undefined vector (GCC bug 105593).
    list(APPEND avx512 -Wno-maybe-uninitialized -Wno-uninitialized)
  endif()
  function(llm_isa name)
    # Nothing in them throws; without exceptions no weak reference to the unwinder's data remains either.
    set_source_files_properties(${CMAKE_CURRENT_SOURCE_DIR}/kernels/isa_${name}.cpp
                                PROPERTIES COMPILE_OPTIONS "${ARGN};-fno-exceptions")
  endfunction()
  llm_isa(avx2 ${avx2})
  llm_isa(avxvnni ${avx2} -mavxvnni)
  llm_isa(avx512 ${avx512})
  llm_isa(avx512vnni ${avx512} -mavx512vnni)
  llm_isa(avx512bf16 ${avx512} -mavx512vnni -mavx512bf16)
  llm_isa(amx ${avx512} -mavx512vnni -mamx-tile -mamx-int8 -mamx-bf16)
endif()
