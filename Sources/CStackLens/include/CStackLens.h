// CStackLens
