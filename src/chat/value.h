#ifndef CHAT_VALUE_H
#define CHAT_VALUE_H

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "chat/text.h"

namespace llm::chat {

__extension__ typedef __int128 Integer;
__extension__ typedef unsigned __int128 UnsignedInteger;

enum class Kind : std::uint8_t { undefined, none, boolean, integer, real, string, list, tuple, dict, object };

struct List;
class Dict;
struct Object;

// A value of the template language. Strings are shared; containers and objects belong to the Heap of the rendering, so
// that values may refer to each other in circles and copies share them, as in Python.
class Value {
 public:
  Value() = default;  // undefined without a name
  static Value none() { return Value(Kind::none); }
  // A value may stand wherever one of its kinds is given. NOLINTBEGIN(google-explicit-constructor)
  Value(bool value) : kind_(Kind::boolean) { data_.boolean = value; }
  Value(Integer value) : kind_(Kind::integer) { data_.integer = value; }
  Value(double value) : kind_(Kind::real) { data_.real = value; }
  Value(TextPtr text, bool markup = false) : kind_(Kind::string), markup_(markup), text_(std::move(text)) {}
  Value(List* list, Kind kind = Kind::list) : kind_(kind) { data_.list = list; }
  Value(Dict* dict) : kind_(Kind::dict) { data_.dict = dict; }
  Value(Object* object) : kind_(Kind::object) { data_.object = object; }
  // NOLINTEND(google-explicit-constructor)
  // `why`: the message of the error that any use but printing and testing gives.
  static Value undefined(std::string why);
  // An integer too large for Integer, by its decimal digits; integer() is the nearest one that fits. See BigInteger.
  static Value big(std::string_view digits);
  static Value literal(std::string_view text) { return Value(std::make_shared<const Text>(std::string(text), false)); }
  template <class T>
  Value(T*) = delete;

  Kind kind() const { return kind_; }
  bool is(Kind kind) const { return kind_ == kind; }
  bool is_undefined() const { return kind_ == Kind::undefined; }
  bool is_none() const { return kind_ == Kind::none; }
  bool is_string() const { return kind_ == Kind::string; }
  bool is_sequence() const { return kind_ == Kind::list || kind_ == Kind::tuple; }
  bool is_integral() const { return kind_ == Kind::integer || kind_ == Kind::boolean; }
  bool is_number() const { return is_integral() || kind_ == Kind::real; }
  bool markup() const { return markup_; }

  bool boolean() const { return data_.boolean; }
  Integer integer() const { return kind_ == Kind::boolean ? Integer{data_.boolean} : data_.integer; }
  double real() const;
  bool is_big() const { return kind_ == Kind::integer && text_ != nullptr; }
  const std::string& big_digits() const { return text_->bytes(); }
  const TextPtr& text() const { return text_; }
  const std::string& bytes() const { return text_->bytes(); }
  List& list() const { return *data_.list; }
  Dict& dict() const { return *data_.dict; }
  Object* object() const { return data_.object; }
  const void* address() const;
  // The message of an undefined value.
  std::string why_undefined() const { return text_ ? text_->bytes() : "the value is undefined"; }

  // Whether a number, truth value or none came from foreign data.
  bool foreign() const { return foreign_; }
  Value from(bool foreign) && {
    foreign_ = foreign;
    return std::move(*this);
  }

 private:
  explicit Value(Kind kind) : kind_(kind) {}

  union Data {
    Integer integer = 0;
    bool boolean;
    double real;
    List* list;
    Dict* dict;
    Object* object;
  };
  Data data_;
  Kind kind_ = Kind::undefined;
  bool foreign_ = false, markup_ = false;
  TextPtr text_;
};

using Values = std::vector<Value>;

// A list or tuple.
struct List {
  Values items;
  bool foreign = false;                             // where brackets and commas come from when printed
  const std::vector<std::string>* names = nullptr;  // of a named tuple's fields
};

// In order of insertion. Keys 1, 1.0 and true are the same key.
class Dict {
 public:
  using Entry = std::pair<Value, Value>;
  const std::vector<Entry>& entries() const { return entries_; }
  std::size_t size() const { return entries_.size(); }
  const Value* find(const Value& key) const;
  const Value* find(std::string_view key) const;
  void erase(const Value& key);
  void clear();
  bool foreign = false;

 private:
  friend class Heap;
  // Returns whether the key is new.
  bool set(Value key, Value value);
  std::size_t position(const Value& key) const;

