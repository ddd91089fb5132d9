//! Both sides
