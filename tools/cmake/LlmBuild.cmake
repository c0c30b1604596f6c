# Helpers shared by all CMakeLists of the project: rooms, warnings, sanitizers, tests.

find_program(LLM_CCACHE ccache)
if(LLM_CCACHE AND PROJECT_IS_TOP_LEVEL AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  # What includes a precompiled header is kept too.
  set(CMAKE_CXX_COMPILER_LAUNCHER env CCACHE_SLOPPINESS=pch_defines,time_macros ${LLM_CCACHE})
endif()

add_library(llm_warnings INTERFACE)
target_compile_options(llm_warnings INTERFACE -Wall -Wextra -Wpedantic -ffp-contract=off)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # g++ 12 reports overlapping copies inside std::string where there are none (GCC bug 105651).
  target_compile_options(llm_warnings INTERFACE -Wno-restrict)
endif()
if(LLM_WERROR)
  target_compile_options(llm_warnings INTERFACE -Werror)
endif()
if(NOT CMAKE_UNITY_BUILD)
  target_compile_options(llm_warnings INTERFACE -Wshadow)
elseif(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # One file's names are in scope of the next one in a unit.
  target_compile_options(llm_warnings INTERFACE -Wshadow=local -Wno-subobject-linkage)
endif()

add_library(llm_flags INTERFACE)
target_link_libraries(llm_flags INTERFACE llm_warnings)
if(LLM_SANITIZE)
  # g++ takes instrumented optionals for uninitialised (GCC bug 80635).
  target_compile_options(llm_flags INTERFACE $<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized>)
  target_compile_options(llm_flags INTERFACE -fsanitize=${LLM_SANITIZE} -fno-omit-frame-pointer -g1)
  target_link_options(llm_flags INTERFACE -fsanitize=${LLM_SANITIZE})
  if(LLM_SANITIZE MATCHES "undefined")
    target_compile_options(llm_flags INTERFACE -fno-sanitize-recover=undefined)
  endif()
endif()
if(LLM_FUZZ)
  target_compile_options(llm_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()
if(LLM_COVERAGE)
  target_compile_options(llm_flags INTERFACE --coverage)
  target_link_options(llm_flags INTERFACE --coverage)
endif()

# Code that takes longer to compile than to run is optimised less: what needs speed is in the rooms.
function(llm_optimize target level_with_sanitizers level)
  if(LLM_SANITIZE)
    target_compile_options(${target} PRIVATE ${level_with_sanitizers})
  elseif(NOT CMAKE_BUILD_TYPE STREQUAL "Debug")
    target_compile_options(${target} PRIVATE ${level})
  endif()
endfunction()

# A unit includes sources on purpose.
set(LLM_UNIT_INCLUDE "// NOLINTNEXTLINE(bugprone-suspicious-include)")

# A room is one folder of src/ built as one object library. Its headers are reached as "room/file.h" through a link
# farm in the build folder, so a room sees only the headers of the rooms it links: a wrong include does not compile.
# INSTRUMENTED OFF: without the sanitizers, fuzzing and coverage that are asked for.
function(llm_room name)
  cmake_parse_arguments(ROOM "" "INSTRUMENTED" "DEPENDS;LIBRARIES" ${ARGN})
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/${name}/*.cpp)
  set(farm ${PROJECT_BINARY_DIR}/rooms/${name})
  file(MAKE_DIRECTORY ${farm})
  file(CREATE_LINK ${CMAKE_CURRENT_SOURCE_DIR}/${name} ${farm}/${name} SYMBOLIC)
  if(sources)
    add_library(llm_${name} OBJECT ${sources})
    set(scope PUBLIC)
    if(DEFINED ROOM_INSTRUMENTED AND NOT ROOM_INSTRUMENTED)
      target_link_libraries(llm_${name} PRIVATE llm_warnings)
    else()
      target_link_libraries(llm_${name} PRIVATE llm_flags)
      llm_optimize(llm_${name} -O1 "")
    endif()
    set_target_properties(llm_${name} PROPERTIES UNITY_BUILD_CODE_BEFORE_INCLUDE ${LLM_UNIT_INCLUDE})
    target_compile_definitions(llm_${name} PRIVATE LLM_BUILDING)
    set_property(GLOBAL APPEND PROPERTY LLM_ROOMS llm_${name})
  else()
    add_library(llm_${name} INTERFACE)
    set(scope INTERFACE)
  endif()
  target_include_directories(llm_${name} ${scope} ${farm} ${PROJECT_SOURCE_DIR}/include)
  foreach(dependency ${ROOM_DEPENDS})
    target_link_libraries(llm_${name} ${scope} llm_${dependency})
  endforeach()
  target_link_libraries(llm_${name} ${scope} ${ROOM_LIBRARIES})
endfunction()

# Static archive of every room's objects with all symbols visible to the unit tests.
function(llm_test name)
  cmake_parse_arguments(TEST "" "" "SOURCES;LIBRARIES;LABELS" ${ARGN})
  add_executable(${name} ${TEST_SOURCES})
  llm_optimize(${name} -O0 -O1)
  target_link_libraries(${name} PRIVATE llm_flags llm_all_rooms GTest::gtest GTest::gmock GTest::gtest_main ${TEST_LIBRARIES})
  target_compile_definitions(${name} PRIVATE LLM_TEST_DATA="${PROJECT_SOURCE_DIR}/tests/data"
                                             LLM_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
  add_test(NAME ${name} COMMAND ${name})
  set_tests_properties(${name} PROPERTIES LABELS "${TEST_LABELS}" TIMEOUT 900)
endfunction()
