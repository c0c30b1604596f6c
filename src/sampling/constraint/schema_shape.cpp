#include "sampling/constraint/schema_shape.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>

namespace llm::sampling {
namespace {

constexpr std::size_t max_alternatives = 512;

// Keywords that say nothing about the value.
constexpr std::array<std::string_view, 21> annotations = {
    "title",         "description", "default",     "examples",         "example",         "$comment",
    "$schema",       "$id",         "id",          "$anchor",          "$defs",           "definitions",
    "readOnly",      "writeOnly",   "deprecated",  "contentMediaType", "contentEncoding", "contentSchema",
    "discriminator", "xml",         "externalDocs"};
// Handled together with others.
constexpr std::array<std::string_view, 6> companions = {"then",        "else",        "additionalItems",
                                                        "minContains", "maxContains", "$vocabulary"};

class Expander {
 public:
  Expander(SchemaDocument& document, bool lax) : document_(document), lax_(lax) {}

  std::vector<Shape> all_of(const Conjunction& schemas) {
    std::vector<Shape> shapes = {Shape{}};
    for (const Json* schema : schemas) shapes = combine(shapes, expand(*schema, 0), *schema);
    for (Shape& shape : shapes) {
      if (shape.values) {
        std::erase_if(*shape.values, [&](const Json* v) {
          return !std::all_of(schemas.begin(), schemas.end(),
                              [&](const Json* schema) { return is_valid(document_, *schema, *v); });
        });
      } else if (shape.undecided != nullptr && !lax_) {
        document_.refuse(*shape.undecided, shape.undecided_why);
      }
    }
    std::erase_if(shapes, [](const Shape& s) { return s.values && s.values->empty(); });
    return shapes;
  }

 private:
  std::vector<Shape> expand(const Json& schema, int depth) {
    document_.budget().spend(50, "json schema");
    if (depth > max_nesting) {
      document_.refuse(schema, fmt::format("more than {} references and alternatives within each other before anything "
                                           "is read; perhaps they go in a circle",
                                           max_nesting));
    }
    if (schema.is_boolean()) return schema.get<bool>() ? std::vector<Shape>{Shape{}} : std::vector<Shape>{};
    if (!schema.is_object()) document_.refuse(schema, "expected a schema: an object, true or false");
    std::vector<Shape> shapes = {Shape{}};
    if (const auto ref = schema.find("$ref"); ref != schema.end()) {
      shapes = expand(document_.resolve(*ref), depth + 1);
      if (!document_.ref_has_siblings()) return shapes;
    }
    Shape own;
    read_keywords(schema, own);
    if (own.types == 0) return {};
    shapes = combine(shapes, {own}, schema);
    if (const auto list = find_list(schema, "allOf")) {
      for (const Json& item : *list) shapes = combine(shapes, expand(item, depth + 1), schema);
    }
    for (const char* key : {"anyOf", "oneOf"}) {
      const Json* list = find_list(schema, key);
      if (list == nullptr) continue;
      std::vector<std::vector<Shape>> branches;
      std::vector<Shape> joined;
      for (const Json& item : *list) {
        branches.push_back(expand(item, depth + 1));
        joined.insert(joined.end(), branches.back().begin(), branches.back().end());
      }
      if (std::string_view(key) == "oneOf") separate(*list, branches, joined);
      shapes = combine(shapes, joined, schema);
    }
    return shapes;
  }

  const Json* find_list(const Json& schema, const char* key) {
    const auto list = schema.find(key);
    if (list == schema.end()) return nullptr;
    if (!list->is_array() || list->empty()) document_.refuse(*list, "expected a list of schemas");
    return &*list;
  }

  // The alternatives of oneOf must exclude each other; where that cannot be seen the schema is undecided.
  void separate(const Json& list, const std::vector<std::vector<Shape>>& branches, std::vector<Shape>& joined) {
    for (std::size_t i = 0; i < branches.size(); ++i) {
      for (std::size_t j = i + 1; j < branches.size(); ++j) {
        for (const Shape& a : branches[i]) {
          for (const Shape& b : branches[j]) {
            if (apart(a, b, list[i], list[j], 0)) continue;
            for (Shape& shape : joined) {
              if (shape.undecided == nullptr) {
                shape.undecided = &list;
                shape.undecided_why = fmt::format(
                    "oneOf is supported where its alternatives exclude each other; {} and {} may both hold (anyOf?)", i,
                    j);
              }
            }
            return;
          }
        }
      }
    }
  }

