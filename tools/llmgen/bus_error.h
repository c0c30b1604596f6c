#ifndef LLMGEN_BUS_ERROR_H
#define LLMGEN_BUS_ERROR_H

#include <string>

namespace llmgen {

// A mapped file that shrinks while it is read, or whose disk fails, ends a program by the signal SIGBUS. From this call
// on the program says so in one line on stderr that names the model, and exits with 4. Call it once a model is open.
void explain_bus_errors(const std::string& model_path);

}  // namespace llmgen

#endif
