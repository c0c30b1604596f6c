#include <llm/error.hpp>
