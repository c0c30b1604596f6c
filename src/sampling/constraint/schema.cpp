#include "sampling/constraint/schema.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "sampling/constraint/schema_shape.h"

namespace llm::sampling {
namespace {

constexpr std::size_t max_rules = 20'000;  // different conjunctions of schemas
constexpr std::size_t max_live_bits = 20'000'000;

// Rows of StringSpec::live, from the longest text to the empty one.
void make_live_table(StringSpec& spec, Budget& budget, const std::string& where) {
  if (spec.any || spec.dfa.empty() || (spec.min_length == 0 && spec.max_length == unlimited)) return;
  const bool bounded = spec.max_length != unlimited;
  const std::size_t n_rows = static_cast<std::size_t>(bounded ? spec.max_length : spec.min_length) + 1;
  const std::size_t n_states = spec.dfa.states.size();
  if (n_rows > max_live_bits / n_states) {
    throw Error(ErrorCode::usage, fmt::format("json schema: {}: a pattern of {} states together with a length of {}",
                                              where, n_states, n_rows - 1));
  }
  spec.live.assign(n_rows, {});
  for (std::size_t row = n_rows; row-- > 0;) {
    std::vector<bool>& live = spec.live[row];
    live.assign(n_states, !bounded && row + 1 == n_rows);
    budget.spend(4 * n_states, "json schema");
    // The first byte of a character moves to the next row, others stay: at most three of them follow.
    for (int pass = 0; pass < 4; ++pass) {
      for (std::size_t s = 0; s < n_states; ++s) {
        if (live[s]) continue;
        bool found = row >= spec.min_length && spec.dfa.accepts(static_cast<std::uint32_t>(s));
        for (const Dfa::Edge& e : spec.dfa.states[s].edges) {
          const bool continues = e.high >= 0x80 && e.low <= 0xbf;
          const bool begins = e.low < 0x80 || e.high > 0xbf;
          found = found || (continues && live[e.target]);
          found = found || (begins && row + 1 < n_rows && spec.live[row + 1][e.target]);
        }
        live[s] = found;
      }
    }
  }
}

class SchemaCompiler {
 public:
  SchemaCompiler(std::string_view text, bool lax) : document_(text), lax_(lax) {}

  Program compile() {
    program_.add({.op = Op::ret});
    const std::uint32_t root = rule({&document_.root()});
    while (n_built_ < rules_.size()) build(static_cast<std::uint32_t>(n_built_++));
    find_productive();
    if (!rules_[root].productive) document_.refuse(document_.root(), "no value satisfies it");
    connect();
    program_.start = rules_[root].entry;
    return std::move(program_);
  }

 private:
  // An alternative of a rule; those of objects and arrays refer to other rules.
  struct Alternative {
    Op op = Op::dfa;
    std::uint32_t pc = 0;
    std::uint32_t spec = 0;                    // index in program_.objects or program_.arrays
    std::vector<std::uint32_t> children = {};  // rules: of the key classes, or of the items and then of the rest
  };
  // What a conjunction of schemas allows.
  struct Rule {
    Conjunction schemas;
    std::uint32_t entry = 0;  // a choice
    std::vector<Alternative> alternatives = {};
    bool productive = false;  // has a finite value
  };

  std::string path(const Conjunction& schemas) const {
    return schemas.empty() ? "#" : document_.path(*schemas.front());
  }

  std::uint32_t rule(const Conjunction& schemas) {
    const auto [found, added] = names_.try_emplace(schemas, static_cast<std::uint32_t>(rules_.size()));
    if (added) {
      if (rules_.size() >= max_rules) {
        throw Error(ErrorCode::usage,
                    fmt::format("json schema: {}: more than {} schemas together", path(schemas), max_rules));
      }
      Rule& r = rules_.emplace_back();
      r.schemas = schemas;
      r.entry = program_.add_choice({});
    }
    return found->second;
  }

  void add_machine(Rule& r, Op op, std::size_t index) {
    const auto arg = static_cast<std::uint32_t>(index);
    r.alternatives.push_back({.op = op, .pc = program_.add({.op = op, .next = 0, .arg = arg}), .spec = arg});
  }

