#include "sampling/constraint/formats.h"

#include <map>

namespace llm::sampling {
namespace {

using Pattern = std::string;  // a regular expression made of parts

Pattern any_of(std::initializer_list<Pattern> alternatives) {
  Pattern out = "(?:";
  for (const Pattern& a : alternatives) out += (out.size() == 3 ? "" : "|") + a;
  return out + ")";
}

// RFC 3339, section 5.6; days as the months have them, leap years included, without leap seconds and the year 0.
Pattern date() {
  const Pattern year = any_of({"[1-9][0-9]{3}", "0[1-9][0-9]{2}", "00[1-9][0-9]", "000[1-9]"});
  const Pattern day = any_of({"(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])", "(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)",
                              "02-(?:0[1-9]|1[0-9]|2[0-8])"});
  const Pattern fourth = any_of({"0[48]", "[2468][048]", "[13579][26]"});
  const Pattern leap = any_of({"[0-9]{2}" + fourth, fourth + "00"});
  return any_of({year + "-" + day, leap + "-02-29"});
}

Pattern time() {
  return "(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\\.[0-9]{1,9})?(?:[Zz]|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])";
}

// ISO 8601 as in RFC 3339, appendix A.
Pattern duration() {
  const Pattern clock = "T" + any_of({"[0-9]+H(?:[0-9]+M(?:[0-9]+S)?)?", "[0-9]+M(?:[0-9]+S)?", "[0-9]+S"});
  const Pattern calendar = any_of({"[0-9]+Y(?:[0-9]+M(?:[0-9]+D)?)?", "[0-9]+M(?:[0-9]+D)?", "[0-9]+D"});
  return "P" + any_of({"[0-9]+W", calendar + "(?:" + clock + ")?", clock});
}

// RFC 2673, section 3.2.
Pattern ipv4() {
  const Pattern octet = any_of({"25[0-5]", "2[0-4][0-9]", "1[0-9]{2}", "[1-9]?[0-9]"});
  return octet + "(?:\\." + octet + "){3}";
}

// RFC 4291, section 2.2.
Pattern ipv6() {
  const Pattern h = "[0-9A-Fa-f]{1,4}", group = "(?:" + h + ":)";
  const Pattern last = any_of({h + ":" + h, ipv4()});
  const auto head = [&](int n) { return "(?:" + group + "{0," + std::to_string(n).c_str() + "}" + h + ")?::"; };
  return any_of({group + "{6}" + last, "::" + group + "{5}" + last, head(0) + group + "{4}" + last,
                 head(1) + group + "{3}" + last, head(2) + group + "{2}" + last, head(3) + group + last, head(4) + last,
                 head(5) + h, head(6)});
}

// RFC 1123, section 2.1, without the limit on the whole name.
Pattern hostname() {
  const Pattern label = "[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?";
  return label + "(?:\\." + label + ")*";
}

// RFC 5321, section 4.1.2, without quoted parts and address literals.
Pattern email() {
  const Pattern atom = "[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+";
  return atom + "(?:\\." + atom + ")*@" + hostname();
}

// RFC 3986, appendix A.
Pattern uri(bool reference) {
  const Pattern escaped = "%[0-9A-Fa-f]{2}", plain = "A-Za-z0-9._~!$&'()*+,;=-";
  const Pattern pchar = any_of({"[:@" + plain + "]", escaped});
  const Pattern segments = "(?:/" + pchar + "*)*";
  const Pattern host = any_of({any_of({"[" + plain + "]", escaped}) + "*", "\\[" + ipv6() + "\\]"});
  const Pattern authority = "//(?:" + any_of({"[:" + plain + "]", escaped}) + "*@)?" + host + "(?::[0-9]*)?" + segments;
  const Pattern rooted = "/(?:" + pchar + "+" + segments + ")?";
  const Pattern absolute = "[A-Za-z][A-Za-z0-9+.-]*:" + any_of({authority, rooted, pchar + "+" + segments, ""});
  const Pattern tail = any_of({"[/?]", pchar}) + "*";
  const Pattern end = "(?:\\?" + tail + ")?(?:#" + tail + ")?";
  if (!reference) return absolute + end;
  const Pattern first = any_of({"[@" + plain + "]", escaped}) + "+";
  return any_of({absolute, authority, rooted, first + segments, ""}) + end;
}

Pattern uuid() {
  const Pattern h = "[0-9A-Fa-f]";
  return h + "{8}-" + h + "{4}-" + h + "{4}-" + h + "{4}-" + h + "{12}";
}

}  // namespace

std::optional<std::string> format_pattern(std::string_view format) {
  static const std::map<std::string_view, Pattern> patterns = {
      {"date", date()},
      {"time", time()},
      {"date-time", date() + "[Tt]" + time()},
      {"duration", duration()},
      {"email", email()},
      {"hostname", hostname()},
      {"ipv4", ipv4()},
      {"ipv6", ipv6()},
      {"uri", uri(false)},
      {"uri-reference", uri(true)},
      {"uuid", uuid()},
      {"json-pointer", "(?:/(?:[^~/]|~[01])*)*"},
  };
  const auto found = patterns.find(format);
  if (found == patterns.end()) return std::nullopt;
  return found->second;
}

}  // namespace llm::sampling
