#ifndef LLM_LLM_HPP
#define LLM_LLM_HPP

#include <llm/chat.hpp>
#include <llm/constraint.hpp>
#include <llm/engine.hpp>
#include <llm/error.hpp>
#include <llm/evaluate.hpp>
#include <llm/files.hpp>
#include <llm/fill.hpp>
#include <llm/model.hpp>
#include <llm/sampling.hpp>
#include <llm/session.hpp>
#include <llm/tokenizer.hpp>

#endif