  // Whether no value satisfies both. False if that cannot be seen.
  bool apart(const Shape& a, const Shape& b, const Json& of_a, const Json& of_b, int depth) {
    const std::uint8_t common = a.types & b.types;
    if (common == 0) return true;
    const auto none_valid = [&](const Shape& s, const Json& first, const Json& second) {
      return std::none_of(s.values->begin(), s.values->end(), [&](const Json* v) {
        return is_valid(document_, first, *v) && is_valid(document_, second, *v);
      });
    };
    if (a.values) return none_valid(a, of_a, of_b);
    if (b.values) return none_valid(b, of_a, of_b);
    if ((common & (type_null | type_boolean)) != 0) return false;
    if ((common & type_number) != 0 && !numbers_apart(a.number, b.number)) return false;
    if ((common & type_string) != 0 && !strings_apart(a, b)) return false;
    if ((common & type_array) != 0 && !(a.max_items < b.min_items || b.max_items < a.min_items)) return false;
    if ((common & type_object) != 0 && !objects_apart(a, b, depth)) return false;
    return true;
  }

  static bool numbers_apart(const NumberSpec& a, const NumberSpec& b) {
    const auto above = [](const NumberSpec& x, const NumberSpec& y) {
      if (!x.low || !y.high) return false;
      return *x.low > *y.high || (*x.low == *y.high && (x.low_exclusive || y.high_exclusive));
    };
    return above(a, b) || above(b, a);
  }

  bool strings_apart(const Shape& a, const Shape& b) {
    if (a.max_length < b.min_length || b.max_length < a.min_length) return true;
    for (const Dfa* x : a.patterns) {
      for (const Dfa* y : b.patterns) {
        if (disjoint(*x, *y, document_.budget(), "json schema: oneOf")) return true;
      }
    }
    return false;
  }

  // A property that one needs and the other cannot have, or that both need with values that exclude each other.
  bool objects_apart(const Shape& a, const Shape& b, int depth) {
    if (a.max_properties < b.min_properties || b.max_properties < a.min_properties) return true;
    if (depth > 3) return false;
    std::set<std::string> names = a.required;
    names.insert(b.required.begin(), b.required.end());
    for (const std::string& name : names) {
      std::vector<Shape> left = {Shape{}}, right = {Shape{}};
      const Conjunction of_left = schemas_of_name(document_, a, name), of_right = schemas_of_name(document_, b, name);
      for (const Json* s : of_left) left = combine(left, expand(*s, depth + 1), *s);
      for (const Json* s : of_right) right = combine(right, expand(*s, depth + 1), *s);
      if (left.empty() || right.empty()) return true;
      if (!a.required.contains(name) || !b.required.contains(name)) continue;
      if (of_left.size() != 1 || of_right.size() != 1) continue;
      const bool all_apart = std::all_of(left.begin(), left.end(), [&](const Shape& x) {
        return std::all_of(right.begin(), right.end(),
                           [&](const Shape& y) { return apart(x, y, *of_left[0], *of_right[0], depth + 1); });
      });
      if (all_apart) return true;
    }
    return false;
  }

  std::vector<Shape> combine(const std::vector<Shape>& a, const std::vector<Shape>& b, const Json& where) {
    if (a.size() * b.size() > max_alternatives) {
      document_.refuse(where, fmt::format("more than {} alternatives together", max_alternatives));
    }
    std::vector<Shape> result;
    for (const Shape& x : a) {
      for (const Shape& y : b) {
        document_.budget().spend(50, "json schema");
        Shape shape = x;
        if (merge(shape, y, where)) result.push_back(std::move(shape));
      }
    }
    return result;
  }

