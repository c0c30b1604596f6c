# Headers, library, llmConfig.cmake and llm.pc.
include(CMakePackageConfigHelpers)

install(TARGETS llm EXPORT llmTargets
        ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(DIRECTORY include/llm DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN "*.hpp")
install(EXPORT llmTargets NAMESPACE llm:: DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/llm)

configure_package_config_file(tools/cmake/llmConfig.cmake.in ${PROJECT_BINARY_DIR}/llmConfig.cmake
                              INSTALL_DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/llm)
write_basic_package_version_file(${PROJECT_BINARY_DIR}/llmConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/llmConfig.cmake ${PROJECT_BINARY_DIR}/llmConfigVersion.cmake
        DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/llm)

# A static library names what it needs to link; a shared one has it inside.
if(BUILD_SHARED_LIBS)
  set(LLM_PC_CFLAGS "")
  set(LLM_PC_PRIVATE "Requires.private: fmt libpcre2-8 libutf8proc")
else()
  set(LLM_PC_CFLAGS "-DLLM_STATIC")
  set(LLM_PC_PRIVATE "Requires: fmt libpcre2-8 libutf8proc\nLibs.private: -fopenmp")
  string(APPEND LLM_PC_PRIVATE "")
endif()
configure_file(tools/cmake/llm.pc.in ${PROJECT_BINARY_DIR}/llm.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/llm.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