  void build(std::uint32_t index) {
    const Conjunction schemas = rules_[index].schemas;
    Rule built;
    built.schemas = schemas;
    std::vector<const Json*> values;
    for (const Shape& shape : expand(document_, schemas, lax_)) {
      if (shape.values) {
        for (const Json* v : *shape.values) {
          const bool known = std::any_of(values.begin(), values.end(), [&](const Json* w) { return *v == *w; });
          if (!known) values.push_back(v);
        }
        continue;
      }
      std::vector<std::string> words;
      if ((shape.types & type_null) != 0) words.push_back("null");
      if ((shape.types & type_boolean) != 0) words.insert(words.end(), {"true", "false"});
      add_words(built, words);
      if ((shape.types & type_number) != 0) add_number(built, shape);
      if ((shape.types & type_string) != 0) add_string(built, shape);
      if ((shape.types & type_array) != 0) add_array(built, shape);
      if ((shape.types & type_object) != 0) add_object(built, shape);
    }
    add_values(built, values);
    rules_[index].alternatives = std::move(built.alternatives);
  }

  // Texts that stand in the answer as they are.
  void add_words(Rule& r, const std::vector<std::string>& words) {
    if (words.empty()) return;
    const auto [found, added] = words_.try_emplace(words, static_cast<std::uint32_t>(program_.dfas.size()));
    if (added) {
      DfaBuilder builder(document_.budget(), "json schema: values");
      for (const std::string& word : words) builder.add_literal(word, 0);
      program_.dfas.push_back(builder.build());
    }
    add_machine(r, Op::dfa, found->second);
  }

  // The values of an enum.
  void add_values(Rule& r, const std::vector<const Json*>& values) {
    std::vector<std::string> words;
    StringSpec texts;
    texts.any = false;
    DfaBuilder builder(document_.budget(), "json schema: values");
    bool any_text = false;
    for (const Json* v : values) {
      if (v->is_string()) {
        builder.add_literal(v->get_ref<const std::string&>(), 0);
        any_text = true;
      } else if (v->is_array()) {
        Json items = Json::array();
        for (const Json& item : *v) items.push_back({{"const", item}});
        add_synthetic(r, *v,
                      {{"type", "array"}, {"prefixItems", items}, {"minItems", v->size()}, {"maxItems", v->size()}});
      } else if (v->is_object()) {
        Json properties = Json::object(), required = Json::array();
        for (const auto& [name, item] : v->items()) {
          properties[name] = {{"const", item}};
          required.push_back(name);
        }
        add_synthetic(
            r, *v,
            {{"type", "object"}, {"properties", properties}, {"required", required}, {"additionalProperties", false}});
      } else {
        words.push_back(v->dump());
        if (!v->is_number()) continue;
        words.push_back(number_text(*v));
        // Other spellings of a whole number; with a point where double precision has it exactly.
        const Decimal number = Decimal::parse(words.back()).value_or(Decimal());
        if (!number.integer() || number.exponent() > static_cast<std::int64_t>(NumberSpec::max_integer_digits))
          continue;
        std::string whole = number.negative() ? "-" : "";
        whole += number.zero() ? "0" : number.digits();
        whole.append(static_cast<std::size_t>(number.exponent()), '0');
        words.push_back(whole);
        constexpr double exact = 9007199254740992;  // 2^53
        if (std::abs(v->get<double>()) <= exact) words.push_back(whole + ".0");
        if (number.zero()) words.insert(words.end(), {"-0", "-0.0"});
      }
    }
    add_words(r, words);
    if (!any_text) return;
    texts.dfa = builder.build();
    program_.strings.push_back(std::move(texts));
    add_machine(r, Op::string, program_.strings.size() - 1);
  }

  void add_synthetic(Rule& r, const Json& origin, Json schema) {
    const Json& kept = document_.keep(std::move(schema), origin);
    for (const Shape& shape : expand(document_, {&kept}, lax_)) {
      if ((shape.types & type_array) != 0) add_array(r, shape);
      if ((shape.types & type_object) != 0) add_object(r, shape);
    }
  }

  void add_number(Rule& r, const Shape& shape) {
    if (!shape.number.satisfiable()) return;
    program_.numbers.push_back(shape.number);
    add_machine(r, Op::number, program_.numbers.size() - 1);
  }

  void add_string(Rule& r, const Shape& shape) {
    if (shape.min_length > shape.max_length) return;
    StringSpec spec;
    spec.min_length = static_cast<std::uint32_t>(shape.min_length);
    spec.max_length = static_cast<std::uint32_t>(shape.max_length);
    const std::string where = path(r.schemas);
    for (const Dfa* pattern : shape.patterns) {
      spec.dfa = spec.any ? *pattern : intersect(spec.dfa, *pattern, document_.budget(), "json schema: " + where);
      spec.any = false;
      if (spec.dfa.empty()) return;
    }
    make_live_table(spec, document_.budget(), where);
    if (!spec.alive(0, 0)) return;
    program_.strings.push_back(std::move(spec));
    add_machine(r, Op::string, program_.strings.size() - 1);
  }

