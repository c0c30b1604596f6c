# cmake -P script: install, then build and run consumer/ against the installed tree in both ways.
function(run)
  execute_process(COMMAND ${ARGN} RESULT_VARIABLE status OUTPUT_VARIABLE out ERROR_VARIABLE err)
  if(NOT status EQUAL 0)
    message(FATAL_ERROR "${ARGN}\nended with ${status}\n${out}${err}")
  endif()
  set(output "${out}" PARENT_SCOPE)
endfunction()

set(work ${WORK_DIR})
set(prefix ${work}/prefix)

# Runs a program that prints the architecture and the vocabulary size of the model it is given.
function(check_program program how)
  run(${CMAKE_COMMAND} -E env LD_LIBRARY_PATH=${prefix}/${LIBDIR} ${program} ${DATA_DIR}/gguf/valid.gguf)
  if(NOT output MATCHES "llama 16")
    message(FATAL_ERROR "the program built by ${how} printed: ${output}")
  endif()
endfunction()

file(REMOVE_RECURSE ${work})
run(${CMAKE_COMMAND} --install ${BUILD_DIR} --component ${COMPONENT} --prefix ${prefix})
set(flags "")
if(SANITIZE)
  set(flags "-fsanitize=${SANITIZE}")
endif()

run(${CMAKE_COMMAND} -G ${GENERATOR} -S ${SOURCE_DIR}/consumer -B ${work}/consumer -DCMAKE_PREFIX_PATH=${prefix} -DCMAKE_CXX_COMPILER=${CXX}
    -DCMAKE_CXX_FLAGS=${flags})
run(${CMAKE_COMMAND} --build ${work}/consumer)
check_program(${work}/consumer/consumer find_package)

# A static library is linked with what it needs itself; a shared one has said so already.
set(ENV{PKG_CONFIG_PATH} ${prefix}/${LIBDIR}/pkgconfig)
set(static --static)
file(GLOB shared_library ${prefix}/${LIBDIR}/libllm.so)
if(shared_library)
  set(static "")
endif()
execute_process(COMMAND pkg-config --define-variable=prefix=${prefix} --cflags --libs ${static} llm
                OUTPUT_VARIABLE words OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
separate_arguments(words UNIX_COMMAND "${words}")
separate_arguments(flags UNIX_COMMAND "${flags}")
run(${CXX} -std=c++20 ${flags} ${SOURCE_DIR}/consumer/main.cpp -o ${work}/by_pkg_config ${words})
check_program(${work}/by_pkg_config pkg-config)
