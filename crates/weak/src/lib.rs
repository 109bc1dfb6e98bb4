//! Evidence from nothing: label-noise injectors, fusion of several annotators, simulated tissue.
