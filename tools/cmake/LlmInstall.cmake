# Headers, library, llmConfig.cmake and llm.pc.
include(CMakePackageConfigHelpers)

# llm_install(TARGET [COMPONENT NAME EXCLUDE_FROM_ALL])
function(llm_install target)
  set(targets ${target}Targets)
  set(folder ${PROJECT_BINARY_DIR}/install/${target})
  set(cmake_folder ${CMAKE_INSTALL_LIBDIR}/cmake/llm)
  install(TARGETS ${target} EXPORT ${targets}
          ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} ${ARGN} LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} ${ARGN})
  install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/llm DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} ${ARGN} FILES_MATCHING PATTERN "*.hpp")
  install(EXPORT ${targets} FILE llmTargets.cmake NAMESPACE llm:: DESTINATION ${cmake_folder} ${ARGN})

  # A static library names what it needs to link; a shared one has it inside.
  get_target_property(type ${target} TYPE)
  if(type STREQUAL "SHARED_LIBRARY")
    set(LLM_IS_SHARED TRUE)
    set(LLM_PC_CFLAGS "")
    set(LLM_PC_PRIVATE "Requires.private: fmt libpcre2-8 libutf8proc")
  else()
    set(LLM_IS_SHARED FALSE)
    set(LLM_PC_CFLAGS "-DLLM_STATIC")
    set(LLM_PC_PRIVATE "Requires: fmt libpcre2-8 libutf8proc\nLibs.private: -fopenmp")
  endif()
  configure_package_config_file(${PROJECT_SOURCE_DIR}/tools/cmake/llmConfig.cmake.in ${folder}/llmConfig.cmake
                                INSTALL_DESTINATION ${cmake_folder})
  write_basic_package_version_file(${folder}/llmConfigVersion.cmake COMPATIBILITY SameMinorVersion)
  install(FILES ${folder}/llmConfig.cmake ${folder}/llmConfigVersion.cmake DESTINATION ${cmake_folder} ${ARGN})

  configure_file(${PROJECT_SOURCE_DIR}/tools/cmake/llm.pc.in ${folder}/llm.pc @ONLY)
  install(FILES ${folder}/llm.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig ${ARGN})
endfunction()

llm_install(llm)