  // False: nothing satisfies both.
  bool merge(Shape& a, const Shape& b, const Json& where) {
    a.types &= b.types;
    if (a.types == 0) return false;
    NumberSpec& n = a.number;
    const NumberSpec& m = b.number;
    n.integer = n.integer || m.integer;
    if (m.low && (!n.low || *m.low > *n.low || (*m.low == *n.low && m.low_exclusive))) {
      n.low = m.low;
      n.low_exclusive = m.low_exclusive;
    }
    if (m.high && (!n.high || *m.high < *n.high || (*m.high == *n.high && m.high_exclusive))) {
      n.high = m.high;
      n.high_exclusive = m.high_exclusive;
    }
    if (m.multiple && n.multiple && *m.multiple != *n.multiple) {
      n.multiple = least_common_multiple(*n.multiple, *m.multiple, where);
    } else if (m.multiple) {
      n.multiple = m.multiple;
    }
    a.patterns.insert(a.patterns.end(), b.patterns.begin(), b.patterns.end());
    a.min_length = std::max(a.min_length, b.min_length);
    a.max_length = std::min(a.max_length, b.max_length);
    a.objects.insert(a.objects.end(), b.objects.begin(), b.objects.end());
    a.required.insert(b.required.begin(), b.required.end());
    a.min_properties = std::max(a.min_properties, b.min_properties);
    a.max_properties = std::min(a.max_properties, b.max_properties);
    a.arrays.insert(a.arrays.end(), b.arrays.begin(), b.arrays.end());
    a.min_items = std::max(a.min_items, b.min_items);
    a.max_items = std::min(a.max_items, b.max_items);
    if (b.values && !a.values) {
      a.values = b.values;
    } else if (b.values) {
      std::erase_if(*a.values, [&](const Json* v) {
        return std::none_of(b.values->begin(), b.values->end(), [&](const Json* w) { return *v == *w; });
      });
      if (a.values->empty()) return false;
    }
    if (a.undecided == nullptr && b.undecided != nullptr) {
      a.undecided = b.undecided;
      a.undecided_why = b.undecided_why;
    }
    return true;
  }

  Decimal least_common_multiple(const Decimal& a, const Decimal& b, const Json& where) {
    const std::int64_t e = std::min(a.exponent(), b.exponent());
    const auto units = [&](const Decimal& d) {
      return std::stoll(d.digits() +
                        std::string(static_cast<std::size_t>(std::min<std::int64_t>(d.exponent() - e, 18)), '0'));
    };
    if (a.digits().size() + static_cast<std::size_t>(a.exponent() - e) > 9 ||
        b.digits().size() + static_cast<std::size_t>(b.exponent() - e) > 9) {
      document_.refuse(where, "two multipleOf whose common multiple has too many digits");
    }
    return Decimal::of(false, std::to_string(std::lcm(units(a), units(b))), e);
  }

  Decimal number_at(const Json& value) {
    if (!value.is_number()) document_.refuse(value, "expected a number");
    return Decimal::parse(number_text(value)).value_or(Decimal());
  }

  std::uint64_t count_at(const Json& value) {
    const double number = value.is_number() ? value.get<double>() : -1;
    if (number < 0 || number != std::floor(number)) document_.refuse(value, "expected a whole number of at least 0");
    return static_cast<std::uint64_t>(std::min(number, static_cast<double>(unlimited)));
  }

  void undecided(Shape& shape, const Json& value, std::string_view key, std::string_view why = "is not supported") {
    if (shape.undecided != nullptr) return;
    shape.undecided = &value;
    shape.undecided_why = fmt::format("'{}' {}", key, why);
  }

  void read_keywords(const Json& schema, Shape& shape) {
    ObjectPart object;
    ArrayPart array;
    for (const auto& [key, value] : schema.items()) {
      if (key == "type") {
        read_type(value, shape);
      } else if (key == "enum" || key == "const") {
        read_values(key, value, shape);
      } else if (read_number(schema, key, value, shape) || read_string(key, value, shape) ||
                 read_array(schema, key, value, shape, array) || read_object(key, value, shape, object)) {
      } else if (key == "not") {
        read_not(value, shape);
      } else if (key == "if") {
        if (schema.contains("then") || schema.contains("else")) undecided(shape, value, key);
      } else if (key == "$ref" || key == "allOf" || key == "anyOf" || key == "oneOf" || key.starts_with("x-") ||
                 std::find(annotations.begin(), annotations.end(), key) != annotations.end() ||
                 std::find(companions.begin(), companions.end(), key) != companions.end()) {
      } else {
        undecided(shape, value, key);
      }
    }
    if (object.properties || object.patterns || object.additional) shape.objects.push_back(object);
    if (array.prefix || array.rest) shape.arrays.push_back(array);
    if (shape.values && shape.values->empty()) shape.types = 0;
  }

