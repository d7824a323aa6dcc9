//! What users can say: one file per Redis group.
