#ifndef CHAT_PARSER_H
#define CHAT_PARSER_H

#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "chat/ast.h"
#include "chat/lexer.h"

namespace llm::chat {

// Recursive descent over the tokens of a template. Depth is limited, so that neither parsing nor running nor destroying
// the tree can exhaust the stack.
class Parser {
 public:
  explicit Parser(const std::string& source) : tokens_(tokenize(source)) {}
  Template run();

 private:
  struct Unknown {  // a filter or test that does not exist
    Place place;
    std::string message;
  };
  struct MacroUse {
    bool varargs = false, kwargs = false, caller = false;
  };
  class Nesting;

  // tokens
  const Token& current() const { return tokens_[at_]; }
  const Token& look(std::size_t ahead = 1) const { return tokens_[std::min(at_ + ahead, tokens_.size() - 1)]; }
  Token take() { return at_ + 1 < tokens_.size() ? tokens_[at_++] : tokens_[at_]; }
  bool at_op(std::string_view op) const { return current().kind == TokenKind::op && current().text == op; }
  bool at_name(std::string_view name) const { return current().kind == TokenKind::name && current().text == name; }
  bool skip_op(std::string_view op);
  bool skip_name(std::string_view name);
  void expect_op(std::string_view op);
  void expect_name(std::string_view name);
  std::string expect_any_name();
  [[noreturn]] void unexpected(std::string_view expected = {}) const;
  NameId intern(const std::string& name);

  // expressions
  ExpressionPtr make(ExpressionKind kind, Place place) const;
  static void adopt(Expression& parent, ExpressionPtr child);
  static void check_depth(Expression& parent, int child_depth);
  ExpressionPtr expression(bool with_condition = true);
  ExpressionPtr either();
  ExpressionPtr both();
  ExpressionPtr inversion();
  ExpressionPtr comparison();
  ExpressionPtr sum();
  ExpressionPtr concatenation();
  ExpressionPtr product();
  ExpressionPtr power();
  ExpressionPtr unary(bool with_filter = true);
  ExpressionPtr primary();
  ExpressionPtr string_constant();
  ExpressionPtr list_display();
  ExpressionPtr dict_display();
  ExpressionPtr tuple(bool with_condition = true, bool in_parentheses = false, std::string_view stop_name = {});
  bool tuple_ends(std::string_view stop_name) const;
  ExpressionPtr postfix(ExpressionPtr node);
  ExpressionPtr filters_and_tests(ExpressionPtr node);
  ExpressionPtr attribute_or_item(ExpressionPtr node);
  ExpressionPtr subscript();
  ExpressionPtr filter(ExpressionPtr node, bool start_inline = false);
  ExpressionPtr test(ExpressionPtr node);
  ExpressionPtr call(ExpressionPtr node);
  std::unique_ptr<Arguments> arguments(int& depth);

  // statements
  Statements body(std::initializer_list<std::string_view> ends, bool skip_end);
  std::unique_ptr<Statement> statement();
  std::unique_ptr<Statement> make_statement(StatementKind kind, Place place) const;
  Statements end_of_block(std::string_view end);
  std::unique_ptr<Statement> branch(Place place);
  std::unique_ptr<Statement> loop(Place place);
  std::unique_ptr<Statement> assignment(Place place);
  std::unique_ptr<Statement> macro(Place place);
  std::unique_ptr<Statement> call_block(Place place);
  std::unique_ptr<Statement> with(Place place);
  std::unique_ptr<Statement> block(Place place);
  std::unique_ptr<Statement> print(Place place);
  std::unique_ptr<Statement> unsupported(Place place, const std::string& tag);
  void parameters(Statement& statement);
  void macro_body(Statement& statement, std::string_view end);
  Target target(bool with_tuple, bool with_namespace, std::string_view stop_name = {});
  Target single_target(bool with_namespace);

  std::vector<Token> tokens_;
  std::size_t at_ = 0;
  int depth_ = 0;
  int loops_ = 0;
  std::vector<std::string> names_;
  std::unordered_map<std::string, NameId> ids_;
  std::vector<Unknown> unknown_;
  std::vector<MacroUse> macros_;
};

class Parser::Nesting {
 public:
  explicit Nesting(Parser& parser);
  ~Nesting() { --parser_->depth_; }
  Nesting(const Nesting&) = delete;
  Nesting& operator=(const Nesting&) = delete;

 private:
  Parser* parser_;
};

}  // namespace llm::chat

#endif