  void read_type(const Json& value, Shape& shape) {
    std::uint8_t types = 0;
    bool integer = false, number = false;
    const Json list = value.is_array() ? value : Json::array({value});
    for (const Json& item : list) {
      const std::string name = item.is_string() ? item.get<std::string>() : "";
      if (name == "null")
        types |= type_null;
      else if (name == "boolean")
        types |= type_boolean;
      else if (name == "integer")
        integer = true;
      else if (name == "number")
        number = true;
      else if (name == "string")
        types |= type_string;
      else if (name == "array")
        types |= type_array;
      else if (name == "object")
        types |= type_object;
      else
        document_.refuse(value, fmt::format("found {}, expected the name of a JSON type", item.dump()));
    }
    if (integer || number) types |= type_number;
    shape.types &= types;
    shape.number.integer = integer && !number;
  }

  void read_values(const std::string& key, const Json& value, Shape& shape) {
    std::vector<const Json*> values;
    if (key == "const") {
      values.push_back(&value);
    } else {
      if (!value.is_array()) document_.refuse(value, "expected a list of values");
      for (const Json& item : value) values.push_back(&item);
    }
    if (shape.values) {
      std::erase_if(values, [&](const Json* v) {
        return std::none_of(shape.values->begin(), shape.values->end(), [&](const Json* w) { return *v == *w; });
      });
    }
    shape.values = std::move(values);
  }

  bool read_number(const Json& schema, const std::string& key, const Json& value, Shape& shape) {
    NumberSpec& n = shape.number;
    const auto flag = [&](const char* name) {
      const auto found = schema.find(name);
      return found != schema.end() && found->is_boolean() && found->get<bool>();
    };
    const auto raise = [&](const Decimal& bound, bool exclusive) {
      if (!n.low || bound > *n.low || (bound == *n.low && exclusive)) n.low = bound, n.low_exclusive = exclusive;
    };
    const auto lower = [&](const Decimal& bound, bool exclusive) {
      if (!n.high || bound < *n.high || (bound == *n.high && exclusive)) n.high = bound, n.high_exclusive = exclusive;
    };
    if (key == "minimum") {
      raise(number_at(value), flag("exclusiveMinimum"));
    } else if (key == "maximum") {
      lower(number_at(value), flag("exclusiveMaximum"));
    } else if (key == "exclusiveMinimum") {
      if (!value.is_boolean()) raise(number_at(value), true);
    } else if (key == "exclusiveMaximum") {
      if (!value.is_boolean()) lower(number_at(value), true);
    } else if (key == "multipleOf") {
      const Decimal d = number_at(value);
      if (d.zero() || d.negative()) document_.refuse(value, "expected a number above 0");
      constexpr std::int64_t most = NumberSpec::max_multiple_digits;
      if (static_cast<std::int64_t>(d.digits().size()) > most || d.exponent() < -most || d.exponent() > most) {
        undecided(shape, value, key, fmt::format("with more than {} digits is not supported", most));
      } else {
        n.multiple = d;
      }
    } else {
      return false;
    }
    return true;
  }

  bool read_string(const std::string& key, const Json& value, Shape& shape) {
    if (key == "minLength") {
      shape.min_length = count_at(value);
    } else if (key == "maxLength") {
      shape.max_length = count_at(value);
    } else if (key == "pattern") {
      if (!value.is_string()) document_.refuse(value, "expected a regular expression");
      try {
        shape.patterns.push_back(&document_.pattern(value.get<std::string>(), value));
      } catch (const Error&) {
        if (!lax_) throw;
      }
    } else if (key == "format") {
      const Dfa* dfa = value.is_string() ? document_.format(value.get<std::string>()) : nullptr;
      if (dfa != nullptr) {
        shape.patterns.push_back(dfa);
      } else {
        undecided(shape, value, key, fmt::format("{} is not supported", value.dump()));
      }
    } else {
      return false;
    }
    return true;
  }

