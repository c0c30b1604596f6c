#ifndef FORMATS_QUOTE_H
#define FORMATS_QUOTE_H

#include <string>
#include <string_view>

namespace llm::formats {

// Foreign text for a message: in single quotes, one line, printable ASCII, cut to some 80 bytes.
std::string quote(std::string_view text);

}  // namespace llm::formats

#endif
