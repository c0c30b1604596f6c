#include <algorithm>
#include <cmath>
#include <set>

#include "sampling/constraint/decimal.h"
#include "sampling/constraint/schema_document.h"

namespace llm::sampling {
namespace {

std::int64_t n_code_points(const std::string& text) {
  return std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; });
}

bool is_integer(const Json& v) {
  return v.is_number_integer() || (v.is_number_float() && v.get<double>() == std::floor(v.get<double>()));
}

bool has_type(const std::string& type, const Json& v) {
  if (type == "null") return v.is_null();
  if (type == "boolean") return v.is_boolean();
  if (type == "integer") return v.is_number() && is_integer(v);
  if (type == "number") return v.is_number();
  if (type == "string") return v.is_string();
  if (type == "array") return v.is_array();
  return type == "object" && v.is_object();
}

// Only what the compiler has checked the shape of, or what it leaves to this for lists of given values.
class Validator {
 public:
  explicit Validator(SchemaDocument& document) : document_(document) {}

  bool valid(const Json& schema, const Json& v, int depth) {
    document_.budget().spend(10, "json schema");
    if (depth > 2 * max_nesting) document_.refuse(schema, "references lead nowhere");
    if (schema.is_boolean()) return schema.get<bool>();
    if (!schema.is_object()) document_.refuse(schema, "expected a schema: an object, true or false");
    const auto sub = [&](const Json& s) { return valid(s, v, depth + 1); };
    const auto ref = schema.find("$ref");
    if (ref != schema.end()) {
      if (!sub(document_.resolve(*ref))) return false;
      if (!document_.ref_has_siblings()) return true;
    }
    if (const auto t = schema.find("type"); t != schema.end()) {
      const Json types = t->is_array() ? *t : Json::array({*t});
      if (std::none_of(types.begin(), types.end(),
                       [&](const Json& name) { return name.is_string() && has_type(name.get<std::string>(), v); })) {
        return false;
      }
    }
    if (const auto e = schema.find("enum"); e != schema.end() && e->is_array()) {
      if (std::find(e->begin(), e->end(), v) == e->end()) return false;
    }
    if (const auto c = schema.find("const"); c != schema.end() && *c != v) return false;
    for (const char* key : {"allOf", "anyOf", "oneOf"}) {
      const auto list = schema.find(key);
      if (list == schema.end() || !list->is_array()) continue;
      const auto n = std::count_if(list->begin(), list->end(), sub);
      const std::string name = key;
      if (name == "allOf" ? n != static_cast<std::ptrdiff_t>(list->size()) : name == "anyOf" ? n == 0 : n != 1) {
        return false;
      }
    }
    if (const auto n = schema.find("not"); n != schema.end() && sub(*n)) return false;
    if (const auto i = schema.find("if"); i != schema.end()) {
      const auto branch = schema.find(sub(*i) ? "then" : "else");
      if (branch != schema.end() && !sub(*branch)) return false;
    }
    if (v.is_number()) return valid_number(schema, v);
    if (v.is_string()) return valid_string(schema, v.get_ref<const std::string&>());
    if (v.is_array()) return valid_array(schema, v, depth);
    if (v.is_object()) return valid_object(schema, v, depth);
    return true;
  }

 private:
  bool valid_number(const Json& schema, const Json& v) {
    const Decimal x = Decimal::parse(number_text(v)).value_or(Decimal());
    const auto compare = [&](const char* key, const auto& holds) {
      const auto bound = schema.find(key);
      return bound == schema.end() || !bound->is_number() ||
             holds(Decimal::parse(number_text(*bound)).value_or(Decimal()));
    };
    const auto old_exclusive = [&](const char* key) {
      const auto flag = schema.find(key);
      return flag != schema.end() && flag->is_boolean() && flag->get<bool>();
    };
    const bool low = old_exclusive("exclusiveMinimum"), high = old_exclusive("exclusiveMaximum");
    return compare("minimum", [&](const Decimal& b) { return low ? x > b : x >= b; }) &&
           compare("maximum", [&](const Decimal& b) { return high ? x < b : x <= b; }) &&
           compare("exclusiveMinimum", [&](const Decimal& b) { return x > b; }) &&
           compare("exclusiveMaximum", [&](const Decimal& b) { return x < b; }) &&
           compare("multipleOf", [&](const Decimal& b) {
             NumberSpec spec;
             spec.multiple = b;
             return spec.contains(x);
           });
  }

