//! What every HTTP service of the bank shares.