  void add_array(Rule& r, const Shape& shape) {
    ArraySpec spec;
    spec.min_items = static_cast<std::uint32_t>(shape.min_items);
    spec.max_items = static_cast<std::uint32_t>(shape.max_items);
    std::size_t n_prefix = 0;
    for (const ArrayPart& part : shape.arrays) {
      if (part.prefix != nullptr) n_prefix = std::max(n_prefix, part.prefix->size());
    }
    std::vector<std::uint32_t> children;
    for (std::size_t i = 0; i <= n_prefix; ++i) children.push_back(rule(schemas_of_item(shape, i)));
    spec.prefix.resize(n_prefix);
    program_.arrays.push_back(std::move(spec));
    add_machine(r, Op::array, program_.arrays.size() - 1);
    r.alternatives.back().children = std::move(children);
  }

  void add_object(Rule& r, const Shape& shape) {
    std::set<std::string> names = shape.required;
    std::vector<std::pair<std::string, const Json*>> patterns;
    for (const ObjectPart& part : shape.objects) {
      if (part.properties != nullptr) {
        for (const auto& [name, schema] : part.properties->items()) names.insert(name);
      }
      if (part.patterns != nullptr) {
        for (const auto& [pattern, schema] : part.patterns->items()) patterns.emplace_back(pattern, &schema);
      }
    }
    const std::string what = "json schema: " + path(r.schemas);
    const auto n_literals = static_cast<std::uint32_t>(names.size());
    const auto n_patterns = static_cast<std::uint32_t>(patterns.size());
    ObjectSpec spec;
    spec.n_literals = n_literals;
    std::vector<std::uint32_t> children;
    // Tags: the literals, the patterns, everything.
    DfaBuilder builder(document_.budget(), what);
    std::uint32_t tag = 0;
    for (const std::string& name : names) {
      builder.add_literal(name, tag++);
      children.push_back(rule(schemas_of_name(document_, shape, name)));
      spec.required.push_back(shape.required.contains(name));
      spec.n_required += spec.required.back() ? 1 : 0;
    }
    for (const auto& [pattern, schema] : patterns) builder.add(parse_regex(pattern), tag++, true);
    const bool closed =
        n_patterns == 0 && std::any_of(shape.objects.begin(), shape.objects.end(), [](const auto& part) {
          return part.additional != nullptr && *part.additional == false;
        });
    if (!closed) builder.add_everything(tag);
    spec.keys.any = false;
    spec.keys.dfa = builder.build();

    std::map<std::vector<std::uint32_t>, std::uint32_t> classes;  // of keys that are no literals, by their tags
    for (const Dfa::State& state : spec.keys.dfa.states) {
      if (state.tags.empty()) {
        spec.class_of.push_back(no_target);
      } else if (state.tags.front() < n_literals) {
        spec.class_of.push_back(state.tags.front());
      } else {
        const auto [found, added] = classes.try_emplace(state.tags, static_cast<std::uint32_t>(children.size()));
        if (added) children.push_back(rule(schemas_of_tags(shape, state.tags, n_literals)));
        spec.class_of.push_back(found->second);
      }
    }
    find_reachable_classes(spec, children.size());
    spec.min_properties = static_cast<std::uint32_t>(shape.min_properties);
    spec.max_properties = static_cast<std::uint32_t>(shape.max_properties);
    constexpr std::uint32_t max_remembered = 16;
    if (spec.min_properties > 1 && !classes.empty()) spec.n_remembered = std::min(spec.min_properties, max_remembered);
    program_.objects.push_back(std::move(spec));
    add_machine(r, Op::object, program_.objects.size() - 1);
    r.alternatives.back().children = std::move(children);
  }

  // Schemas of a value whose key is no literal name and matches the patterns with these tags.
  static Conjunction schemas_of_tags(const Shape& shape, const std::vector<std::uint32_t>& tags,
                                     std::uint32_t first_pattern) {
    Conjunction all;
    std::uint32_t tag = first_pattern;
    for (const ObjectPart& part : shape.objects) {
      bool known = false;
      if (part.patterns != nullptr) {
        for (const auto& [pattern, schema] : part.patterns->items()) {
          if (!std::binary_search(tags.begin(), tags.end(), tag++)) continue;
          known = true;
          add_to(all, &schema);
        }
      }
      if (!known && part.additional != nullptr) add_to(all, part.additional);
    }
    return all;
  }

