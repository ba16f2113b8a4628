#include "CStackLens.h"
