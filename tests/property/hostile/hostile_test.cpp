#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fmt/format.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <llm/chat.hpp>
#include <llm/constraint.hpp>
#include <random>
#include <string>
#include <vector>

#include "sampling/constraint_state.h"
#include "sanitized.h"

// Templates, schemas, grammars and regular expressions that are made to explode, each in a process of its own whose
// processor time and memory are measured. Either what is asked for is refused by name, or it is bounded work.

namespace {

using llm::Constraint;
using llm::TokenId;
using llm::sampling::ConstraintState;
using llm::sampling::TokenMask;
using llm::sampling::TokenTable;
using llm::sampling::VocabularyIndex;

constexpr double time_factor = llm::test::is_sanitized ? 20 : 1;  // what the instrumentation costs
constexpr bool memory_is_measured = !llm::test::is_sanitized;
constexpr double max_seconds = 1;             // of the processor, for each operation
constexpr double max_bytes = 200e6;           // above what the process had
constexpr const char* accepted = "accepted";  // no error: fine where the work is bounded

std::string times(int n, const std::string& text) {
  std::string all;
  for (int i = 0; i < n; ++i) all += text;
  return all;
}

// times(n, "(" ) in pieces that carry their number.
std::string numbered(int n, const std::function<std::string(int)>& piece) {
  std::string all;
  for (int i = 0; i < n; ++i) all += piece(i);
  return all;
}

struct Attack {
  std::string name;
  std::function<void()> run;
  std::vector<std::string> expected;  // one of them is in the message
};

void PrintTo(const Attack& attack, std::ostream* out) {
  *out << attack.name;
}

void render(const std::string& source) {
  llm::ChatTemplate(source).render("[]", {});
}

// 40,000 tokens: all bytes, runs of letters and brackets, words.
const VocabularyIndex& vocabulary() {
  static const std::vector<std::string> words = [] {
    std::vector<std::string> all = {"<end>"};
    for (int b = 0; b < 256; ++b) all.emplace_back(1, static_cast<char>(b));
    for (const char c : {'a', 'b', ' ', '(', ')', '[', ']', '{', '}', '"', '0', '9', '\n'}) {
      for (std::size_t n = 2; n <= 64; ++n) all.emplace_back(n, c);
    }
    std::mt19937 random(7);
    while (all.size() < 40000) {
      std::string word;
      const std::size_t length = 2 + random() % 12;
      for (std::size_t i = 0; i < length; ++i) word += "abcdefgh\"{}[],: 0123456789"[random() % 26];
      all.push_back(word);
    }
    return all;
  }();
  static const std::vector<TokenId> ends = {0};
  static const TokenTable table(
      static_cast<std::int32_t>(words.size()),
      [](TokenId id) { return std::string_view(words[static_cast<std::size_t>(id)]); }, ends);
  static const VocabularyIndex index(table);
  return index;
}

double processor_seconds(const rusage& usage) {
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) * 1e-6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

double processor_seconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return processor_seconds(usage);
}

// Answers of a constraint: masks along a few random texts, the longest tokens preferred.
void answer(const Constraint& constraint) {
  const ConstraintState start(constraint, vocabulary());
  std::mt19937 random(11);
  for (int walk = 0; walk < 4; ++walk) {
    ConstraintState state = start;
    for (int step = 0; step < 60; ++step) {
      const std::shared_ptr<const TokenMask> mask = state.mask();
      std::vector<TokenId> allowed;
      for (TokenId id = 1; id < vocabulary().tokens.n_vocab(); ++id) {
        if (mask->test(id)) allowed.push_back(id);
      }
      if (allowed.empty()) break;
      const TokenId token = walk == 0 ? allowed.back() : allowed[random() % allowed.size()];
      if (!state.advance(token)) throw std::runtime_error("the mask allows what advance refuses");
      // Many masks are many operations: the process, which has compiled the constraint too, ends before its limit.
      if (processor_seconds() > max_seconds * 0.5) return;
    }
  }
}