  static bool count_fits(const Json& schema, const char* least, const char* most, std::int64_t n) {
    const auto low = schema.find(least), high = schema.find(most);
    return (low == schema.end() || !low->is_number() || static_cast<double>(n) >= low->get<double>()) &&
           (high == schema.end() || !high->is_number() || static_cast<double>(n) <= high->get<double>());
  }

  bool valid_string(const Json& schema, const std::string& text) {
    if (!count_fits(schema, "minLength", "maxLength", n_code_points(text))) return false;
    if (const auto p = schema.find("pattern"); p != schema.end() && p->is_string()) {
      if (!document_.pattern(p->get<std::string>(), *p).matches(text)) return false;
    }
    if (const auto f = schema.find("format"); f != schema.end() && f->is_string()) {
      const Dfa* dfa = document_.format(f->get<std::string>());
      if (dfa != nullptr && !dfa->matches(text)) return false;
    }
    return true;
  }

  bool valid_array(const Json& schema, const Json& v, int depth) {
    if (!count_fits(schema, "minItems", "maxItems", static_cast<std::int64_t>(v.size()))) return false;
    const auto items = schema.find("items");
    const bool old_prefix = items != schema.end() && items->is_array();
    const auto prefix = old_prefix ? items : schema.find("prefixItems");
    const auto rest = old_prefix ? schema.find("additionalItems") : items;
    for (std::size_t i = 0; i < v.size(); ++i) {
      if (prefix != schema.end() && i < prefix->size()) {
        if (!valid((*prefix)[i], v[i], depth + 1)) return false;
      } else if (rest != schema.end() && !valid(*rest, v[i], depth + 1)) {
        return false;
      }
    }
    if (const auto u = schema.find("uniqueItems"); u != schema.end() && *u == true) {
      for (std::size_t i = 0; i < v.size(); ++i) {
        if (std::find(v.begin() + static_cast<std::ptrdiff_t>(i) + 1, v.end(), v[i]) != v.end()) return false;
      }
    }
    if (const auto c = schema.find("contains"); c != schema.end()) {
      const auto n = std::count_if(v.begin(), v.end(), [&](const Json& item) { return valid(*c, item, depth + 1); });
      if (!schema.contains("minContains") && n == 0) return false;
      if (!count_fits(schema, "minContains", "maxContains", n)) return false;
    }
    return true;
  }

  bool valid_object(const Json& schema, const Json& v, int depth) {
    if (!count_fits(schema, "minProperties", "maxProperties", static_cast<std::int64_t>(v.size()))) return false;
    if (const auto r = schema.find("required"); r != schema.end() && r->is_array()) {
      for (const Json& name : *r) {
        if (name.is_string() && !v.contains(name.get<std::string>())) return false;
      }
    }
    if (const auto d = schema.find("dependentRequired"); d != schema.end() && d->is_object()) {
      for (const auto& [name, needed] : d->items()) {
        if (!v.contains(name)) continue;
        for (const Json& other : needed) {
          if (other.is_string() && !v.contains(other.get<std::string>())) return false;
        }
      }
    }
    const auto properties = schema.find("properties"), patterns = schema.find("patternProperties");
    const auto additional = schema.find("additionalProperties"), names = schema.find("propertyNames");
    for (const auto& [name, item] : v.items()) {
      bool known = false;
      if (properties != schema.end() && properties->contains(name)) {
        known = true;
        if (!valid((*properties)[name], item, depth + 1)) return false;
      }
      if (patterns != schema.end()) {
        for (const auto& [pattern, s] : patterns->items()) {
          if (!document_.pattern(pattern, s).matches(name)) continue;
          known = true;
          if (!valid(s, item, depth + 1)) return false;
        }
      }
      if (!known && additional != schema.end() && !valid(*additional, item, depth + 1)) return false;
      if (names != schema.end() && !valid(*names, Json(name), depth + 1)) return false;
    }
    return true;
  }

  SchemaDocument& document_;
};

}  // namespace

bool is_valid(SchemaDocument& document, const Json& schema, const Json& value) {
  return Validator(document).valid(schema, value, 0);
}

}  // namespace llm::sampling
