#ifndef OPS_OPS_H
#define OPS_OPS_H

#include "ops/attention.h"
#include "ops/experts.h"
#include "ops/low_rank.h"
#include "ops/matmul.h"
#include "ops/rope.h"
#include "ops/rows.h"
#include "ops/scan.h"
#include "ops/types.h"

#endif
