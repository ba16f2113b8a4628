extension OperatorTable {
  static let shape: [OperatorDefinition] = [
    .reshape, .shapeOf, .size, .squeeze, .unsqueeze, .flatten, .transpose, .concat, .split, .slice,
    .pad, .expand, .tile, .trilu, .depthToSpace, .spaceToDepth, .constant, .constantOfShape,
    .range, .eyeLike, .centerCropPad,
  ]
}
