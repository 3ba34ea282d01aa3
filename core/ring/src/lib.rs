//! Rings between pinned threads.