Attack of_template(std::string name, std::string source, std::string expected) {
  return {"template_" + std::move(name), [source = std::move(source)] { render(source); }, {std::move(expected)}};
}
Attack of_regex(std::string name, std::string pattern, std::vector<std::string> expected) {
  return {"regex_" + std::move(name), [pattern = std::move(pattern)] { answer(Constraint::regex(pattern)); },
          std::move(expected)};
}
Attack of_grammar(std::string name, std::string text, std::vector<std::string> expected) {
  return {"grammar_" + std::move(name), [text = std::move(text)] { answer(Constraint::gbnf(text)); },
          std::move(expected)};
}
Attack of_schema(std::string name, std::string text, std::vector<std::string> expected) {
  return {"schema_" + std::move(name), [text = std::move(text)] { answer(Constraint::json_schema(text, {})); },
          std::move(expected)};
}

void add_templates(std::vector<Attack>& all) {
  const std::string loops = "{% for a in range(99999) %}{% for b in range(99999) %}";
  const std::string end_loops = "{% endfor %}{% endfor %}";
  const auto add = [&](const char* name, std::string source, const char* expected) {
    all.push_back(of_template(name, std::move(source), expected));
  };
  add("endless_loops", loops + end_loops, "steps");
  add("endless_output", loops + std::string(60, 'x') + end_loops, "16 MiB");
  add("recursive_macro", "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "too deep");
  add("macros_that_call_each_other",
      "{% macro a() %}{{ b() }}{{ b() }}{% endmacro %}{% macro b() %}{{ a() }}{{ a() }}{% endmacro %}{{ a() }}",
      "too deep");
  add("exponential_macros",
      "{% macro m0() %}x{% endmacro %}" +
          numbered(60,
                   [](int i) {
                     return fmt::format("{{% macro m{1}() %}}{{{{ m{0}() }}}}{{{{ m{0}() }}}}{{% endmacro %}}", i,
                                        i + 1);
                   }) +
          "{{ m60() }}",
      "more than");
  add("recursive_caller",
      "{% macro m() %}{% call m() %}{{ caller() }}{% endcall %}{% endmacro %}{% call m() %}x{% endcall %}", "too deep");
  add("recursive_loop", "{% set l = [] %}{{ l.append(l) }}{% for x in l recursive %}{{ loop(x) }}{% endfor %}",
      "too deep");
  add("strings_doubled", "{% set n = namespace(s='x') %}{% for i in range(99) %}{% set n.s = n.s ~ n.s %}{% endfor %}",
      "16 MiB");
  add("lists_doubled", "{% set n = namespace(s=[1]) %}{% for i in range(99) %}{% set n.s = n.s + n.s %}{% endfor %}",
      "more than");
  add("strings_multiplied", "{{ 'x' * 10 ** 12 }}", "16 MiB");
  add("lists_multiplied", "{{ [1] * 10 ** 12 }}", "too long");
  add("many_strings_kept", "{% set l = [] %}{% for i in range(99999) %}{{ l.append('x' * 99999) or '' }}{% endfor %}",
      "more than");
  add("huge_range", "{{ range(10 ** 12) | list }}", "range too big");
  add("huge_range_in_loop", "{% for i in range(10 ** 12) %}{% endfor %}", "range too big");
  add("huge_power", "{{ 9 ** (10 ** 9) }}", "4300 digits");
  add("huge_factorial", "{% set n = namespace(x=1) %}{% for i in range(1, 99999) %}{% set n.x = n.x * i %}{% endfor %}",
      "4300 digits");
  add("huge_width", "{{ '%999999999d' % 1 }}{{ '{:>999999999}'.format(1) }}", "16 MiB");
  add("huge_padding", "{{ 'x'.ljust(10 ** 11) }}", "16 MiB");
  add("huge_tabs", "{{ ('\\t' * 9999).expandtabs(999999) }}", "16 MiB");
  add("growing_replace",
      "{% set n = namespace(s='aa') %}{% for i in range(99) %}{% set n.s = n.s | replace('a', 'aaa') %}{% endfor %}",
      "more than");
  add("quadratic_search", "{% set s = 'a' * 999999 %}{% for i in range(9999) %}{{ (s ~ 'b') in s }}{% endfor %}",
      "more than");
  add("sorting_again",
      "{% set l = range(99999) | list %}{% for i in range(9999) %}{% set x = l | sort(reverse=true) %}{% endfor %}",
      "more than");
  add("joining_again",
      "{% set l = ['x' * 9999] * 999 %}{% for i in range(999) %}{% set x = l | join(',') %}{% endfor %}", "more than");
  add("json_again",
      "{% set d = {'a': range(9999) | list} %}{% for i in range(9999) %}{% set x = d | tojson %}{% endfor %}",
      "more than");
  add("json_of_shared_lists",
      "{% set n = namespace(l=[1]) %}{% for i in range(60) %}{% set n.l = [n.l, n.l] %}{% endfor %}{{ n.l | tojson }}",
      "more than");
  add("equal_shared_lists",
      "{% set n = namespace(l=[1], m=[1]) %}{% for i in range(60) %}{% set n.l = [n.l, n.l] %}{% set n.m = [n.m, n.m] "
      "%}"
      "{% endfor %}{{ n.l == n.m }}",
      "more than");
  add("circle", "{% set l = [] %}{{ l.append(l) }}{{ l }}", "too deep");
  add("deep_list", "{% set n = namespace(l=[]) %}{% for i in range(50000) %}{% set n.l = [n.l] %}{% endfor %}{{ n.l }}",
      "too deep");
  add("parentheses", "{{ " + std::string(100000, '('), "nests deeper");
  add("brackets", "{{ " + std::string(100000, '['), "nests deeper");
  add("nots", "{{ " + times(100000, "not ") + "1 }}", "nests deeper");
  add("blocks", times(100000, "{% if 1 %}"), "nests deeper");
  add("filters", "{{ a" + times(100000, "|upper") + " }}", "nests deeper");
  add("attributes", "{{ a" + times(100000, ".a") + " }}", "nests deeper");
  add("elifs", "{% if 0 %}" + times(100000, "{% elif 0 %}") + "{% endif %}{{ 'x' * 10 ** 12 }}", "16 MiB");
  add("tags_that_do_not_end", times(500000, "{%- "), "tag name");
  add("comments_that_do_not_end", times(1000000, "{#"), "missing end of comment");
}

void add_regexes(std::vector<Attack>& all) {
  const auto add = [&](const char* name, std::string pattern, std::vector<std::string> expected) {
    all.push_back(of_regex(name, std::move(pattern), std::move(expected)));
  };
  const std::vector<std::string> bounded = {"more than", "longer than", "ways to read", accepted};
  add("nested_stars", "(((a*)*)*)*b", {accepted});
  add("nested_plus", times(90, "(") + "a" + times(90, "+)") + "+", {accepted});
  add("alternatives_alike", "(a|a|a|aa|aaa)*b", {accepted});
  add("nested_quantifiers", "((a+b?)+c?)+d", {accepted});
  std::string nested = "a?";
  for (int i = 0; i < 90; ++i) nested = "(" + nested + "b?)*";
  add("ninety_stars", nested, {"more than", "longer than"});
  add("counted_a_million_times", "a{1,1000000}", {accepted});
  add("counted_in_counted", "((a{1,1000000}){1,1000000}){1,1000000}b", bounded);
  add("counted_alternatives", "((a|aa){1,100}){1,100}b", bounded);
  add("counted_optional", "(a?){1000000}b", bounded);
  add("counted_any", "(.{0,1000}){0,1000}x", bounded);
  add("count_in_the_middle", ".*a.{1000000}b", bounded);
  add("above_the_count", "a{1,99999999}", {"above 1000000"});
  add("deep", times(100000, "(") + times(100000, ")"), {"deeper than 100"});
  add("long", std::string((1 << 20) + 1, 'a'), {"at most 1048576"});
  add("wide", times(120000, "abcdefg|") + "x", bounded);
  add("many_classes", times(20000, "[\\p{L}\\p{N}]?") + "!", bounded);
  add("many_properties", times(9000, "\\p{L}\\P{L}?"), bounded);
  add("many_stars", times(50000, "a*") + "b", bounded);
  add("many_optional", times(100000, "a?") + "b", bounded);
  add("product_of_counts", "(" + times(100, "(a{0,100}|b{0,100})") + "){0,100}", bounded);
}

void add_grammars(std::vector<Attack>& all) {
  const auto add = [&](const char* name, std::string text, std::vector<std::string> expected) {
    all.push_back(of_grammar(name, std::move(text), std::move(expected)));
  };
  const std::vector<std::string> bounded = {"more than", "longer than", "ways to read", "words of", accepted};
  const auto chain = [](int n, const char* rule, const char* last) {
    return "root ::= r0\n" + numbered(n, [&](int i) { return fmt::format(fmt::runtime(rule), i, i + 1); }) +
           fmt::format("r{} ::= {}\n", n, last);
  };
  add("left_recursive", "root ::= root \"a\" | \"b\"", {"left-recursive"});
  add("left_recursive_at_a_distance", chain(500, "r{0} ::= \"\" r{1}\n", "r0 | \"x\""), {"left-recursive"});
  add("left_recursive_behind_nothing", "root ::= x root \"a\" | \"b\"\nx ::= \"c\"*", {"left-recursive"});
  add("doubling_rules", chain(40, "r{0} ::= r{1} r{1}\n", "\"a\""), bounded);
  add("doubling_empty_rules", chain(40, "r{0} ::= r{1} r{1} | \"\"\n", "\"a\" | \"\""), bounded);
  add("doubling_alternatives", chain(40, "r{0} ::= r{1} | r{1} \"b\"\n", "\"a\""), bounded);
  add("doubling_twenty_thousand_rules", chain(20000, "r{0} ::= r{1} r{1}\n", "\"a\""), bounded);
  add("ambiguous_stacks", "root ::= s \"b\"\ns ::= \"a\" s | \"a\" s \"c\" | \"a\"", bounded);
  add("ambiguous_sums", "root ::= \"a\" root root | \"a\"", bounded);
  add("ambiguous_three_ways", "root ::= \"a\" root \"a\" | \"a\" root \"a\" \"a\" | \"a\" \"a\" root | \"a\"", bounded);
  add("palindromes", "root ::= [ab] root [ab] | [ab]", bounded);
  add("empty_repeated", "root ::= (\"\" | (\"\" | \"a\"*)*)* \"b\"", bounded);
  add("counted_rules", "root ::= (x{1,1000}){1,1000} \"b\"\nx ::= \"a\"{0,1000} | \"aa\"", bounded);
  add("above_the_count", "root ::= \"a\"{1,99999999}", {"above 1000000"});
  add("deep", "root ::= " + times(100000, "(") + "\"a\"", {"deeper than 100"});
  add("stars_of_stars", "root ::= \"a\"" + times(100000, "*"), {"quantifiers"});
  add("endless", "root ::= \"a\" root", {"no finite text"});
  add("fifty_thousand_rules",
      "root ::= r1\n" +
          numbered(50000, [](int i) { return fmt::format("r{} ::= \"x\" r{}?\n", i, (i * 7919) % 50000); }),
      bounded);
  add("long_literal", "root ::= \"" + std::string(1 << 20, 'a') + "\"", {"at most 1048576"});
  add("deep_answers", "root ::= \"(\" root \")\" | \"[\" root \"]\" | \"a\"", bounded);
}

void add_schemas(std::vector<Attack>& all) {
  const auto add = [&](const char* name, std::string text, std::vector<std::string> expected) {
    all.push_back(of_schema(name, std::move(text), std::move(expected)));
  };
  const std::vector<std::string> bounded = {"more than",          "longer than",     "ways to read",
                                            "no value satisfies", "too many digits", accepted};
  const auto list = [](int n, const std::function<std::string(int)>& piece) {
    return numbered(n, [&](int i) { return (i > 0 ? "," : "") + piece(i); });
  };
  add("deep_json", times(100000, "[") + times(100000, "]"), {"nested deeper than 100"});
  add("deep_items", times(50000, "{\"items\":") + "1" + times(50000, "}"), {"nested deeper than 100"});
  add("choices_of_choices",
      "{\"allOf\":[" +
          list(30, [](int i) { return fmt::format(R"({{"anyOf":[{{"minLength":{0}}},{{"minimum":{0}}}]}})", i); }) +
          "]}",
      {"more than 512 alternatives"});
  add("tree_of_choices",
      [&] {
        std::string s = "{\"const\":1}";
        for (int i = 0; i < 16; ++i) s = "{\"anyOf\":[" + s + "," + s + "]}";
        return s;
      }(),
      {"more than", "at most", "nested deeper"});
  add("references_that_double",
      "{\"$ref\":\"#/$defs/d0\",\"$defs\":{" +
          list(
              60,
              [](int i) {
                return fmt::format(
                    R"("d{0}":{{"anyOf":[{{"$ref":"#/$defs/d{1}"}},{{"type":"array","items":{{"$ref":"#/$defs/d{1}"}}}}]}})",
                    i, i + 1);
              }) +
          ",\"d60\":{\"type\":\"null\"}}}",
      bounded);
  add("references_in_all_of",
      "{\"$ref\":\"#/$defs/d0\",\"$defs\":{" +
          list(40,
               [](int i) {
                 return fmt::format(R"("d{0}":{{"allOf":[{{"$ref":"#/$defs/d{1}"}},{{"$ref":"#/$defs/d{1}"}}]}})", i,
                                    i + 1);
               }) +
          ",\"d40\":{\"type\":\"null\"}}}",
      bounded);
  add("reference_to_itself", R"({"$ref":"#"})", {"#"});
  add("references_in_a_circle", R"({"$ref":"#/$defs/a","$defs":{"a":{"$ref":"#/$defs/b"},"b":{"$ref":"#/$defs/a"}}})",
      {"circle"});
  add("reference_within_all_of", R"({"allOf":[{"$ref":"#"}]})", {"#"});
  add("endless_items", R"({"type":"array","minItems":1,"items":{"$ref":"#"}})",
      {"no value satisfies", "no finite text"});
  add("endless_properties", R"({"type":"object","required":["a"],"properties":{"a":{"$ref":"#"}}})",
      {"no value satisfies", "no finite text"});
  add("recursion_three_ways",
      R"({"anyOf":[{"type":"array","items":{"$ref":"#"}},{"type":"array","items":{"anyOf":[{"$ref":"#"},{"type":"number"}]}},{"type":"array","prefixItems":[{"$ref":"#"},{"$ref":"#"}]}]})",
      bounded);
  add("many_properties",
      "{\"type\":\"object\",\"properties\":{" +
          list(5000, [](int i) { return fmt::format("\"p{}\":{{\"type\":\"integer\"}}", i); }) + "}}",
      bounded);
  add("many_required",
      "{\"type\":\"object\",\"required\":[" + list(3000, [](int i) { return fmt::format("\"p{}\"", i); }) + "]}",
      bounded);
  add("many_patterns",
      "{\"type\":\"object\",\"patternProperties\":{" +
          list(30, [](int i) { return fmt::format("\"^.{{0,{}}}a.*b\":{{\"minimum\":{}}}", i, i); }) + "}}",
      bounded);
  add("exponential_pattern", R"({"type":"string","pattern":"^(a|b)*a(a|b){30}$"})", {"more than", "longer than"});
  add("counted_pattern", R"({"type":"string","pattern":"(a{1000}){1000}"})", {"more than"});
  add("pattern_with_length", R"({"type":"string","pattern":"^([a-z]+ ?)*$","minLength":900000,"maxLength":1000000})",
      bounded);
  add("two_patterns",
      R"({"type":"string","allOf":[{"pattern":"^(a|b)*a(a|b){9}$"},{"pattern":"^(a|b)*b(a|b){11}$"},{"pattern":"^(ab|ba)*$"}]})",
      bounded);
  add("longest_string", R"({"type":"string","minLength":1000000000,"maxLength":2000000000})", bounded);
  add("longest_array", R"({"type":"array","minItems":1000000000,"items":{"type":"array","minItems":1000000000}})",
      bounded);
  add("numbers_far_away", R"({"type":"number","minimum":1e300,"maximum":1e308,"multipleOf":1e-300})",
      {"multipleOf", "more than", "no value satisfies", "digits", "1e"});
  add("many_digits", "{\"type\":\"integer\",\"minimum\":1" + std::string(100000, '0') + "}",
      {"digits", "no value satisfies", "1e", "expected", "number", "not JSON"});
  add("many_multiples",
      R"({"type":"integer","allOf":[{"multipleOf":99991},{"multipleOf":99989},{"multipleOf":99971},{"multipleOf":99961}]})",
      bounded);
  add("many_values", "{\"enum\":[" + list(100000, [](int i) { return fmt::format("\"value {}\"", i); }) + "]}",
      {"at most", accepted});
  add("long", "{\"description\":\"" + std::string(2 << 20, 'x') + "\"}", {"at most"});
  add("one_of_everything",
      "{\"oneOf\":[" + list(400, [](int i) { return fmt::format("{{\"minimum\":{}}}", i); }) + "]}",
      {"oneOf", "more than", "longer"});
  add("not_of_not", times(40, "{\"not\":") + "{}" + times(40, "}"), {"not", accepted});
}

std::vector<Attack> attacks() {
  std::vector<Attack> all;
  add_templates(all);
  add_regexes(all);
  add_grammars(all);
  add_schemas(all);
  return all;
}

struct Outcome {
  std::string message;  // of the error, or `accepted`
  double seconds = 0, bytes = 0;
  bool crashed = false;
};

double resident_bytes(const rusage& usage) {
  return static_cast<double>(usage.ru_maxrss) * 1024;
}

Outcome measured(const Attack& attack) {
  vocabulary();  // in the parent: no part of the attack
  std::fflush(stdout);
  std::array<int, 2> ends{};
  if (pipe(ends.data()) != 0) throw std::runtime_error("no pipe");
  const pid_t child = fork();
  if (child == 0) {
    rusage before{};
    getrusage(RUSAGE_SELF, &before);
    std::string message = accepted;
    try {
      attack.run();
    } catch (const llm::Error& error) {
      message = error.message();
    } catch (const std::exception& error) {
      message = std::string("no error of the library: ") + error.what();
    }
    message = message.substr(0, 500);
    const double resident = resident_bytes(before);
    const std::string report = fmt::format("{}\n{}", resident, message);
    const auto written = write(ends[1], report.data(), report.size());
    _exit(written == static_cast<ssize_t>(report.size()) ? 0 : 1);
  }
  close(ends[1]);
  std::string report;
  std::array<char, 4096> buffer{};
  for (ssize_t n = 0; (n = read(ends[0], buffer.data(), buffer.size())) > 0;)
    report.append(buffer.data(), static_cast<std::size_t>(n));
  close(ends[0]);
  int status = 0;
  rusage usage{};
  wait4(child, &status, 0, &usage);
  Outcome outcome;
  outcome.crashed = !WIFEXITED(status) || WEXITSTATUS(status) != 0;
  outcome.seconds = processor_seconds(usage);
  const std::size_t line = report.find('\n');
  if (line == std::string::npos) {
    outcome.crashed = true;
    return outcome;
  }
  outcome.bytes = resident_bytes(usage) - std::stod(report.substr(0, line));
  outcome.message = report.substr(line + 1);
  return outcome;
}

class Hostile : public testing::TestWithParam<Attack> {};

TEST_P(Hostile, IsRefusedByNameOrBounded) {
  const Attack& attack = GetParam();
  const Outcome outcome = measured(attack);
  ASSERT_FALSE(outcome.crashed) << outcome.message;
  bool named = false;
  for (const std::string& part : attack.expected) named = named || outcome.message.find(part) != std::string::npos;
  // Instrumented code may use up its time before it reaches the limit that stops it otherwise.
  if (llm::test::is_sanitized) named = named || outcome.message.ends_with(" ms");
  EXPECT_TRUE(named) << outcome.message;
  EXPECT_EQ(outcome.message.find('\n'), std::string::npos) << outcome.message;
  EXPECT_LT(outcome.seconds, max_seconds * time_factor) << outcome.message;
  if (memory_is_measured) {
    EXPECT_LT(outcome.bytes, max_bytes) << outcome.message;
  }
  RecordProperty("seconds", fmt::format("{:.3f}", outcome.seconds));
  RecordProperty("megabytes", fmt::format("{:.0f}", outcome.bytes / 1e6));
  if (std::getenv("LLM_TEST_VERBOSE") != nullptr) {
    fmt::print("{:45} {:6.3f} s {:5.0f} MB  {}\n", attack.name, outcome.seconds, outcome.bytes / 1e6,
               outcome.message.substr(0, 110));
  }
}

INSTANTIATE_TEST_SUITE_P(All, Hostile, testing::ValuesIn(attacks()), [](const auto& one) { return one.param.name; });

}  // namespace
