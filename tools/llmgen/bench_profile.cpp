#include "bench_profile.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace llmgen {

namespace {

// Bars, in characters and in pixels.
constexpr int bar_width = 30;
constexpr int svg_bar = 320, svg_left = 190, svg_line = 18, svg_width = 640;

double share(const llm::StepProfile& profile, double seconds) {
  return profile.step_seconds > 0 ? seconds / profile.step_seconds : 0;
}

std::string name_of(const llm::ProfileEntry& entry) {
  return fmt::format("{} {}", entry.part, entry.operation);
}

std::string bandwidth(const llm::ProfileEntry& entry) {
  if (entry.weight_bytes == 0 || entry.seconds <= 0) return "";
  return fmt::format("{:.1f} GB/s", static_cast<double>(entry.weight_bytes) / entry.seconds / 1e9);
}

// What has less than half a percent is summed up in one line.
std::vector<llm::ProfileEntry> visible(const llm::StepProfile& profile) {
  constexpr double least = 0.005;
  std::vector<llm::ProfileEntry> entries;
  llm::ProfileEntry rest{.part = "the", .operation = "rest"};
  rest.seconds = profile.step_seconds;
  for (const llm::ProfileEntry& entry : profile.entries) {
    if (share(profile, entry.seconds) < least) continue;
    entries.push_back(entry);
    rest.seconds -= entry.seconds;
  }
  if (share(profile, rest.seconds) >= least / 10) entries.push_back(rest);
  return entries;
}

double milliseconds_a_step(const llm::StepProfile& profile, double seconds) {
  return 1e3 * seconds / static_cast<double>(std::max<std::int64_t>(profile.n_steps, 1));
}

}  // namespace

std::string profile_chart(const ProfiledWork& work) {
  const llm::StepProfile& profile = work.profile;
  std::string text = fmt::format("{}: {} steps of {:.3f} ms\n", work.title, profile.n_steps,
                                 milliseconds_a_step(profile, profile.step_seconds));
  for (const llm::ProfileEntry& entry : visible(profile)) {
    const double part = share(profile, entry.seconds);
    std::string bar;
    for (long i = 0; i < std::lround(part * bar_width); ++i) bar += "█";
    const std::size_t padding = static_cast<std::size_t>(bar_width) - bar.size() / std::string_view("█").size();
    text += fmt::format("  {:<26} {:>5.1f} %  {}{} {:>9.3f} ms  {}\n", name_of(entry), 100 * part, bar,
                        std::string(padding, ' '), milliseconds_a_step(profile, entry.seconds), bandwidth(entry));
  }
  return text;
}

std::string profile_svg(const std::vector<ProfiledWork>& works) {
  std::string body;
  int y = 0;
  for (const ProfiledWork& work : works) {
    y += svg_line + svg_line / 2;
    body += fmt::format("<text x=\"8\" y=\"{}\" font-weight=\"bold\">{}: {} steps of {:.3f} ms</text>\n", y, work.title,
                        work.profile.n_steps, milliseconds_a_step(work.profile, work.profile.step_seconds));
    for (const llm::ProfileEntry& entry : visible(work.profile)) {
      y += svg_line;
      const double part = share(work.profile, entry.seconds);
      body += fmt::format(
          "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text>"
          "<rect x=\"{}\" y=\"{}\" width=\"{:.1f}\" height=\"{}\" fill=\"#4878a8\"/>"
          "<text x=\"{:.1f}\" y=\"{}\">{:.1f} % {}</text>\n",
          svg_left - 6, y, name_of(entry), svg_left, y - svg_line + 6, part * svg_bar, svg_line - 4,
          svg_left + part * svg_bar + 6, y, 100 * part, bandwidth(entry));
    }
  }
  return fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0}\" height=\"{1}\" viewBox=\"0 0 {0} {1}\" "
      "font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" "
      "fill=\"white\"/>\n{2}</svg>\n",
      svg_width, y + svg_line, body);
}

nlohmann::ordered_json profile_json(const llm::StepProfile& profile) {
  nlohmann::ordered_json entries = nlohmann::ordered_json::array();
  for (const llm::ProfileEntry& entry : profile.entries) {
    entries.push_back({{"part", entry.part},
                       {"operation", entry.operation},
                       {"seconds", entry.seconds},
                       {"percent", 100 * share(profile, entry.seconds)},
                       {"calls", entry.n_calls},
                       {"weight_bytes", entry.weight_bytes}});
  }
  return {{"steps", profile.n_steps}, {"seconds", profile.step_seconds}, {"operations", entries}};
}

}  // namespace llmgen
