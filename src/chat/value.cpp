#include "chat/value.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include <fmt/format.h>

#include "chat/unicode.h"

namespace llm::chat {

namespace {

constexpr std::size_t indexed_from = 12;  // entries of a dict

std::string tagged(char tag, std::string_view text) {
  std::string all(1, tag);
  all.append(text);
  return all;
}

// Equal keys have equal canonical text.
std::string canonical(const Value& key) {
  switch (key.kind()) {
    case Kind::none:
      return tagged('n', {});
    case Kind::boolean:
    case Kind::integer:
      return tagged('i', format_integer(key));
    case Kind::real: {
      const double value = key.real();
      if (std::abs(value) < 1e30 && value == std::floor(value))
        return tagged('i', format_integer(static_cast<Integer>(value)));
      return tagged('r', format_real(value));
    }
    case Kind::string:
      return tagged('s', key.bytes());
    case Kind::tuple: {
      std::string all(1, 't');
      for (const Value& item : key.list().items) {
        const std::string one = canonical(item);
        all += fmt::format("{}:", one.size()) + one;
      }
      return all;
    }
    default:
      return fmt::format("p{}", key.address());
  }
}

void check_hashable(const Value& key, int depth = 0) {
  if (depth > 20) fail("a dict key nests too deep");
  if (key.is(Kind::list) || key.is(Kind::dict)) fail(fmt::format("unhashable type: '{}'", type_name(key)));
  if (key.is(Kind::tuple)) {
    for (const Value& item : key.list().items) check_hashable(item, depth + 1);
  }
}

bool same_key(const Value& a, const Value& b) {
  if (a.is_string() && b.is_string()) return a.bytes() == b.bytes();
  if (a.is_string() != b.is_string()) return false;
  return canonical(a) == canonical(b);
}

}  // namespace

Value Value::undefined(std::string why) {
  Value value;
  value.text_ = std::make_shared<const Text>(std::move(why), false);
  return value;
}

const void* Value::address() const {
  switch (kind_) {
    case Kind::list:
    case Kind::tuple:
      return data_.list;
    case Kind::dict:
      return data_.dict;
    case Kind::object:
      return data_.object;
    default:
      return text_.get();
  }
}

void fail_undefined(const Value& value) {
  fail(value.why_undefined());
}

std::size_t Dict::position(const Value& key) const {
  if (!index_.empty()) {
    const auto found = index_.find(canonical(key));
    return found == index_.end() ? entries_.size() : found->second;
  }
  for (std::size_t i = 0; i < entries_.size(); ++i) {
    if (same_key(entries_[i].first, key)) return i;
  }
  return entries_.size();
}

const Value* Dict::find(const Value& key) const {
  const std::size_t i = position(key);
  return i < entries_.size() ? &entries_[i].second : nullptr;
}

const Value* Dict::find(std::string_view key) const {
  if (!index_.empty()) {
    const auto found = index_.find(tagged('s', key));
    return found == index_.end() ? nullptr : &entries_[found->second].second;
  }
  for (const Entry& entry : entries_) {
    if (entry.first.is_string() && entry.first.bytes() == key) return &entry.second;
  }
  return nullptr;
}

bool Dict::set(Value key, Value value) {
  const std::size_t i = position(key);
  if (i < entries_.size()) {
    entries_[i].second = std::move(value);
    return false;
  }
  entries_.emplace_back(std::move(key), std::move(value));
  if (!index_.empty()) {
    index_.emplace(canonical(entries_.back().first), entries_.size() - 1);
  } else if (entries_.size() >= indexed_from) {
    for (std::size_t k = 0; k < entries_.size(); ++k) index_.emplace(canonical(entries_[k].first), k);
  }
  return true;
}

void Dict::erase(const Value& key) {
  const std::size_t i = position(key);
  if (i == entries_.size()) return;
  entries_.erase(entries_.begin() + static_cast<std::ptrdiff_t>(i));
  index_.clear();
  if (entries_.size() >= indexed_from) {
    for (std::size_t k = 0; k < entries_.size(); ++k) index_.emplace(canonical(entries_[k].first), k);
  }
}

void Dict::clear() {
  entries_.clear();
  index_.clear();
}

Range::Range(std::int64_t a, std::int64_t b, std::int64_t s) : Object(ObjectKind::range), start(a), stop(b), step(s) {
  if (step == 0) fail("range() arg 3 must not be zero");
  const Integer span = step > 0 ? Integer{stop} - start : Integer{start} - stop;
  const Integer stride = step > 0 ? Integer{step} : -Integer{step};
  const Integer count = span <= 0 ? 0 : (span + stride - 1) / stride;
  constexpr int most = 100000;
  if (count > most) fail(fmt::format("range too big: the limit is {} elements", most));
  size = static_cast<std::int64_t>(count);
}

List* Heap::make_list(Values items, bool foreign) {
  budget_->allocate(sizeof(List) + 32 + items.size() * sizeof(Value));
  auto owned = std::make_unique<List>();
  owned->items = std::move(items);
  owned->foreign = foreign;
  lists_.push_back(std::move(owned));
  return lists_.back().get();
}

Value Heap::dict(bool foreign) {
  budget_->allocate(sizeof(Dict) + 32);
  dicts_.push_back(std::make_unique<Dict>());
  dicts_.back()->foreign = foreign;
  return Value(dicts_.back().get());
}

Value Heap::iterator(Values items, std::string type) {
  return object<Iterator>(make_list(std::move(items), false), std::move(type));
}

void Heap::append(List& list, Value value) {
  budget_->allocate(2 * sizeof(Value));
  list.items.push_back(std::move(value));
}

void Heap::set(Dict& dict, Value key, Value value) {
  check_hashable(key);
  budget_->scan(key.is_string() ? key.bytes().size() : 0);
  const std::size_t key_bytes = key.is_string() ? key.bytes().size() : 16;
  if (dict.set(std::move(key), std::move(value))) budget_->allocate(4 * sizeof(Value) + key_bytes);
}

bool truth(const Value& value) {
  switch (value.kind()) {
    case Kind::undefined:
    case Kind::none:
      return false;
    case Kind::boolean:
      return value.boolean();
    case Kind::integer:
      return value.integer() != 0;
    case Kind::real:
      return value.real() != 0;
    case Kind::object:
      return length_of(value) != 0;
    default:
      return length_of(value) > 0;
  }
}

std::string type_name(const Value& value) {
  switch (value.kind()) {
    case Kind::undefined:
      return "Undefined";
    case Kind::none:
      return "NoneType";
    case Kind::boolean:
      return "bool";
    case Kind::integer:
      return "int";
    case Kind::real:
      return "float";
    case Kind::string:
      return value.markup() ? "Markup" : "str";
    case Kind::list:
      return "list";
    case Kind::tuple:
      return "tuple";
    case Kind::dict:
      return "dict";
    case Kind::object:
      break;
  }
  switch (value.object()->kind) {
    case ObjectKind::name_space:
      return "Namespace";
    case ObjectKind::function:
      return "function";
    case ObjectKind::iterator:
      return static_cast<const Iterator*>(value.object())->type;
    case ObjectKind::view: {
      const char part = static_cast<const View*>(value.object())->part;
      return part == 'k' ? "dict_keys" : part == 'v' ? "dict_values" : "dict_items";
    }
    case ObjectKind::range:
      return "range";
    case ObjectKind::loop:
      return "LoopContext";
    case ObjectKind::cycler:
      return "Cycler";
    case ObjectKind::joiner:
      return "Joiner";
  }
  return "object";
}

std::int64_t length_of(const Value& value) {
  switch (value.kind()) {
    case Kind::undefined:
      return 0;
    case Kind::string:
      return static_cast<std::int64_t>(value.text()->length());
    case Kind::list:
    case Kind::tuple:
      return static_cast<std::int64_t>(value.list().items.size());
    case Kind::dict:
      return static_cast<std::int64_t>(value.dict().size());
    case Kind::object:
      if (value.object()->kind == ObjectKind::view) {
        return static_cast<std::int64_t>(static_cast<const View*>(value.object())->dict->size());
      }
      if (value.object()->kind == ObjectKind::range) return static_cast<const Range*>(value.object())->size;
      return -1;
    default:
      return -1;
  }
}

bool is_iterable(const Value& value) {
  switch (value.kind()) {
    case Kind::undefined:
    case Kind::string:
    case Kind::list:
    case Kind::tuple:
    case Kind::dict:
      return true;
    case Kind::object: {
      const ObjectKind kind = value.object()->kind;
      return kind == ObjectKind::iterator || kind == ObjectKind::view || kind == ObjectKind::range ||
             kind == ObjectKind::loop;
    }
    default:
      return false;
  }
}

Values iterate(Heap& heap, const Value& value) {
  Budget& budget = heap.budget();
  if (value.is_sequence()) {
    budget.step(value.list().items.size());
    return value.list().items;
  }
  Values items;
  if (value.is_undefined()) return items;
  if (value.is_string()) {
    budget.step(value.text()->length());
    const TextPtr& text = value.text();
    for (TextReader reader(*text); !reader.done();) {
      const std::size_t begin = reader.offset();
      reader.next();
      items.emplace_back(slice(budget, text, begin, reader.offset()));
    }
    return items;
  }
  if (value.is(Kind::dict)) {
    budget.step(value.dict().size());
    for (const auto& entry : value.dict().entries()) items.push_back(entry.first);
    return items;
  }
  if (value.is(Kind::object)) {
    if (value.object()->kind == ObjectKind::iterator) {
      auto& iterator = *static_cast<Iterator*>(value.object());
      const auto& all = iterator.items->items;
      budget.step(all.size() - iterator.next);
      items.assign(all.begin() + static_cast<std::ptrdiff_t>(iterator.next), all.end());
      iterator.next = all.size();
      return items;
    }
    if (value.object()->kind == ObjectKind::view) {
      const auto& view = *static_cast<const View*>(value.object());
      budget.step(view.dict->size());
      for (const auto& [key, item] : view.dict->entries()) {
        items.push_back(view.part == 'k' ? key : view.part == 'v' ? item : heap.tuple({key, item}, view.dict->foreign));
      }
      return items;
    }
    if (value.object()->kind == ObjectKind::range) {
      const auto& range = *static_cast<const Range*>(value.object());
      budget.step(static_cast<std::size_t>(range.size));
      for (std::int64_t i = 0; i < range.size; ++i) items.push_back(range.at(i));
      return items;
    }
  }
  fail(fmt::format("'{}' object is not iterable", type_name(value)));
}

}  // namespace llm::chat