  bool read_array(const Json& schema, const std::string& key, const Json& value, Shape& shape, ArrayPart& part) {
    if (key == "minItems") {
      shape.min_items = count_at(value);
    } else if (key == "maxItems") {
      shape.max_items = count_at(value);
    } else if (key == "prefixItems") {
      if (!value.is_array()) document_.refuse(value, "expected a list of schemas");
      part.prefix = &value;
    } else if (key == "items") {
      if (value.is_array()) {
        part.prefix = &value;
        const auto rest = schema.find("additionalItems");
        if (rest != schema.end()) part.rest = &*rest;
      } else {
        part.rest = &value;
      }
    } else if (key == "uniqueItems") {
      const auto most = schema.find("maxItems");
      const bool few = most != schema.end() && most->is_number() && most->get<double>() <= 1;
      if (value == true && !few) undecided(shape, value, key);
    } else if (key == "contains") {
      undecided(shape, value, key);
    } else {
      return false;
    }
    return true;
  }

  bool read_object(const std::string& key, const Json& value, Shape& shape, ObjectPart& part) {
    if (key == "properties" || key == "patternProperties") {
      if (!value.is_object()) document_.refuse(value, "expected an object of schemas");
      (key == "properties" ? part.properties : part.patterns) = &value;
      if (key == "patternProperties") {
        for (const auto& [pattern, item] : value.items()) document_.pattern(pattern, item);
      }
    } else if (key == "additionalProperties") {
      part.additional = &value;
    } else if (key == "required") {
      if (value.is_boolean()) return true;  // draft 3
      if (!value.is_array()) document_.refuse(value, "expected a list of names");
      for (const Json& name : value) {
        if (!name.is_string()) document_.refuse(value, "expected a list of names");
        shape.required.insert(name.get<std::string>());
      }
    } else if (key == "minProperties") {
      shape.min_properties = count_at(value);
    } else if (key == "maxProperties") {
      shape.max_properties = count_at(value);
    } else {
      return false;
    }
    return true;
  }

  // Types can be complemented; anything else is decided for lists of values only.
  void read_not(const Json& value, Shape& shape) {
    if (value == true || (value.is_object() && value.empty())) {
      shape.types = 0;
    } else if (value == false) {
      return;
    } else if (value.is_object() && value.size() == 1 && value.contains("type")) {
      Shape other;
      read_type(value["type"], other);
      if ((other.types & type_number) != 0 && other.number.integer) {
        undecided(shape, value, "not");
      } else {
        shape.types &= static_cast<std::uint8_t>(~other.types);
      }
    } else {
      undecided(shape, value, "not");
    }
  }

  SchemaDocument& document_;
  bool lax_;
};

}  // namespace

void add_to(Conjunction& all, const Json* schema) {
  if (*schema == true) return;
  const auto at = std::lower_bound(all.begin(), all.end(), schema, std::less<>());
  if (at == all.end() || *at != schema) all.insert(at, schema);
}

std::vector<Shape> expand(SchemaDocument& document, const Conjunction& schemas, bool lax) {
  return Expander(document, lax).all_of(schemas);
}

Conjunction schemas_of_name(SchemaDocument& document, const Shape& shape, const std::string& name) {
  Conjunction all;
  for (const ObjectPart& part : shape.objects) {
    bool known = false;
    if (part.properties != nullptr && part.properties->contains(name)) {
      known = true;
      add_to(all, &(*part.properties)[name]);
    }
    if (part.patterns != nullptr) {
      for (const auto& [pattern, schema] : part.patterns->items()) {
        if (!document.pattern(pattern, schema).matches(name)) continue;
        known = true;
        add_to(all, &schema);
      }
    }
    if (!known && part.additional != nullptr) add_to(all, part.additional);
  }
  return all;
}

Conjunction schemas_of_item(const Shape& shape, std::size_t index) {
  Conjunction all;
  for (const ArrayPart& part : shape.arrays) {
    if (part.prefix != nullptr && index < part.prefix->size()) {
      add_to(all, &(*part.prefix)[index]);
    } else if (part.rest != nullptr) {
      add_to(all, part.rest);
    }
  }
  return all;
}

}  // namespace llm::sampling
