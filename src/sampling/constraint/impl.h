#ifndef SAMPLING_CONSTRAINT_IMPL_H
#define SAMPLING_CONSTRAINT_IMPL_H

#include <llm/constraint.hpp>

#include "sampling/constraint/program.h"

namespace llm {
inline namespace v1 {

struct Constraint::Impl {
  sampling::Program program;
};

}  // namespace v1
}  // namespace llm

#endif
