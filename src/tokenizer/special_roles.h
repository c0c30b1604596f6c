#ifndef TOKENIZER_SPECIAL_ROLES_H
#define TOKENIZER_SPECIAL_ROLES_H

#include <llm/tokenizer.hpp>

#include "tokenizer/vocabulary.h"

namespace llm::tokenizer {

// Finds end-of-turn and fill-in-the-middle tokens that have no id yet by their well-known texts, makes such tokens
// control tokens, and fills special.end_of_generation.
void assign_roles_by_text(Vocabulary& vocabulary, SpecialTokens& special);
// The same for sources whose kinds of tokens are final: tokens stay as they are typed.
void assign_roles_keeping_kinds(Vocabulary& vocabulary, SpecialTokens& special);

}  // namespace llm::tokenizer

#endif
