//! Both providers against the same vectors.
