#ifndef LLMGEN_BENCH_PROFILE_H
#define LLMGEN_BENCH_PROFILE_H

#include <llm/engine.hpp>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace llmgen {

// Where the time of one kind of work went.
struct ProfiledWork {
  std::string title;
  llm::StepProfile profile;
};

// Lines with bars for a terminal.
std::string profile_chart(const ProfiledWork& work);
// The same as a picture.
std::string profile_svg(const std::vector<ProfiledWork>& works);
nlohmann::ordered_json profile_json(const llm::StepProfile& profile);

}  // namespace llmgen

#endif
