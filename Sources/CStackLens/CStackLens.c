#include "../../include/stacklens.h"
