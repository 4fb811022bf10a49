//! What the end-to-end tests share: a cluster of real processes, and the evidence of what stands in it.
//!
//! The tests are in `tests/tests/`, a file per promise of the pipeline.