  std::vector<Entry> entries_;
  std::unordered_map<std::string, std::size_t> index_;  // canonical key -> entry, for more than a few entries
};

enum class ObjectKind { name_space, function, iterator, view, range, loop, cycler, joiner };

struct Object {
  explicit Object(ObjectKind object_kind) : kind(object_kind) {}
  virtual ~Object() = default;
  const ObjectKind kind;
};

struct Namespace : Object {
  explicit Namespace(Dict* values) : Object(ObjectKind::name_space), attributes(values) {}
  Dict* attributes;
};

// What map, select and the like give: may be walked once.
struct Iterator : Object {
  Iterator(List* values, std::string name) : Object(ObjectKind::iterator), items(values), type(std::move(name)) {}
  List* items;
  std::size_t next = 0;
  std::string type;
};

// dict.keys(), .values(), .items()
struct View : Object {
  View(Dict* of, char part_of) : Object(ObjectKind::view), dict(of), part(part_of) {}
  Dict* dict;
  char part;  // 'k', 'v', 'i'
};

struct Range : Object {
  Range(std::int64_t a, std::int64_t b, std::int64_t s);
  Value at(std::int64_t i) const { return Value(Integer{start + i * step}); }
  std::int64_t start, stop, step, size;
};

// Owns the containers and objects of one rendering.
class Heap {
 public:
  explicit Heap(Budget& budget) : budget_(&budget) {}
  Budget& budget() { return *budget_; }

  Value list(Values items, bool foreign = false) { return Value(make_list(std::move(items), foreign)); }
  Value tuple(Values items, bool foreign = false) { return Value(make_list(std::move(items), foreign), Kind::tuple); }
  Value dict(bool foreign = false);
  Value iterator(Values items, std::string type = "generator");
  Value view(Dict& dict, char part) { return object<View>(&dict, part); }
  template <class T, class... Args>
  Value object(Args&&... args) {
    auto owned = std::make_unique<T>(std::forward<Args>(args)...);
    budget_->allocate(sizeof(T) + 32);
    T* raw = owned.get();
    objects_.push_back(std::move(owned));
    return Value(static_cast<Object*>(raw));
  }
  void append(List& list, Value value);
  // Fails for keys that Python cannot hash.
  void set(Dict& dict, Value key, Value value);
  void set(Dict& dict, std::string_view key, Value value) { set(dict, Value::literal(key), std::move(value)); }

 private:
  List* make_list(Values items, bool foreign);

  Budget* budget_;
  std::vector<std::unique_ptr<List>> lists_;
  std::vector<std::unique_ptr<Dict>> dicts_;
  std::vector<std::unique_ptr<Object>> objects_;
};

bool truth(const Value& value);
bool equal(Budget& budget, const Value& a, const Value& b);
// <0, 0, >0; fails for types without an order between them. `op` for the message.
int compare(Budget& budget, const Value& a, const Value& b, std::string_view op = "<");
// Fails for values that Python cannot hash.
void need_hashable(const Value& value);
bool contains(Heap& heap, const Value& container, const Value& item);
// Python's name of the type.
std::string type_name(const Value& value);
[[noreturn]] void fail_undefined(const Value& value);

// What iterating gives; fails for what is not iterable. Uses iterators up.
Values iterate(Heap& heap, const Value& value);
bool is_iterable(const Value& value);
// -1: has no length.
std::int64_t length_of(const Value& value);

// str() and repr().
TextPtr to_text(Budget& budget, const Value& value);
void append_text(TextBuilder& out, Budget& budget, const Value& value);
void append_repr(TextBuilder& out, Budget& budget, const Value& value, int depth = 0);

// numbers
std::string format_integer(Integer value, unsigned base = 10);
std::string format_real(double value);  // repr of a float
// Digits of an integer of any size.
std::string format_integer(const Value& value);
// Python's int(text, base) and float(text); false if it is not one. Fails for an Integer that is too large.
bool parse_integer(std::string_view text, unsigned base, Integer& value);
bool parse_integer(std::string_view text, unsigned base, Value& value);
bool parse_real(std::string_view text, double& value);
std::int64_t to_index(const Value& value, std::string_view what);  // clamped to +-2^62

constexpr int nesting_limit = 200;  // of values within values when they are printed, compared, written as JSON

}  // namespace llm::chat

#endif