  void find_reachable_classes(ObjectSpec& spec, std::size_t n_classes) {
    const std::size_t n_states = spec.keys.dfa.states.size(), n_words = (n_classes + 63) / 64;
    spec.reaches.assign(n_states, std::vector<std::uint64_t>(n_words));
    for (bool changed = true; changed;) {
      changed = false;
      // States are numbered as they are found, so most edges lead to higher ones.
      for (std::size_t s = n_states; s-- > 0;) {
        std::vector<std::uint64_t>& reach = spec.reaches[s];
        const auto join = [&](std::size_t word, std::uint64_t bits) {
          changed = changed || (bits & ~reach[word]) != 0;
          reach[word] |= bits;
        };
        if (const std::uint32_t c = spec.class_of[s]; c != no_target) join(c / 64, std::uint64_t{1} << (c % 64));
        for (const Dfa::Edge& e : spec.keys.dfa.states[s].edges) {
          for (std::size_t w = 0; w < n_words; ++w) join(w, spec.reaches[e.target][w]);
        }
        document_.budget().spend(1 + spec.keys.dfa.states[s].edges.size() * n_words / 4, "json schema");
      }
    }
  }

  // Least fixpoint: a rule is productive if an alternative has a value made of productive rules.
  void find_productive() {
    for (bool changed = true; changed;) {
      changed = false;
      for (Rule& r : rules_) {
        document_.budget().spend(1 + r.alternatives.size(), "json schema");
        if (r.productive) continue;
        r.productive = std::any_of(r.alternatives.begin(), r.alternatives.end(),
                                   [&](const Alternative& a) { return productive(a); });
        changed = changed || r.productive;
      }
    }
  }

  bool productive(const Alternative& a) {
    if (a.op == Op::array) {
      const ArraySpec& spec = program_.arrays[a.spec];
      return spec.min_items <= spec.max_items && n_items(a) >= spec.min_items;
    }
    if (a.op != Op::object) return true;
    const ObjectSpec& spec = program_.objects[a.spec];
    std::size_t n_possible = 0;
    for (std::uint32_t c = 0; c < a.children.size(); ++c) {
      const bool possible = rules_[a.children[c]].productive;
      if (c < spec.n_literals && spec.required[c] && !possible) return false;
      if (possible && n_possible < unlimited) n_possible = c < spec.n_literals ? n_possible + 1 : unlimited;
    }
    const std::uint32_t least = std::max(spec.min_properties, spec.n_required);
    return least <= spec.max_properties && n_possible >= least;
  }

  // How many items can be made one after another.
  std::uint64_t n_items(const Alternative& a) const {
    for (std::size_t i = 0; i < a.children.size(); ++i) {
      if (!rules_[a.children[i]].productive) return i;
    }
    return unlimited;
  }

  // Fills in what depends on which rules are productive.
  void connect() {
    for (const Rule& r : rules_) {
      std::vector<std::uint32_t> targets;
      for (const Alternative& a : r.alternatives) {
        if (!productive(a)) continue;
        targets.push_back(a.pc);
        const auto entry = [&](std::uint32_t child) {
          return rules_[child].productive ? rules_[child].entry : no_target;
        };
        if (a.op == Op::array) {
          ArraySpec& spec = program_.arrays[a.spec];
          for (std::size_t i = 0; i < spec.prefix.size(); ++i) spec.prefix[i] = entry(a.children[i]);
          spec.rest = entry(a.children.back());
        } else if (a.op == Op::object) {
          ObjectSpec& spec = program_.objects[a.spec];
          for (std::uint32_t child : a.children) spec.values.push_back(entry(child));
        }
      }
      program_.choices[program_.code[r.entry].arg] = std::move(targets);
    }
  }

  SchemaDocument document_;
  bool lax_;
  Program program_;
  std::vector<Rule> rules_;
  std::size_t n_built_ = 0;
  std::map<Conjunction, std::uint32_t> names_;
  std::map<std::vector<std::string>, std::uint32_t> words_;
};

}  // namespace

Program compile_json_schema(std::string_view schema_json, bool lax) {
  return SchemaCompiler(schema_json, lax).compile();
}

}  // namespace llm::sampling
