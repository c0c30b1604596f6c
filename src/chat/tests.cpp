#include "chat/interpreter.h"

namespace llm::chat {

namespace {

template <Kind kind>
bool is_kind(Interpreter&, const Value& value, const Call&) {
  return value.is(kind);
}

template <bool wanted>
bool is_constant(Interpreter&, const Value& value, const Call&) {
  return value.is(Kind::boolean) && value.boolean() == wanted;
}

bool defined(Interpreter&, const Value& value, const Call&) {
  return !value.is_undefined();
}
bool number(Interpreter&, const Value& value, const Call&) {
  return value.is_number();
}
bool iterable(Interpreter&, const Value& value, const Call&) {
  return is_iterable(value);
}
bool escaped(Interpreter&, const Value& value, const Call&) {
  return value.markup();
}

bool sequence(Interpreter&, const Value& value, const Call&) {
  return length_of(value) >= 0 && !(value.is(Kind::object) && value.object()->kind == ObjectKind::view);
}

bool callable(Interpreter&, const Value& value, const Call&) {
  if (value.is_undefined()) return true;
  if (!value.is(Kind::object)) return false;
  const ObjectKind kind = value.object()->kind;
  return kind == ObjectKind::function || kind == ObjectKind::joiner || kind == ObjectKind::loop;
}

Value modulo(Interpreter& in, const Value& value, const Value& divisor) {
  if (!value.is_number() && !value.is_undefined()) fail("expected a number, found '" + type_name(value) + "'");
  return arithmetic(in.heap(), "%", value, divisor);
}

bool even(Interpreter& in, const Value& value, const Call&) {
  return !truth(modulo(in, value, Value(Integer{2})));
}
bool odd(Interpreter& in, const Value& value, const Call&) {
  return equal(in.budget(), modulo(in, value, Value(Integer{2})), Value(Integer{1}));
}
bool divisible(Interpreter& in, const Value& value, const Call& call) {
  return !truth(modulo(in, value, call.need(0, "num")));
}

bool same(Interpreter&, const Value& value, const Call& call) {
  const Value& other = call.need(0, "other");
  if (value.kind() != other.kind()) return false;
  switch (value.kind()) {
    case Kind::undefined:
    case Kind::none:
      return true;
    case Kind::boolean:
    case Kind::integer:
      return value.integer() == other.integer();
    case Kind::real:
      return value.real() == other.real();
    case Kind::string:
      return value.bytes() == other.bytes();
    default:
      return value.address() == other.address();
  }
}

bool contained(Interpreter& in, const Value& value, const Call& call) {
  return contains(in.heap(), call.need(0, "seq"), value);
}

bool equals(Interpreter& in, const Value& value, const Call& call) {
  return equal(in.budget(), value, call.need(0, "other"));
}
bool differs(Interpreter& in, const Value& value, const Call& call) {
  return !equals(in, value, call);
}

template <char op, bool or_equal>
bool ordered(Interpreter& in, const Value& value, const Call& call) {
  const int order = compare(in.budget(), value, call.need(0, "other"), op == '<' ? "<" : ">");
  return order != 2 && ((or_equal && order == 0) || (op == '<' ? order < 0 : order > 0));
}

template <bool upper>
bool in_case(Interpreter& in, const Value& value, const Call&) {
  const Value text(in.text_of(value));
  return truth(find_string_method(upper ? "isupper" : "islower")(in, text, Call()));
}

bool names_filter(Interpreter&, const Value& value, const Call&) {
  need_hashable(value);
  return value.is_string() && is_filter(value.bytes());
}
bool names_test(Interpreter&, const Value& value, const Call&) {
  need_hashable(value);
  return value.is_string() && is_test(value.bytes());
}

bool undefined(Interpreter&, const Value& value, const Call&) {
  return value.is_undefined();
}

}  // namespace

Test find_test(std::string_view name) {
  static constexpr std::pair<std::string_view, Test> tests[] = {
      {"boolean", is_kind<Kind::boolean>},
      {"callable", callable},
      {"defined", defined},
      {"divisibleby", divisible},
      {"eq", equals},
      {"equalto", equals},
      {"==", equals},
      {"escaped", escaped},
      {"even", even},
      {"false", is_constant<false>},
      {"filter", names_filter},
      {"float", is_kind<Kind::real>},
      {"ge", ordered<'>', true>},
      {">=", ordered<'>', true>},
      {"gt", ordered<'>', false>},
      {">", ordered<'>', false>},
      {"greaterthan", ordered<'>', false>},
      {"in", contained},
      {"integer", is_kind<Kind::integer>},
      {"iterable", iterable},
      {"le", ordered<'<', true>},
      {"<=", ordered<'<', true>},
      {"lower", in_case<false>},
      {"lt", ordered<'<', false>},
      {"<", ordered<'<', false>},
      {"lessthan", ordered<'<', false>},
      {"mapping", is_kind<Kind::dict>},
      {"ne", differs},
      {"!=", differs},
      {"none", is_kind<Kind::none>},
      {"number", number},
      {"odd", odd},
      {"sameas", same},
      {"sequence", sequence},
      {"string", is_kind<Kind::string>},
      {"test", names_test},
      {"true", is_constant<true>},
      {"undefined", undefined},
      {"upper", in_case<true>},
  };
  for (const auto& [known, test] : tests) {
    if (known == name) return test;
  }
  return nullptr;
}

}  // namespace llm::chat
